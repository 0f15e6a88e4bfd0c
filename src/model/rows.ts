/** New rows, each built in one place: what a thing is at first, whoever makes it. */
import type { Branch, Session, Turn } from './types.ts';

export const newBranch = (
  given: Pick<Branch, 'id' | 'repository' | 'name' | 'createdAt' | 'madeOrder'> & Partial<Branch>,
): Branch => ({
  base: null,
  checkout: null,
  headRef: null,
  headSha: null,
  nameMade: false,
  baseSha: null,
  worktreeState: 'queued',
  worktreeStep: null,
  worktreePath: null,
  worktreeError: null,
  adopted: false,
  backgroundSetup: 'none',
  preparation: null,
  paused: 'no',
  unread: false,
  changedAt: given.createdAt,
  ...given,
});

export const newSession = (
  given: Pick<Session, 'id' | 'branchId' | 'kind' | 'agent' | 'title' | 'createdAt' | 'madeOrder'> & Partial<Session>,
): Session => ({
  agentSessionId: null,
  agentInfo: null,
  worktreePath: null,
  tipSha: null,
  mergeBaseSha: null,
  retired: null,
  closed: false,
  unread: false,
  ...given,
});

/** What a turn has of its run; a retry begins with it again. */
export const notRun = {
  startedAt: null,
  endedAt: null,
  startSha: null,
  endSha: null,
  startTree: null,
  endTree: null,
  work: null,
  commit: null,
  error: null,
  hostId: null,
  cancelRequested: false,
  permission: null,
  silentSince: null,
  endedOrder: null,
  goesOn: null,
} satisfies Partial<Turn>;

export const newTurn = (
  given: Pick<Turn, 'id' | 'sessionId' | 'branchId' | 'prompt' | 'position' | 'queuedAt'> & Partial<Turn>,
): Turn => ({ state: 'queued', attachments: [], attempt: 0, mends: null, ...notRun, ...given });
