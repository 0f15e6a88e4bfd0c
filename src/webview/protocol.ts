/**
 * What the timeline's page and its host say to each other, both ways, checked at both ends. The page gets a snapshot of what
 * its scope shows, then deltas with consecutive numbers; when one is missing it asks for a snapshot again.
 */
import * as z from 'zod';
import { sessionKinds, turnStates, waitingReasons, worktreeStates } from '../model/types.ts';
import { permissionSchema, transcriptEntrySchema } from '../model/transcript.ts';

export const timelineVersion = 1;

/** Which rows are shown. Empty lists filter nothing. `ended` and `queued` say how many of each at most. */
export const scopeSchema = z.object({
  /** Null: all branches. */
  branchId: z.string().nullable(),
  states: z.array(z.enum(turnStates)),
  agents: z.array(z.string()),
  kinds: z.array(z.enum(sessionKinds)),
  query: z.string().max(200),
  ended: z.number().int().min(0).max(5_000),
  queued: z.number().int().min(0).max(5_000),
});
export type Scope = z.infer<typeof scopeSchema>;
export const firstScope: Scope = { branchId: null, states: [], agents: [], kinds: [], query: '', ended: 50, queued: 100 };

const statsSchema = z.object({
  commits: z.number(),
  files: z.number(),
  insertions: z.number(),
  deletions: z.number(),
  tokens: z.number().optional(),
  cost: z.string().optional(),
});
export type RowStats = z.infer<typeof statsSchema>;

const attachmentSchema = z.object({ name: z.string(), mimeType: z.string(), sha256: z.string(), size: z.number() });

const rowSchema = z.object({
  id: z.string(),
  sessionId: z.string(),
  branchId: z.string(),
  branch: z.string(),
  kind: z.enum(sessionKinds),
  title: z.string(),
  agent: z.string(),
  state: z.enum(turnStates),
  /** The state, or why it waits, in words. */
  words: z.string(),
  /** The prompt's beginning. */
  prompt: z.string(),
  attachments: z.array(attachmentSchema),
  queuedAt: z.number(),
  startedAt: z.number().nullable(),
  endedAt: z.number().nullable(),
  error: z.string().nullable(),
  /** Why its work is not committed, in words; null when it is, or none was to be. */
  held: z.string().nullable(),
  /** Its work is kept, and in no commit of the branch. */
  left: z.boolean(),
  /** Its conversation is over, and it can be done in a new one. */
  canGoOnElsewhere: z.boolean(),
  permission: permissionSchema.nullable(),
  unread: z.boolean(),
  /** Queued: may go up or down in its line. */
  up: z.boolean(),
  down: z.boolean(),
  canFollowUp: z.boolean(),
  hasChanges: z.boolean(),
  stats: statsSchema.optional(),
});
export type Row = z.infer<typeof rowSchema>;

const branchSchema = z.object({
  id: z.string(),
  name: z.string(),
  repository: z.string(),
  state: z.enum(worktreeStates),
  /** Steps of provisioning, in order, with what is at each. */
  steps: z.array(z.object({ name: z.string(), at: z.enum(['done', 'now', 'failed', 'next']) })),
  words: z.string().nullable(),
  error: z.string().nullable(),
  since: z.number(),
  paused: z.enum(['no', 'user', 'failure']),
  /** Work of a turn on it is not committed, and waits for somebody. */
  held: z.boolean(),
  unread: z.boolean(),
  canRetry: z.boolean(),
  running: z.number(),
  queued: z.number(),
  /** Why a turn written now would wait; null when it would start. */
  nextWaits: z.enum(waitingReasons).nullable(),
});
export type BranchInfo = z.infer<typeof branchSchema>;

const metaSchema = z.object({
  agents: z.array(z.object({ id: z.string(), name: z.string(), installed: z.boolean() })),
  /** Agents that can't work now and for which branches wait. */
  waitingAgents: z.array(z.object({ agent: z.string(), words: z.string(), said: z.string() })),
  /** Empty where nobody has chosen one yet. */
  defaultAgent: z.string(),
  trusted: z.boolean(),
  readOnly: z.string().nullable(),
  /** The queue can be taken over from the window that has it. */
  canTakeOver: z.boolean(),
  hasRepository: z.boolean(),
  /** Prompts written before, the latest first. */
  history: z.array(z.string()),
  /** Rows that the scope leaves out for their number. */
  moreEnded: z.number(),
  moreQueued: z.number(),
});
export type Meta = z.infer<typeof metaSchema>;

const id = z.string().min(1).max(200);
export const newAttachmentSchema = z.object({ name: z.string().max(500), mimeType: z.string().max(200), base64: z.string() });
export type NewImage = z.infer<typeof newAttachmentSchema>;

