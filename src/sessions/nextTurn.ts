/**
 * Decides which turns start now and why the others wait. Pure: plain data in, plain data out; queue, tree, timeline and
 * composer all ask this one place.
 */
import { isActive } from '../model/transitions.ts';
import type { Branch, Turn, WaitingReason } from '../model/types.ts';

export interface QueueSnapshot {
  branches: readonly {
    id: string;
    worktreeState: Branch['worktreeState'];
    paused: Branch['paused'];
    /** Active and queued turns in the order they run (`compareTurns`). */
    line: readonly Pick<Turn, 'id' | 'sessionId' | 'state' | 'position'>[];
  }[];
  /** Turns that are starting or running everywhere. */
  active: number;
  /** Most turns that may be active at once. */
  limit: number;
  trusted: boolean;
  /** True when the agent of a session is defined and installed. */
  isInstalled: (sessionId: string) => boolean;
}

/** Why the head of a branch's line does not start, or undefined when only a free place is missing. */
function reasonOf(branch: QueueSnapshot['branches'][number], head: { sessionId: string }, snapshot: QueueSnapshot): WaitingReason | undefined {
  if (!snapshot.trusted) return 'trust';
  if (branch.paused !== 'no') return 'paused';
  if (branch.worktreeState !== 'ready') return 'worktree';
  if (!snapshot.isInstalled(head.sessionId)) return 'agent';
  return undefined;
}

/**
 * The turns to start now: the first of each branch on which nothing runs, as many as there are free places; the branch
 * whose first turn was queued earliest goes first. A full line elsewhere, a broken agent or a pause holds up its own branch only.
 */
export function nextTurns(snapshot: QueueSnapshot): string[] {
  const free = snapshot.limit - snapshot.active;
  if (free <= 0) return [];
  return snapshot.branches
    .flatMap((branch) => {
      const head = branch.line[0];
      return head && !isActive(head.state) && reasonOf(branch, head, snapshot) === undefined ? [head] : [];
    })
    .sort((a, b) => a.position - b.position || (a.id < b.id ? -1 : 1))
    .slice(0, free)
    .map((turn) => turn.id);
}

/** Why a queued turn waits; undefined for one that starts now, or that is not queued. */
export function waitingFor(turnId: string, branch: QueueSnapshot['branches'][number], snapshot: QueueSnapshot): WaitingReason | undefined {
  const place = branch.line.findIndex((turn) => turn.id === turnId);
  const turn = branch.line[place];
  if (!turn || isActive(turn.state)) return undefined;
  const reason = reasonOf(branch, turn, snapshot);
  if (reason === 'trust' || reason === 'paused' || reason === 'worktree') return reason;
  if (place > 0) return 'turn';
  return reason ?? (snapshot.active >= snapshot.limit ? 'capacity' : undefined);
}
