/** What moves where, when turns are dropped on a row or moved as a block. Pure: plain data in, what the queue is to be told out. */
import type { Branch, Turn } from '../model/types.ts';
import type { Node } from './nodes.ts';

export interface Move {
  turnId: string;
  /** Null: to the end of the line. */
  before: string | null;
}

/** What of the store a drop needs. */
export interface DropState {
  branch(id: string): Branch | undefined;
  turn(id: string): Turn | undefined;
  titleOf(turn: Turn): string;
  /** Active and queued turns of a branch, in the order they run. */
  line(branchId: string): readonly Turn[];
}

/**
 * Turns that are dropped on a row go before it in their order; on their branch's row to the end; on a row above what waits to its
 * beginning. Where one of them can't go there, none goes, and `refused` says why and what to do.
 */
export function dropOn(
  target: Node | undefined,
  turnIds: readonly string[],
  state: DropState,
): { moves: Move[] } | { refused: string } {
  if (!target || target.type === 'repository')
    return { refused: 'A turn can be dropped on a turn of its own branch, to go before it, or on its branch, to go to the end.' };
  const branch = state.branch(target.branchId);
  if (!branch) return { refused: 'This branch is not in Branchline any more.' };
  for (const id of turnIds) {
    const turn = state.turn(id);
    if (!turn) return { refused: 'This turn is not in the queue any more.' };
    if (turn.state !== 'queued')
      return { refused: `"${state.titleOf(turn)}" does not wait any more, so it can't be moved. Drag turns that are queued.` };
    if (turn.branchId !== branch.id)
      return {
        refused: `"${state.titleOf(turn)}" stays on "${state.branch(turn.branchId)?.name ?? 'its branch'}": its conversation and its worktree are there. To have it done on "${branch.name}", queue it there and remove it here.`,
      };
  }
  const waiting = state.line(branch.id).flatMap((turn) => (turn.state === 'queued' ? [turn.id] : []));
  const dragged = waiting.filter((id) => turnIds.includes(id));
  const place =
    target.type === 'branch' ? waiting.length : target.type === 'turn' ? Math.max(0, waiting.indexOf(target.turnId)) : 0;
  const before = waiting.slice(place).find((id) => !dragged.includes(id)) ?? null;
  const others = waiting.filter((id) => !dragged.includes(id));
  const at = before === null ? others.length : others.indexOf(before);
  const after = [...others.slice(0, at), ...dragged, ...others.slice(at)];
  return { moves: after.join() === waiting.join() ? [] : dragged.map((turnId) => ({ turnId, before })) };
}

/**
 * The selected turns of one line that move by one place, in the order in which each is to be moved, so that what is selected moves as
 * a block. What stands at the end already stays, and so does what is selected behind it.
 */
export function blockMoves(line: readonly string[], selected: ReadonlySet<string>, direction: 'up' | 'down'): string[] {
  const ahead = direction === 'up' ? line : line.toReversed();
  const free = ahead.findIndex((id) => !selected.has(id));
  return free < 0 ? [] : ahead.slice(free).filter((id) => selected.has(id));
}
