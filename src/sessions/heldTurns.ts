import type { Turn } from '../model/types.ts';
import type { HeldTurn } from '../work/turnWork.ts';

/** Turns of a branch whose commits are held, as those see them who conclude another turn of it. */
export const heldTurns = (held: readonly Turn[], except: string): HeldTurn[] =>
  held.flatMap(({ id, startTree, endTree }) =>
    id !== except && startTree && endTree ? [{ turnId: id, from: startTree, to: endTree }] : [],
  );
