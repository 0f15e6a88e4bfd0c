import { isActive, isEnded } from './transitions.ts';
import type { Turn } from './types.ts';

type Ordered = Pick<Turn, 'id' | 'position' | 'state'>;

/**
 * The order in which queued turns run: the one comparator that queue, tree and timeline share (invariant 7).
 * A turn that is active comes before those that wait. Clocks play no part.
 */
export function compareTurns(a: Ordered, b: Ordered): number {
  const byState = Number(isActive(b.state)) - Number(isActive(a.state));
  if (byState !== 0) return byState;
  if (a.position !== b.position) return a.position - b.position;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/**
 * Position between two neighbours (either may be missing); `undefined` when there is no number left between them and
 * the line has to be numbered anew.
 */
export function positionBetween(before: number | undefined, after: number | undefined): number | undefined {
  if (before === undefined) return after === undefined ? 1 : after - 1;
  if (after === undefined) return before + 1;
  const middle = before + (after - before) / 2;
  return middle > before && middle < after ? middle : undefined;
}

type Row = Ordered & Pick<Turn, 'endedAt' | 'endedOrder'>;

/** The order in which rows are shown: what has ended as it ended, then the line as it runs (requirements 12 and 49). */
export function compareRows(a: Row, b: Row): number {
  const byEnd = Number(isEnded(b.state)) - Number(isEnded(a.state));
  if (byEnd !== 0) return byEnd;
  if (!isEnded(a.state)) return compareTurns(a, b);
  return (a.endedOrder ?? 0) - (b.endedOrder ?? 0) || (a.endedAt ?? 0) - (b.endedAt ?? 0) || compareTurns(a, b);
}
