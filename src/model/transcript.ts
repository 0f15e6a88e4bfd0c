/**
 * What was said and done in a session, as our own event model between the agents' protocol and the product.
 * One entry is one line of the session's transcript file.
 */
import * as z from 'zod';
import { unavailableSchema } from './unavailable.ts';
import { beginningSchema, commitSchema, conclusionSchema } from './work.ts';

const base = {
  /** From 1, without gaps, over the whole session. */
  seq: z.number().int().positive(),
  /** Milliseconds since 1970. */
  at: z.number(),
  turnId: z.string(),
  /** Came after the end of its turn, from an agent that goes on in the background. */
  late: z.literal(true).optional(),
};

const attachment = z.object({ name: z.string(), mimeType: z.string(), sha256: z.string(), size: z.number() });
export const permissionSchema = z.object({
  id: z.string(),
  title: z.string(),
  options: z.array(z.object({ optionId: z.string(), name: z.string(), kind: z.string() })),
});

export const turnOutcomes = ['completed', 'failed', 'cancelled', 'interrupted'] as const;
export type TurnOutcome = (typeof turnOutcomes)[number];

export const transcriptEntrySchema = z.discriminatedUnion('type', [
  z.object({ ...base, type: z.literal('prompt'), text: z.string(), attachments: z.array(attachment), attempt: z.number() }),
  /** Durable before the agent gets the prompt: from here on a lost turn is interrupted, never sent again by itself. */
  z.object({
    ...base,
    type: z.literal('handover'),
    attempt: z.number(),
    startSha: z.string().optional(),
    beginning: beginningSchema.optional(),
  }),
  z.object({ ...base, type: z.literal('session'), agentSessionId: z.string(), agentInfo: z.string().optional() }),
  z.object({ ...base, type: z.literal('text'), role: z.enum(['agent', 'thought', 'user']), text: z.string() }),
  z.object({ ...base, type: z.literal('output'), stream: z.enum(['stdout', 'stderr']), text: z.string() }),
  /** Announces a tool call, or changes the one with the same id. */
  z.object({
    ...base,
    type: z.literal('tool'),
    toolCallId: z.string(),
    title: z.string().optional(),
    kind: z.string().optional(),
    status: z.string().optional(),
    content: z.array(z.unknown()).optional(),
    locations: z.array(z.unknown()).optional(),
    rawInput: z.unknown().optional(),
    rawOutput: z.unknown().optional(),
  }),
  z.object({
    ...base,
    type: z.literal('plan'),
    entries: z.array(z.object({ content: z.string(), priority: z.string(), status: z.string() })),
  }),
  z.object({
    ...base,
    type: z.literal('usage'),
    used: z.number(),
    size: z.number(),
    cost: z.object({ amount: z.number(), currency: z.string() }).optional(),
  }),
  z.object({ ...base, type: z.literal('permission'), permission: permissionSchema, toolCallId: z.string() }),
  z.object({
    ...base,
    type: z.literal('answer'),
    permissionId: z.string(),
    optionId: z.string().optional(),
    by: z.enum(['user', 'policy', 'cancel']),
  }),
  /** Something that Branchline did or saw, in words for people. */
  z.object({ ...base, type: z.literal('notice'), text: z.string() }),
  z.object({ ...base, type: z.literal('commit'), sha: z.string(), files: z.number() }),
  /** The work could not be committed; why, as facts. */
  z.object({ ...base, type: z.literal('held'), commit: commitSchema }),
  /** The agent's turn is over, and how; its work is looked at next. */
  z.object({
    ...base,
    type: z.literal('answered'),
    attempt: z.number(),
    outcome: z.enum(turnOutcomes),
    message: z.string().optional(),
    stopReason: z.string().optional(),
    unavailable: unavailableSchema.optional(),
  }),
  /** What became of the turn's work. A later one holds what an agent did after its turn, too. */
  z.object({ ...base, type: z.literal('concluded'), attempt: z.number(), conclusion: conclusionSchema }),
  z.object({
    ...base,
    type: z.literal('ended'),
    outcome: z.enum(turnOutcomes),
    attempt: z.number(),
    message: z.string().optional(),
    startSha: z.string().optional(),
    endSha: z.string().optional(),
    stopReason: z.string().optional(),
    /** Its agent could not work: the turn waits, and goes on later. */
    unavailable: unavailableSchema.optional(),
  }),
]);

export type TranscriptEntry = z.infer<typeof transcriptEntrySchema>;
/** An entry before it has its place. */
export type TranscriptDraft = TranscriptEntry extends infer Entry
  ? Entry extends unknown
    ? Omit<Entry, 'seq' | 'at' | 'turnId'>
    : never
  : never;
