/** The one place that writes the end of a turn, and what follows from it for its branch and session. */
import type { IdSource } from '../model/ids.ts';
import { isEnded, turnTransition } from '../model/transitions.ts';
import type { TurnOutcome } from '../model/transcript.ts';
import type { Turn } from '../model/types.ts';
import type { Transaction } from '../store/store.ts';

export interface TurnEnd {
  outcome: TurnOutcome;
  message: string | null;
  startSha: string | null;
  endSha: string | null;
}

export interface EndOptions {
  now: () => number;
  newId: IdSource;
  onFailure: () => 'pause' | 'continue';
  autoReview: () => boolean;
  /** False for the shell agent, which can't review. */
  canReview: (agent: string) => boolean;
}

/** Does nothing for a turn that has ended already, so an end that is told twice is announced once. */
export function endTurn(tx: Transaction, turn: Turn, end: TurnEnd, options: EndOptions): void {
  if (isEnded(turn.state) || turn.state === 'queued') return;
  const endedOrder = tx.event(end.outcome, turn.branchId, turn.id);
  const failed = end.outcome === 'failed' || end.outcome === 'interrupted';
  tx.update('turn', turn.id, {
    state: turnTransition(turn.state, end.outcome),
    endedAt: options.now(),
    endedOrder,
    error: end.message && end.outcome !== 'completed' ? { message: end.message } : null,
    startSha: end.startSha ?? turn.startSha,
    endSha: end.endSha ?? turn.endSha,
    permission: null,
    silentSince: null,
  });
  if (end.outcome !== 'cancelled') tx.update('session', turn.sessionId, { unread: true });
  const branch = tx.get('branch', turn.branchId);
  if (failed && options.onFailure() === 'pause' && branch?.paused === 'no')
    tx.update('branch', turn.branchId, { paused: 'failure' });
  if (end.outcome === 'completed' && options.autoReview()) queueReview(tx, turn, end, options);
}

/** Fails a turn that has not been handed to anybody. */
export function failQueuedTurn(tx: Transaction, turnId: string | undefined, message: string, options: EndOptions): void {
  const row = turnId === undefined ? undefined : tx.get('turn', turnId);
  if (row?.state !== 'queued') return;
  const state = turnTransition(row.state, 'starting');
  tx.update('turn', row.id, { state });
  endTurn(tx, { ...row, state }, { outcome: 'failed', message, startSha: null, endSha: null }, options);
}

/** An automatic review after a commit session, unless more work is queued on the branch (requirement 11). */
function queueReview(tx: Transaction, turn: Turn, end: TurnEnd, { canReview, newId, now }: EndOptions): void {
  const session = tx.get('session', turn.sessionId);
  if (tx.get('branch', turn.branchId)?.worktreeState !== 'ready') return; // It is being removed.
  if (session?.kind !== 'commit' || !end.startSha || end.startSha === end.endSha || !canReview(session.agent)) return;
  if (tx.select('turn', "branchId = ? AND state = 'queued' LIMIT 1", [turn.branchId]).length > 0) return;
  const id = newId();
  const turnId = newId();
  tx.insert('session', {
    id,
    branchId: turn.branchId,
    kind: 'review',
    agent: session.agent,
    title: `Review: ${session.title}`,
    createdAt: now(),
    agentSessionId: null,
    agentInfo: null,
    worktreePath: null,
    tipSha: null,
    mergeBaseSha: null,
    retired: null,
    closed: false,
    unread: false,
    madeOrder: tx.nextEvent(),
  });
  tx.insert('turn', {
    id: turnId,
    sessionId: id,
    branchId: turn.branchId,
    state: 'queued',
    prompt: `Review the commits ${end.startSha}..${end.endSha} on this branch. Look for bugs, missing tests and unclear code. Change nothing; list what you find, the most important first.`,
    attachments: [],
    position: turn.position + 1,
    queuedAt: now(),
    startedAt: null,
    endedAt: null,
    startSha: null,
    endSha: null,
    error: null,
    hostId: null,
    attempt: 0,
    cancelRequested: false,
    permission: null,
    silentSince: null,
    endedOrder: null,
  });
  tx.event('queued', turn.branchId, turnId);
}
