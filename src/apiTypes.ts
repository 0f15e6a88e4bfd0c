/**
 * The API that the extension `branchline.branchline` exports, for other extensions:
 * `const api = await vscode.extensions.getExtension<BranchlineApi>('branchline.branchline')?.activate();`
 *
 * Calls that are refused reject with an Error whose message a person can act on, and change nothing.
 */
import type { Event } from 'vscode';

export type SessionKind = 'commit' | 'note' | 'review';
export type WorktreeState =
  | 'queued'
  | 'provisioning'
  | 'ready'
  | 'failed'
  | 'missing'
  | 'unreachable'
  | 'removing'
  | 'removalFailed'
  | 'removed';
export type SessionState =
  | 'pendingProvision'
  | 'pendingStart'
  | 'starting'
  | 'running'
  | 'needsApproval'
  | 'idle'
  | 'failed'
  | 'interrupted'
  | 'cancelled'
  | 'closed';
export type TurnState = 'queued' | 'starting' | 'running' | 'completed' | 'failed' | 'cancelled' | 'interrupted';
/** Why a queued turn waits. */
export type WaitingReason = 'worktree' | 'turn' | 'capacity' | 'paused' | 'agent' | 'trust' | 'limit' | 'signIn';

export interface AttachmentInput {
  name: string;
  mimeType: string;
  /** Absolute path of a file, read at once; or `base64`. */
  path?: string | undefined;
  base64?: string | undefined;
}

export interface QueueTurnInput {
  prompt: string;
  attachments?: AttachmentInput[] | undefined;
}

export interface QueueSessionInput extends QueueTurnInput {
  /** A path in the repository; without it, the workspace's first repository. */
  repository?: string | undefined;
  /** Without it, one is made from the prompt. */
  branch?: string | undefined;
  /** Branch or commit that a new branch starts from; without it, HEAD. */
  base?: string | undefined;
  /** `commit` by default. */
  kind?: SessionKind | undefined;
  /** Id of an agent; without it, the setting `branchline.defaultAgent`. */
  agent?: string | undefined;
  title?: string | undefined;
}

export interface QueuedIds {
  branchId: string;
  sessionId: string;
  turnId: string;
}

/** A message for people, with the provisioning step it came from where there is one. */
export interface Failure {
  message: string;
  step?: string;
}

export interface PermissionRequest {
  id: string;
  title: string;
  options: { optionId: string; name: string; kind: string }[];
}

/** Times are milliseconds since 1970; shas are full. */
export interface TurnSnapshot {
  id: string;
  state: TurnState;
  prompt: string;
  /** `size` in bytes. */
  attachments: { name: string; mimeType: string; sha256: string; size: number }[];
  waitingFor?: WaitingReason;
  /** When it goes on, where that is known. */
  waitingUntil?: number;
  permission?: PermissionRequest;
  error?: Failure;
  queuedAt: number;
  startedAt?: number;
  endedAt?: number;
  startSha?: string;
  endSha?: string;
  /** What became of the commit of its work; missing where none was to be made. */
  commit?: {
    state: 'made' | 'held';
    sha?: string;
    files?: number;
    /** Why it is held, and what to do. */
    message?: string;
  };
  /** How the worktree differs between its start and its end; `ref` keeps it while no commit of the branch has it. */
  work?: { files: number; added: number; removed: number; ref?: string };
}

export interface SessionSnapshot {
  id: string;
  kind: SessionKind;
  title: string;
  agent: string;
  state: SessionState;
  /** Reviews: the commit that was reviewed, and where it left its base. */
  tipSha?: string;
  mergeBaseSha?: string;
  /** What has ended by time, then what runs, then what waits, as it will run. */
  turns: TurnSnapshot[];
}

export interface BranchSnapshot {
  id: string;
  /** Canonical path. */
  repository: string;
  name: string;
  base: string | null;
  worktree: { state: WorktreeState; step?: string; path?: string; error?: Failure };
  paused: boolean;
  sessions: SessionSnapshot[];
}

export interface AgentSnapshot {
  id: string;
  name: string;
  /** `limit`, `signIn` and `offline`: it can't work now, and its turns wait. */
  state: 'ready' | 'notInstalled' | 'signIn' | 'limit' | 'offline';
  /** When it is tried again. */
  until?: number;
  /** Its own words. */
  message?: string;
}

export interface Snapshot {
  branches: BranchSnapshot[];
  agents: AgentSnapshot[];
}

/** One thing said or done in a session; `type` tells what, `seq` (from 1, without gaps) in which order. */
export interface TranscriptEntry {
  seq: number;
  at: number;
  turnId: string;
  type: string;
  [field: string]: unknown;
}

export interface BranchlineApi {
  readonly version: 1;
  /** Resolves once it is durable, however long the worktree takes. */
  queueSession(input: QueueSessionInput): Promise<QueuedIds>;
  /** Queues a follow-up at the end of the branch's line. */
  queueTurn(sessionId: string, input: QueueTurnInput): Promise<QueuedIds>;
  cancelTurn(turnId: string): Promise<void>;
  /** Runs a turn again; of one whose commit is held, commits again and sends nothing. */
  retryTurn(turnId: string): Promise<void>;
  removeTurn(turnId: string): Promise<void>;
  /** Commits what is left of an ended turn's work; no agent is asked. Rejects when git says no again. */
  commitTurn(turnId: string, options?: { message?: string }): Promise<{ sha: string; files: number }>;
  /** Takes back what an ended turn left uncommitted; `kept` are paths that were changed after it. */
  discardWork(turnId: string): Promise<{ discarded: string[]; kept: string[] }>;
  /** Puts a queued turn before another one of its branch, or at the end for null. */
  moveTurn(turnId: string, target: { before: string | null }): Promise<void>;
  pauseQueue(branchId: string): Promise<void>;
  resumeQueue(branchId: string): Promise<void>;
  respondToPermission(permissionId: string, optionId: string): Promise<void>;
  transcript(sessionId: string): Promise<TranscriptEntry[]>;
  /** What is durable now, as plain JSON. */
  snapshot(): Snapshot;
  readonly onDidChange: Event<void>;
}
