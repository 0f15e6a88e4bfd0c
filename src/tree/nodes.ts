/** The things that the sidebar tree shows. A node holds ids only; what it looks like is read from the store each time. */
import { compareRows } from '../model/order.ts';
import { isEnded } from '../model/transitions.ts';
import type { Branch, Turn } from '../model/types.ts';
import type { Projection } from '../store/projection.ts';

export type Node =
  | { type: 'repository'; repository: string }
  | { type: 'branch'; branchId: string }
  /** The worktree while it is not simply ready. */
  | { type: 'worktree'; branchId: string }
  | { type: 'earlier'; branchId: string; count: number }
  | { type: 'turn'; branchId: string; sessionId: string; turnId: string };

export type TurnNode = Extract<Node, { type: 'turn' }>;
export type BranchNode = Extract<Node, { type: 'branch' }>;

/** Ended turns shown of a branch before "earlier" is asked for. */
export const endedAtFirst = 10;

export const shownBranches = (state: Projection): Branch[] =>
  Array.from(state.branches()).filter((branch) => branch.worktreeState !== 'removed');

/** Repositories when there are several, else branches. */
export function rootsOf(state: Projection): Node[] {
  const branches = shownBranches(state);
  const repositories = new Set(branches.map((branch) => branch.repository));
  if (repositories.size <= 1) return branches.map((branch) => ({ type: 'branch', branchId: branch.id }));
  return Array.from(repositories, (repository) => ({ type: 'repository', repository }));
}

export const branchesOf = (state: Projection, repository: string): Node[] =>
  shownBranches(state).flatMap((branch) => (branch.repository === repository ? [{ type: 'branch', branchId: branch.id }] : []));

/** The worktree while it is made, what has ended by time, then the line in the order it runs (requirements 12, 49). */
export function childrenOf(state: Projection, branchId: string, endedShown: number): Node[] {
  const branch = state.branch(branchId);
  if (!branch) return [];
  const nodes: Node[] = [];
  if (branch.worktreeState !== 'ready' || branch.backgroundSetup === 'running' || branch.backgroundSetup === 'failed')
    nodes.push({ type: 'worktree', branchId });
  const ended = endedTurns(state, branchId);
  const hidden = Math.max(0, ended.length - endedShown);
  if (hidden > 0) nodes.push({ type: 'earlier', branchId, count: hidden });
  for (const turn of [...ended.slice(hidden), ...state.line(branchId)])
    nodes.push({ type: 'turn', branchId, sessionId: turn.sessionId, turnId: turn.id });
  return nodes;
}

function endedTurns(state: Projection, branchId: string): Turn[] {
  return state
    .sessionsOf(branchId)
    .flatMap((session) => state.turnsOf(session.id))
    .filter((turn) => isEnded(turn.state))
    .sort(compareRows);
}
