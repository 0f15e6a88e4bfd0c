/**
 * The only ways in which states change.
 *
 * Worktree: queued -> provisioning -> ready; failed from a step, back by retry; missing when the directory is gone, unreachable while the
 * disk that it is on is not there; removing -> removed, or removalFailed, from which it is removed again or prepared again.
 * Turn: queued -> starting -> running -> an end; starting -> queued is recovery of a prompt that was not sent; either -> queued when the
 * agent can't work now; an end but `completed` -> queued is a retry that a person asked for.
 */
import { IllegalTransitionError } from './errors.ts';
import type { Branch, TurnState, WorktreeState } from './types.ts';

const worktreeWays: Record<WorktreeState, readonly WorktreeState[]> = {
  queued: ['provisioning', 'removing'],
  provisioning: ['provisioning', 'ready', 'failed', 'queued', 'removing'],
  ready: ['missing', 'unreachable', 'removing'],
  failed: ['queued', 'provisioning', 'removing'],
  missing: ['provisioning', 'failed', 'removing'],
  unreachable: ['ready', 'missing', 'provisioning', 'removing'],
  removing: ['removed', 'removalFailed'],
  removalFailed: ['removing', 'provisioning'],
  removed: ['queued'],
};

const turnWays: Record<TurnState, readonly TurnState[]> = {
  queued: ['starting', 'cancelled', 'failed'],
  starting: ['running', 'queued', 'failed', 'cancelled', 'interrupted', 'completed'],
  running: ['queued', 'completed', 'failed', 'cancelled', 'interrupted'],
  completed: [],
  failed: ['queued'],
  cancelled: ['queued'],
  interrupted: ['queued'],
};

/** Returns `to`; throws IllegalTransitionError when the table has no such way (requirement 35). */
export function worktreeTransition(from: WorktreeState, to: WorktreeState): WorktreeState {
  if (!worktreeWays[from].includes(to)) throw new IllegalTransitionError('worktree', from, to);
  return to;
}

/** Returns `to`; throws IllegalTransitionError when the table has no such way (requirement 35). */
export function turnTransition(from: TurnState, to: TurnState): TurnState {
  if (!turnWays[from].includes(to)) throw new IllegalTransitionError('turn', from, to);
  return to;
}

export function canTurnBecome(from: TurnState, to: TurnState): boolean {
  return turnWays[from].includes(to);
}

const activeTurnStates: ReadonlySet<TurnState> = new Set(['starting', 'running']);
/** True while something is done to the branch's worktree. */
export const isPreparing = ({ worktreeState, backgroundSetup }: Pick<Branch, 'worktreeState' | 'backgroundSetup'>): boolean =>
  worktreeState === 'provisioning' || worktreeState === 'removing' || backgroundSetup === 'running';

export const isActive = (state: TurnState): boolean => activeTurnStates.has(state);
export const isEnded = (state: TurnState): boolean => state !== 'queued' && !activeTurnStates.has(state);
