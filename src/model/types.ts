/** The words of the product as types. Pure data: no behaviour, nothing of VS Code or Node. */
import type { Beginning, Commit, Work } from './work.ts';

export type SessionKind = 'commit' | 'note' | 'review';
export const sessionKinds = ['commit', 'note', 'review'] as const satisfies readonly SessionKind[];

export const provisioningSteps = ['resolveBase', 'createWorktree', 'copyFiles', 'runSetup'] as const;
export type ProvisioningStep = (typeof provisioningSteps)[number];

export const worktreeStates = [
  'queued',
  'provisioning',
  'ready',
  'failed',
  'missing',
  'unreachable',
  'removing',
  'removalFailed',
  'removed',
] as const;
export type WorktreeState = (typeof worktreeStates)[number];

export const turnStates = ['queued', 'starting', 'running', 'completed', 'failed', 'cancelled', 'interrupted'] as const;
export type TurnState = (typeof turnStates)[number];

export const sessionStates = [
  'pendingProvision',
  'pendingStart',
  'starting',
  'running',
  'needsApproval',
  'idle',
  'failed',
  'interrupted',
  'cancelled',
  'closed',
] as const;
export type SessionState = (typeof sessionStates)[number];

/** Why a queued turn waits; `undefined` when nothing holds it up. */
export const waitingReasons = ['worktree', 'turn', 'capacity', 'paused', 'agent', 'trust', 'limit', 'signIn'] as const;
export type WaitingReason = (typeof waitingReasons)[number];

/** Why an agent can't work now, though it is installed: its limit is reached, it wants a sign-in, or its service is not reached. */
export const unavailableKinds = ['limit', 'signIn', 'offline'] as const;
export type UnavailableKind = (typeof unavailableKinds)[number];

/** An agent that can't work now: a fact about the agent, not about the turns that met it. */
export interface AgentWait {
  /** The agent's id. */
  id: string;
  kind: UnavailableKind;
  /** When it is tried again, in milliseconds since 1970; null: when a person says so. */
  until: number | null;
  /** The agent's own words, short. */
  said: string;
  /** When it was last met. */
  metAt: number;
  /** Times in a row that it was met. */
  times: number;
}

/** A turn whose agent stopped being able to work in the middle of it: it goes on in its session, with a short word of ours. */
export interface GoesOn {
  /** Times that it went on, or is about to. */
  times: number;
  /** Where the turn began, at first. */
  beginning: Beginning;
}

/** A message for people, with the provisioning step it came from where there is one. */
export interface Failure {
  message: string;
  step?: string;
}

/** A file given to the agent with a prompt; `sha256` names its content in the attachment folder. */
export interface Attachment {
  name: string;
  mimeType: string;
  sha256: string;
  /** Bytes. */
  size: number;
}

export interface PermissionOption {
  optionId: string;
  name: string;
  /** `allow_once`, `allow_always`, `reject_once` or `reject_always` (ACP), or a kind of a later protocol. */
  kind: string;
}

export interface Permission {
  id: string;
  title: string;
  options: PermissionOption[];
}

/** What was found and made while a worktree was prepared: it is nobody's work. */
export interface Preparation {
  /** Links that we made, relative to the worktree. */
  links: string[];
  /** Ignored files and folders that were there when it became ready. */
  ignored: string[];
  /** Tracked or new files that setup changed; the first of them. */
  setupChanged: string[];
  /** The content after setup where it differs from the commit. */
  setupTree: string | null;
  /** What a hook said that failed while the worktree was made. */
  hookSaid: string | null;
  /** The folder of hooks that the repository names and the worktree lacks. */
  missingHooks: string | null;
  /** Where the disk is mounted that the worktree is on; null for the root. */
  mount: string | null;
}

/** State of the setup commands marked `wait: false`, which run beside the first turn. */
export type BackgroundSetup = 'none' | 'pending' | 'running' | 'done' | 'failed';

export interface Branch {
  id: string;
  /** Canonical path of the main worktree (or of the bare repository). */
  repository: string;
  name: string;
  /** What the person named as base; null means the repository's HEAD when the branch has to be made. */
  base: string | null;
  /** The checkout that was open when it was queued: its files are copied, and the worktree is placed beside it. */
  checkout: string | null;
  /** What HEAD, or the named base, was when it was queued: what a new branch starts from. */
  headRef: string | null;
  headSha: string | null;
  /** True while the name was only made from a prompt: one that turns out to be taken is changed before anything is made. */
  nameMade: boolean;
  /** Commit the branch was made from, or its tip when it existed before. */
  baseSha: string | null;
  worktreeState: WorktreeState;
  /** The step under way, or the one that failed. */
  worktreeStep: ProvisioningStep | null;
  worktreePath: string | null;
  worktreeError: Failure | null;
  /** True when the worktree was there before and Branchline only took it up. */
  adopted: boolean;
  backgroundSetup: BackgroundSetup;
  preparation: Preparation | null;
  /** Who paused the queue: a person, or the failure of a turn. */
  paused: 'no' | 'user' | 'failure';
  unread: boolean;
  createdAt: number;
  /** When the present worktree state was entered. */
  changedAt: number;
  /** Higher for what was made later, whatever the clock says. */
  madeOrder: number;
}

export interface Session {
  id: string;
  branchId: string;
  kind: SessionKind;
  agent: string;
  title: string;
  createdAt: number;
  /** The agent's own id of the conversation; null until it has one. */
  agentSessionId: string | null;
  /** Name and version as the agent gave them. */
  agentInfo: string | null;
  /** Where the agent's session was made; it is never continued elsewhere. */
  worktreePath: string | null;
  /** Review only: the branch's tip and its merge base with the base, resolved when it started. */
  tipSha: string | null;
  mergeBaseSha: string | null;
  /** Set once when the agent can't continue this conversation; the transcript stays. */
  retired: string | null;
  closed: boolean;
  unread: boolean;
  /** Higher for what was made later, whatever the clock says. */
  madeOrder: number;
}

export interface Turn {
  id: string;
  sessionId: string;
  branchId: string;
  state: TurnState;
  prompt: string;
  attachments: Attachment[];
  /** Place in the order; only compared, never shown. */
  position: number;
  queuedAt: number;
  startedAt: number | null;
  endedAt: number | null;
  startSha: string | null;
  endSha: string | null;
  error: Failure | null;
  /** The agent host that has, or had, this turn. */
  hostId: string | null;
  /** 1 at the first hand-over; one more at each retry. */
  attempt: number;
  cancelRequested: boolean;
  permission: Permission | null;
  /** Last time the agent said anything, when the silence was marked; null while it speaks. */
  silentSince: number | null;
  /** Content of the worktree (tree or commit) when it started and when it ended. */
  startTree: string | null;
  endTree: string | null;
  work: Work | null;
  /** What became of the commit of its work; null where there was none to make. */
  commit: Commit | null;
  /** The turn whose held commit this one is to make possible. */
  mends: string | null;
  /** Set while it waits in the middle, and from then on. */
  goesOn: GoesOn | null;
  /** Higher for what ended later, whatever the clock says; null while it has not ended, or where that is not known. */
  endedOrder: number | null;
}

/** One step in the life of a turn or worktree (requirement 15). */
export interface HistoryEvent {
  id: number;
  at: number;
  branchId: string;
  turnId: string | null;
  kind: string;
}
