/**
 * What the extension and an agent host say to each other: JSON lines over a local socket. The host's status is whole each
 * time, so one that is lost or doubled does no harm.
 */
import * as z from 'zod';
import { unavailableSchema } from '../model/unavailable.ts';
import { beginningSchema, conclusionSchema } from '../model/work.ts';
import { permissionSchema, transcriptEntrySchema, turnOutcomes } from '../model/transcript.ts';

export const hostProtocolVersion = 1;

export const permissionPolicies = ['ask', 'acceptEdits', 'allowAll'] as const;
export type PermissionPolicy = (typeof permissionPolicies)[number];

const agentProgram = z.object({
  id: z.string(),
  name: z.string(),
  command: z.string(),
  args: z.array(z.string()),
  env: z.record(z.string(), z.string()),
  /** Folder below the worktree to work in, for one project of a large repository. */
  cwd: z.string().optional(),
  /** True for our own shell agent, which runs on the host's own Node. */
  builtIn: z.boolean(),
});
export type AgentProgram = z.infer<typeof agentProgram>;

/** Milliseconds that an agent may take, or say nothing, before a person is told. */
const timeLimits = z.object({
  /** For its answers until it has the prompt; the turn fails then. */
  start: z.number(),
  /** Shown only: it may be at work (requirement 51). */
  silence: z.number(),
});
export type TimeLimits = z.infer<typeof timeLimits>;
export const defaultTimeLimits: TimeLimits = { start: 120_000, silence: 60_000 };

/** One turn, with all that the host needs to run it when no window is open. */
export const jobSchema = z.object({
  turnId: z.string(),
  attempt: z.number().int(),
  sessionId: z.string(),
  kind: z.enum(['commit', 'note', 'review']),
  title: z.string(),
  prompt: z.string(),
  attachments: z.array(
    z.object({ name: z.string(), mimeType: z.string(), sha256: z.string(), size: z.number(), path: z.string() }),
  ),
  repository: z.string(),
  branch: z.string(),
  worktree: z.string(),
  transcript: z.string(),
  agent: agentProgram,
  /** The agent's own id of the conversation to go on with, or null for a new one. */
  agentSessionId: z.string().nullable(),
  /** True when no prompt of the conversation was ever answered: a new one takes its place where the agent does not know it. */
  isFresh: z.boolean().default(false),
  /** Set for a turn that goes on: what the agent is told in place of the prompt, and where the turn began. */
  goesOn: z
    .object({
      text: z.string(),
      beginning: beginningSchema,
      /** Content of the worktree when it stopped; null where nobody could look. */
      stoppedTree: z.string().nullable(),
    })
    .nullable()
    .default(null),
  permissions: z.enum(permissionPolicies),
  /** Paths of links that Branchline made in the worktree: they are never changes. */
  links: z.array(z.string()).default([]),
  /** Message of the commit of the turn's work; without one, the title. */
  commitMessage: z.string().optional(),
  /** Earlier turns of the branch whose commits are held, with the trees before and after them. */
  held: z.array(z.object({ turnId: z.string(), from: z.string(), to: z.string() })).default([]),
  /** The one among them that this turn is to mend. */
  mends: z.string().nullable().default(null),
  /** False: the agent is ended when no window is there for a while. */
  keepRunning: z.boolean(),
  timeLimits: timeLimits.default(defaultTimeLimits),
});
export type Job = z.infer<typeof jobSchema>;

export const clientMessageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('hello'), version: z.number(), token: z.string(), epoch: z.number() }),
  z.object({ type: z.literal('run'), job: jobSchema }),
  z.object({ type: z.literal('cancel'), turnId: z.string() }),
  z.object({ type: z.literal('answer'), permissionId: z.string(), optionId: z.string() }),
  z.object({ type: z.literal('permissions'), policy: z.enum(permissionPolicies) }),
  z.object({ type: z.literal('shutdown') }),
]);
export type ClientMessage = z.infer<typeof clientMessageSchema>;

export const turnStatusSchema = z.object({
  turnId: z.string(),
  attempt: z.number(),
  sessionId: z.string(),
  state: z.enum(['starting', 'running', 'ended']),
  agentSessionId: z.string().nullable(),
  agentInfo: z.string().nullable(),
  permission: permissionSchema.nullable(),
  /** When the agent last said anything, once it has been silent for long; null while it speaks. */
  silentSince: z.number().nullable(),
  startSha: z.string().nullable(),
  endSha: z.string().nullable(),
  outcome: z.enum(turnOutcomes).nullable(),
  /** Why it ended as it did; before its end, what it waits for that a person has to mend. */
  message: z.string().nullable(),
  /** Set when the agent can't go on with this conversation. */
  retired: z.string().nullable(),
  /** Content of the worktree when it began. */
  startTree: z.string().nullable().default(null),
  /** Set when it failed because its agent can't work now. */
  unavailable: unavailableSchema.nullable().default(null),
  /** True once the agent has done something that only one does which can work. */
  works: z.boolean().default(false),
  /** What became of its work; null until it has ended. */
  conclusion: conclusionSchema.nullable().default(null),
  /** What an agent of this host did after the end of an earlier turn. */
  late: z.object({ turnId: z.string(), attempt: z.number(), conclusion: conclusionSchema }).nullable().default(null),
});
export type TurnStatus = z.infer<typeof turnStatusSchema>;

export const hostMessageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('welcome'), version: z.number(), hostId: z.string(), status: turnStatusSchema.nullable() }),
  z.object({ type: z.literal('status'), status: turnStatusSchema }),
  z.object({ type: z.literal('entries'), sessionId: z.string(), entries: z.array(transcriptEntrySchema) }),
]);
export type HostMessage = z.infer<typeof hostMessageSchema>;

/** What a host keeps about itself in `hosts/<id>.json` (0600) in the storage, for a later window to find it. */
export const hostFileSchema = z.object({
  hostId: z.string(),
  token: z.string(),
  socket: z.string(),
  pid: z.number().nullable(),
  startTime: z.string().nullable(),
});
export type HostFile = z.infer<typeof hostFileSchema>;