export const toViewSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('snapshot'),
    version: z.number(),
    number: z.number(),
    scope: scopeSchema,
    branches: z.array(branchSchema),
    rows: z.array(rowSchema),
    meta: metaSchema,
    drafts: z.record(z.string(), z.string()),
  }),
  z.object({
    type: z.literal('delta'),
    number: z.number(),
    branches: z.array(branchSchema),
    branchOrder: z.array(z.string()),
    rows: z.array(rowSchema),
    order: z.array(z.string()),
    meta: metaSchema.optional(),
  }),
  /** The beginning of a conversation's text as it is on disk; `entries` follow. */
  z.object({ type: z.literal('conversation'), sessionId: id, entries: z.array(transcriptEntrySchema), left: z.number() }),
  z.object({ type: z.literal('entries'), sessionId: id, entries: z.array(transcriptEntrySchema) }),
  z.object({
    type: z.literal('reveal'),
    branchId: id.nullable(),
    turnId: id.nullable(),
    compose: z.boolean(),
    /** The turn's prompt is opened for editing; its conversation is not. */
    edit: z.boolean(),
  }),
  z.object({ type: z.literal('result'), requestId: z.number(), error: z.string().nullable(), value: z.unknown() }),
]);
export type ToView = z.infer<typeof toViewSchema>;

export const turnActions = [
  'cancel',
  'retry',
  'remove',
  'sendNow',
  'moveUp',
  'moveDown',
  'openChanges',
  'commit',
  'commitWithMessage',
  'mend',
  'goOnElsewhere',
  'discard',
  'leave',
  'restoreBefore',
] as const;
export const branchActions = [
  'pause',
  'resume',
  'retryProvisioning',
  'stopProvisioning',
  'showSetupLog',
  'openChanges',
  'openTerminal',
] as const;

const requestId = z.number().int();
export const toHostSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready'), version: z.number(), scope: scopeSchema }),
  z.object({ type: z.literal('resync') }),
  z.object({ type: z.literal('scope'), scope: scopeSchema }),
  z.object({ type: z.literal('open'), sessionId: id, earlier: z.number().int().min(0).max(100_000) }),
  z.object({ type: z.literal('close') }),
  /** Files of a draft, all of them. */
  z.object({ type: z.literal('draftFiles'), key: id, files: z.array(newAttachmentSchema).max(20) }),
  z.object({ type: z.literal('seen'), sessionId: id.optional(), branchId: id.optional() }),
  z.object({
    type: z.literal('enqueue'),
    requestId,
    target: z.union([
      z.object({ sessionId: id }),
      z.object({ branchId: id }),
      z.object({ branch: z.string().max(300) }),
      z.object({ fromPrompt: z.literal(true) }),
    ]),
    kind: z.enum(sessionKinds),
    agent: z.string().max(200),
    prompt: z.string().max(1_000_000),
    attachments: z.array(newAttachmentSchema).max(20),
  }),
  z.object({ type: z.literal('turn'), requestId, action: z.enum(turnActions), turnId: id }),
  z.object({ type: z.literal('undo'), requestId, token: z.number().int() }),
  z.object({ type: z.literal('move'), requestId, turnId: id, before: id.nullable() }),
  z.object({ type: z.literal('edit'), requestId, turnId: id, prompt: z.string().max(1_000_000) }),
  z.object({ type: z.literal('respond'), requestId, permissionId: id, optionId: z.string().max(500) }),
  z.object({ type: z.literal('branch'), requestId, action: z.enum(branchActions), branchId: id }),
  z.object({
    type: z.literal('session'),
    requestId,
    action: z.enum(['openChanges', 'openTranscript', 'copyMarkdown']),
    sessionId: id,
  }),
  z.object({ type: z.literal('image'), requestId, sha256: z.string().regex(/^[0-9a-f]{64}$/), mimeType: z.string().max(200) }),
  z.object({ type: z.literal('log'), requestId, branchId: id }),
  z.object({ type: z.literal('pickFiles'), requestId }),
  /** Answered when the text is on disk. */
  z.object({ type: z.literal('draft'), requestId, key: id, text: z.string().max(1_000_000) }),
  z.object({ type: z.literal('filesOfDraft'), requestId, key: id }),
  z.object({ type: z.literal('files'), requestId, query: z.string().max(200) }),
  z.object({ type: z.literal('fullPrompt'), requestId, turnId: id }),
  z.object({
    type: z.literal('openFile'),
    requestId,
    branchId: id,
    path: z.string().max(4_000),
    line: z.number().int().optional(),
  }),
  z.object({ type: z.literal('agent'), requestId, agent: id, action: z.enum(['try', 'pause']) }),
  z.object({ type: z.literal('openLink'), requestId, href: z.string().max(4_000) }),
  z.object({
    type: z.literal('command'),
    requestId,
    command: z.enum(['openFolder', 'manageTrust', 'initRepository', 'openInEditor', 'focusBranches', 'takeOver']),
  }),
]);
export type ToHost = z.infer<typeof toHostSchema>;
type WithoutId<T> = T extends { requestId: number } ? Omit<T, 'requestId'> : never;
export type Request = WithoutId<ToHost>;
