/** Makes the branch's worktree, or takes up the one that already holds the branch (requirements 41, 42, 48). */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Git } from '../../git/git.ts';
import { LostBranchError, messageOf, WorktreeError } from '../../model/errors.ts';
import type { Branch } from '../../model/types.ts';
import { endMarked } from '../../platform/processes.ts';
import { worktreeLocation } from '../location.ts';
import { findRepository, gitFolderOf } from '../repositories.ts';
import { listWorktrees } from '../worktreeList.ts';
import { remoteBranch } from './resolveBase.ts';
import type { Step, StepContext } from './step.ts';

/** The same for every window: who has the repository ends what a window that is gone has left at work on the branch. */
export const gitMark = ({ repository, name }: Branch): string =>
  `git-${createHash('sha256').update(`${repository}\0${name}`).digest('hex').slice(0, 24)}`;

export const createWorktree: Step = async (context) => {
  const { branch, settings, signal, save } = context;
  const path = branch.worktreePath ?? worktreeLocation(settings.location, branch.repository, branch.name);
  const git = new Git(branch.repository, { signal, mark: gitMark(branch) });
  await endMarked(gitMark(branch)); // A git of an earlier window may still be at it.

  const there = whatIsAt(path, branch);
  if (there === 'complete') return ready(context, path, branch.adopted || branch.worktreePath === null);
  if (there === 'other') {
    throw new WorktreeError(
      `The folder ${path} is there already and is not a worktree of "${branch.name}". Move it away or change "branchline.worktrees.location", then retry.`,
    );
  }
  if (there === 'incomplete') await git.run('worktree', 'remove', '--force', '--force', path);
  if (branch.worktreeState === 'missing' || branch.worktreePath !== null) await git.run('worktree', 'prune');
  await refuseLostBranch(git, context);
  if (branch.worktreePath !== path) await save({ worktreePath: path }); // So that a crash from here on finds what it left.
  await mkdir(dirname(path), { recursive: true });
  try {
    await add(git, branch, path);
  } catch (error) {
    if (signal.aborted) throw error;
    const elsewhere = await takeUp(git, context);
    if (elsewhere === 'pruned') await add(git, branch, path);
    else if (elsewhere) return ready(context, elsewhere, true);
    else throw new WorktreeError(`git could not make the worktree: ${messageOf(error).trim()}`, { cause: error });
  }
  return ready(context, path, false);
};

async function add(git: Git, branch: Branch, path: string): Promise<void> {
  if (await git.commit(`refs/heads/${branch.name}`)) {
    await git.run('worktree', 'add', path, branch.name);
    return;
  }
  const remote = branch.base === null ? await remoteBranch(git, branch.name) : undefined;
  if (remote) await git.run('worktree', 'add', '--track', '-b', branch.name, path, remote.replace('refs/remotes/', ''));
  else await git.run('worktree', 'add', '--no-track', '-b', branch.name, path, branch.baseSha as string);
}

/** A branch on which work was done and that is gone was deleted by somebody: it is not silently made anew from its base. */
async function refuseLostBranch(git: Git, { branch, hasRun }: StepContext): Promise<void> {
  if (!hasRun || branch.worktreePath === null || (await git.commit(`refs/heads/${branch.name}`))) return;
  throw new LostBranchError(
    `The branch "${branch.name}" and its worktree were deleted. Restore it (\`git branch ${branch.name} <commit>\`; \`git reflog\` and this branch's turns name commits) and retry, or remove it from Branchline.`,
  );
}

/** Where the branch is checked out already: a path to take up, or `pruned` when only a stale entry held it. */
async function takeUp(git: Git, { branch, ownCheckouts }: StepContext): Promise<string | undefined> {
  const worktrees = await listWorktrees(git);
  const index = worktrees.findIndex((worktree) => worktree.branch === branch.name);
  const found = worktrees[index];
  if (!found) return undefined;
  if (!existsSync(found.path)) {
    await git.run('worktree', 'prune');
    return 'pruned';
  }
  const path = realpathSync(found.path);
  if ((index === 0 && !found.bare) || ownCheckouts.includes(path)) {
    throw new WorktreeError(
      `"${branch.name}" is checked out in your own checkout (${path}), where agents never work. Switch that checkout to another branch and retry, or queue on a new branch with "${branch.name}" as its base.`,
    );
  }
  return path;
}

async function ready({ ownCheckouts }: StepContext, path: string, adopted: boolean): Promise<Partial<Branch>> {
  const canonical = realpathSync(path);
  if (ownCheckouts.includes(canonical))
    throw new WorktreeError(
      `${canonical} is open in this window as your own checkout, where agents never work. Open the repository's main folder instead, then retry.`,
    );
  return { worktreePath: canonical, adopted };
}

type There = 'nothing' | 'complete' | 'incomplete' | 'other';

/** Looks at one folder only: does it hold this branch's worktree, whole or as a crash left it? */
function whatIsAt(path: string, branch: Branch): There {
  if (!existsSync(path)) return 'nothing';
  try {
    if (readdirSync(path).length === 0) return 'nothing';
  } catch {
    return 'other';
  }
  const gitFolder = gitFolderOf(path);
  if (!gitFolder || findRepository(path)?.repository !== branch.repository) return 'other';
  // `git worktree add` holds this lock until the checkout is whole (git's builtin/worktree.c).
  const lock = readText(join(gitFolder, 'locked'));
  if (lock?.startsWith('initializing')) return 'incomplete';
  return readText(join(gitFolder, 'HEAD'))?.trim() === `ref: refs/heads/${branch.name}` ? 'complete' : 'other';
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
