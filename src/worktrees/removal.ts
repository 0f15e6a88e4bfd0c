/** Removing a worktree: what would be lost, and the removal itself (requirements 43 and 44, invariant 10). */
import { existsSync } from 'node:fs';
import { Git } from '../git/git.ts';
import { messageOf, WorktreeError } from '../model/errors.ts';
import type { Branch } from '../model/types.ts';
import { acquireWhenFree } from '../platform/exclusive.ts';
import { endMarked } from '../platform/processes.ts';
import { repositoryClaim } from './repositories.ts';
import { gitMark } from './steps/createWorktree.ts';
import { setupMark } from './steps/runSetup.ts';

/** Milliseconds. */
const claimTime = 120_000;

export interface AtRisk {
  /** Paths with uncommitted changes. */
  uncommitted: string[];
  /** Commits on the branch that no other branch and no remote has. */
  unmerged: number;
}

/** What removing the branch's worktree would lose. Unmerged commits stay on the branch, which is kept, but are told. */
export async function atRisk(branch: Branch): Promise<AtRisk> {
  if (!branch.worktreePath || !existsSync(branch.worktreePath)) return { uncommitted: [], unmerged: 0 };
  const git = new Git(branch.worktreePath);
  const uncommitted = await git.changedPaths();
  const own = await git.run(
    'rev-list',
    '--count',
    `refs/heads/${branch.name}`,
    '--not',
    `--exclude=refs/heads/${branch.name}`,
    '--branches',
    '--remotes',
  );
  return { uncommitted, unmerged: Number(own.trim()) };
}

/** Says exactly what would be lost, or undefined when nothing would be. */
export function lossInWords(name: string, { uncommitted, unmerged }: AtRisk): string | undefined {
  const parts: string[] = [];
  if (uncommitted.length > 0) {
    const shown = uncommitted.slice(0, 5).join(', ');
    parts.push(
      `${uncommitted.length === 1 ? '1 file has' : `${uncommitted.length} files have`} uncommitted changes, which would be lost (${shown}${uncommitted.length > 5 ? ', …' : ''}).`,
    );
  }
  if (unmerged > 0)
    parts.push(
      `${unmerged === 1 ? '1 commit is' : `${unmerged} commits are`} on no other branch; the branch "${name}" keeps ${unmerged === 1 ? 'it' : 'them'}.`,
    );
  return parts.length > 0 ? parts.join(' ') : undefined;
}

/** Removes the worktree's folder and git's entry for it; the branch stays. An adopted worktree is left where it is. */
export async function removeWorktree(branch: Branch, force: boolean): Promise<void> {
  await endMarked(setupMark(branch)); // Agents were ended with their hosts.
  const claim = await acquireWhenFree(repositoryClaim(branch.repository), AbortSignal.timeout(claimTime));
  if (!claim)
    throw new WorktreeError('Another worktree of this repository is being made, which takes long. Try again when it is done.');
  try {
    await endMarked(gitMark(branch));
    if (!branch.worktreePath || branch.adopted) return;
    const git = new Git(branch.repository);
    if (existsSync(branch.worktreePath)) await git.run('worktree', 'remove', ...(force ? ['--force'] : []), branch.worktreePath);
    else await git.run('worktree', 'prune');
  } catch (error) {
    throw new WorktreeError(`The worktree could not be removed: ${messageOf(error).trim()}`, { cause: error });
  } finally {
    await claim.release();
  }
}
