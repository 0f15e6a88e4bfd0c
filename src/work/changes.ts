/** What a turn, a session or a branch has changed: two contents and how they differ. New files are in it, also while a turn runs. */
import { existsSync } from 'node:fs';
import { Git } from '../git/git.ts';
import { type ChangedFile, difference, snapshot } from '../git/trees.ts';
import { worktreeState } from '../git/worktrees.ts';
import { RefusedError } from '../model/errors.ts';
import { isActive } from '../model/transitions.ts';
import type { Branch, Session, Turn } from '../model/types.ts';
import { linksOf } from '../worktrees/preparation.ts';
import { gitOf } from '../worktrees/places.ts';

export interface FoundChanges {
  /** Tree or commit. */
  from: string;
  /** Undefined: the worktree as it is now. */
  to: string | undefined;
  files: ChangedFile[];
}

interface Ends {
  from: string;
  to: string | undefined;
}

/** Rejects with RefusedError where nothing has begun. */
export function changesOfTurn(branch: Branch, session: Session, turn: Turn): Promise<FoundChanges> {
  if (session.kind === 'review') return changesOfSession(branch, session, []);
  const from = turn.startTree ?? turn.startSha;
  if (!from) throw new RefusedError(`"${session.title}" has not begun, so there are no changes yet.`);
  return find(branch, { from, to: endOf(turn) });
}

/** From the start of the session's first turn to the end of its last; of a review what it reviewed (requirement 10). */
export function changesOfSession(branch: Branch, session: Session, turns: readonly Turn[]): Promise<FoundChanges> {
  if (session.kind === 'review') {
    if (!session.tipSha || !session.mergeBaseSha)
      throw new RefusedError('This review has not started, so it has no commits yet.');
    return find(branch, { from: session.mergeBaseSha, to: session.tipSha });
  }
  const begun = turns.filter(({ startTree, startSha }) => startTree !== null || startSha !== null);
  const [first, last] = [begun[0], begun.at(-1)];
  const from = first?.startTree ?? first?.startSha;
  if (!from || !last) throw new RefusedError(`"${session.title}" has not begun, so there are no changes yet.`);
  return find(branch, { from, to: endOf(last) });
}

/** From where the branch left its base to its worktree as it is now. */
export async function changesOfBranch(branch: Branch): Promise<FoundChanges> {
  if (!branch.worktreePath || !branch.baseSha)
    throw new RefusedError(`The worktree of "${branch.name}" is not there yet. It is made when a turn is queued on the branch.`);
  const git = new Git(branch.worktreePath);
  const base = (branch.base === null ? undefined : await git.commit(branch.base)) ?? branch.baseSha;
  return find(branch, { from: (await git.ask('merge-base', base, 'HEAD')) ?? branch.baseSha, to: undefined });
}

const endOf = (turn: Turn): string | undefined => (isActive(turn.state) ? undefined : (turn.endTree ?? turn.endSha ?? undefined));

async function find(branch: Branch, { from, to }: Ends): Promise<FoundChanges> {
  const worktree = branch.worktreePath;
  if (to !== undefined || worktree === null || !existsSync(worktree)) {
    const git = gitOf(branch);
    return { from, to: to ?? from, files: await difference(git, from, to ?? from) };
  }
  const git = new Git(worktree);
  const now = await snapshot(git, await worktreeState(git), linksOf(branch));
  return { from, to: undefined, files: await difference(git, from, now.tree) };
}
