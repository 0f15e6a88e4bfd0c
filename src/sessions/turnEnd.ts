/** The one place that writes the end of a turn, and what follows from it for its branch and session. */
import type { IdSource } from '../model/ids.ts';
import { isEnded, turnTransition } from '../model/transitions.ts';
import type { TurnOutcome } from '../model/transcript.ts';
import { newSession, newTurn } from '../model/rows.ts';
import type { Turn } from '../model/types.ts';
import type { Unavailable } from '../model/unavailable.ts';
import type { Conclusion } from '../model/work.ts';
import type { Transaction } from '../store/store.ts';
import { agentWorks, type WaitOptions, waitForAgent } from './agentWaits.ts';

export interface TurnEnd {
  outcome: TurnOutcome;
  message: string | null;
  startSha: string | null;
  endSha: string | null;
  /** What became of its work; null where the agent never had the prompt, or the work can't be looked at. */
  conclusion: Conclusion | null;
  startTree: string | null;
  /** Set where it failed because its agent can't work now. */
  unavailable?: Unavailable | undefined;
}

export interface EndOptions extends WaitOptions {
  newId: IdSource;
  onFailure: () => 'pause' | 'continue';
  autoReview: () => boolean;
  /** False for the shell agent, which can't review. */
  canReview: (agent: string) => boolean;
}

/** Does nothing for a turn that has ended already, so an end that is told twice is announced once. */
export function endTurn(tx: Transaction, turn: Turn, end: TurnEnd, options: EndOptions): void {
  if (isEnded(turn.state) || turn.state === 'queued') return;
  const isToWait = end.unavailable && end.outcome === 'failed' && !turn.cancelRequested;
  if (isToWait && waitForAgent(tx, turn, end.unavailable as Unavailable, end.conclusion, options)) return;
  const agent = tx.get('session', turn.sessionId)?.agent;
  if (end.outcome === 'completed' && agent !== undefined) agentWorks(tx, agent, turn);
  const endedOrder = tx.event(end.outcome, turn.branchId, turn.id);
  const failed = end.outcome === 'failed' || end.outcome === 'interrupted' || end.conclusion?.commit?.state === 'held';
  tx.update('turn', turn.id, {
    state: turnTransition(turn.state, end.outcome),
    endedAt: options.now(),
    endedOrder,
    error: end.message && end.outcome !== 'completed' ? { message: end.message } : null,
    startSha: end.startSha ?? turn.startSha,
    endSha: end.endSha ?? turn.endSha,
    startTree: end.startTree ?? turn.startTree,
    permission: null,
    silentSince: null,
  });
  if (end.conclusion) applyConclusion(tx, turn.id, end.conclusion);
  if (end.outcome !== 'cancelled') tx.update('session', turn.sessionId, { unread: true });
  const branch = tx.get('branch', turn.branchId);
  if (failed && options.onFailure() === 'pause' && branch?.paused === 'no')
    tx.update('branch', turn.branchId, { paused: 'failure' });
  if (end.outcome === 'completed' && !failed && options.autoReview()) queueReview(tx, turn, end, options);
}

/** Writes what became of a turn's work, and of the held work of earlier turns that its commit holds, too. */
export function applyConclusion(tx: Transaction, turnId: string, { head, tree, work, commit, settled }: Conclusion): void {
  const turn = tx.get('turn', turnId);
  if (!turn) return;
  tx.update('turn', turnId, { endSha: head ?? turn.endSha, endTree: tree, work, commit });
  if (commit) tx.event(commit.state === 'made' ? 'committed' : 'held', turn.branchId, turnId);
  if (commit?.state === 'made') for (const id of settled) settle(tx, id, commit.sha);
}

/** A turn whose commit was held: what it left is in this commit now. */
export function settle(tx: Transaction, turnId: string, sha: string): void {
  const turn = tx.get('turn', turnId);
  if (turn?.commit?.state !== 'held') return;
  tx.update('turn', turnId, { commit: { state: 'made', sha, files: turn.work?.files ?? 0 } });
  tx.event('committed', turn.branchId, turnId);
}

/** Fails a turn that has not been handed to anybody. */
export function failQueuedTurn(tx: Transaction, turnId: string | undefined, message: string, options: EndOptions): void {
  const row = turnId === undefined ? undefined : tx.get('turn', turnId);
  if (row?.state !== 'queued') return;
  const state = turnTransition(row.state, 'starting');
  tx.update('turn', row.id, { state });
  endTurn(
    tx,
    { ...row, state },
    { outcome: 'failed', message, startSha: null, endSha: null, conclusion: null, startTree: null },
    options,
  );
}

/** An automatic review after a commit session, unless more work is queued on the branch (requirement 11). */
function queueReview(tx: Transaction, turn: Turn, end: TurnEnd, { canReview, newId, now }: EndOptions): void {
  const session = tx.get('session', turn.sessionId);
  if (tx.get('branch', turn.branchId)?.worktreeState !== 'ready') return; // It is being removed.
  if (session?.kind !== 'commit' || !end.startSha || end.startSha === end.endSha || !canReview(session.agent)) return;
  if (tx.select('turn', "branchId = ? AND state = 'queued' LIMIT 1", [turn.branchId]).length > 0) return;
  const id = newId();
  const turnId = newId();
  tx.insert(
    'session',
    newSession({
      id,
      branchId: turn.branchId,
      kind: 'review',
      agent: session.agent,
      title: `Review: ${session.title}`,
      createdAt: now(),
      madeOrder: tx.nextEvent(),
    }),
  );
  tx.insert(
    'turn',
    newTurn({
      id: turnId,
      sessionId: id,
      branchId: turn.branchId,
      prompt: `Review the commits ${end.startSha}..${end.endSha} on this branch. Look for bugs, missing tests and unclear code. Change nothing; list what you find, the most important first.`,
      position: turn.position + 1,
      queuedAt: now(),
    }),
  );
  tx.event('queued', turn.branchId, turnId);
}
