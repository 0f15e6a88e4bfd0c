/** Makes the branch's worktree, or takes up the one that already holds the branch (requirements 41, 42, 48). */
import { createHash } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Git } from '../../git/git.ts';
import { type ListedWorktree, listWorktrees, worktreeAt } from '../../git/worktrees.ts';
import { LostBranchError, messageOf, WorktreeError } from '../../model/errors.ts';
import type { Branch } from '../../model/types.ts';
import { mountOf } from '../../platform/mounts.ts';
import { endMarked } from '../../platform/processes.ts';
import { worktreeLocation } from '../location.ts';
import { gitOf, homeOfBranch } from '../places.ts';
import { prepared } from '../preparation.ts';
import { remoteBranch } from './resolveBase.ts';
import type { Step, StepContext } from './step.ts';

/** The same for every window: who has the repository ends what a window that is gone has left at work on the branch. */
export const gitMark = ({ repository, name }: Pick<Branch, 'repository' | 'name'>): string =>
  `git-${createHash('sha256').update(`${repository}\0${name}`).digest('hex').slice(0, 24)}`;

/** A checkout may have many files, filters and hooks; milliseconds. */
const checkoutLimit = 60 * 60_000;

export const createWorktree: Step = async (context) => {
  const { branch, settings, signal, save } = context;
  const path =
    branch.worktreePath ??
    worktreeLocation({ template: settings.location, branch: branch.name, ...(await homeOfBranch(branch)) });
  const git = gitOf(branch, { signal, mark: gitMark(branch), limit: checkoutLimit });
  await endMarked(gitMark(branch)); // A git of an earlier window may still be at it.

  const there = worktreeAt(path, branch.repository, branch.name);
  if (there === 'complete') return ready(context, path, branch.adopted || branch.worktreePath === null);
  if (there === 'other' || (there === 'incomplete' && branch.worktreePath !== path)) {
    throw new WorktreeError(
      `The folder ${path} is there already and is not a worktree of "${branch.name}". Move it away or change "branchline.worktrees.location", then retry.`,
    );
  }
  // Only what we began at this path ourselves is taken away; other worktrees' entries are never touched.
  if (branch.worktreePath === path) await removeOwnEntry(git, branch, path);
  await refuseLostBranch(git, context);
  if (branch.worktreePath !== path) await save({ worktreePath: path }); // So that a crash from here on finds what it left.
  await mkdir(dirname(path), { recursive: true });
  const hookSaid = await makeOrTakeUp(git, context, path);
  return typeof hookSaid === 'object' ? ready(context, hookSaid.takenUp, true) : ready(context, path, false, hookSaid);
};

/** Undefined when it was made; what a hook said that failed after it; or the path of the worktree that holds the branch already. */
async function makeOrTakeUp(git: Git, context: StepContext, path: string): Promise<string | undefined | { takenUp: string }> {
  const { branch, signal } = context;
  try {
    await add(git, branch, path, false);
    return undefined;
  } catch (error) {
    if (signal.aborted) throw error;
    // A hook that fails is told by git's exit code like anything else; the worktree shows whether it was made.
    if (worktreeAt(path, branch.repository, branch.name) === 'complete') return messageOf(error).trim().slice(-2_000);
    const elsewhere = await checkedOutAt(git, context);
    if (elsewhere === 'deleted') await add(git, branch, path, true);
    else if (elsewhere) return { takenUp: elsewhere };
    else throw new WorktreeError(`git could not make the worktree: ${messageOf(error).trim()}`, { cause: error });
    return undefined;
  }
}

/** `beside`: another worktree's entry names the branch, too. */
async function add(git: Git, branch: Branch, path: string, beside: boolean): Promise<void> {
  const force = beside ? ['--force'] : [];
  if (await git.commit(`refs/heads/${branch.name}`)) {
    await git.run('worktree', 'add', ...force, path, branch.name);
    return;
  }
  const remote = branch.base === null ? await remoteBranch(git, branch.name) : undefined;
  if (remote) await git.run('worktree', 'add', ...force, '--track', '-b', branch.name, path, remote.replace('refs/remotes/', ''));
  else await git.run('worktree', 'add', ...force, '--no-track', '-b', branch.name, path, branch.baseSha as string);
}

/** Takes away git's entry for our own path, whose folder is gone or was never whole. Commits that only its HEAD had are kept under a ref. */
async function removeOwnEntry(git: Git, branch: Branch, path: string): Promise<void> {
  const entry = (await listWorktrees(git)).find((worktree) => samePath(worktree.path, path));
  if (!entry) return;
  await keepDetached(git, branch, entry);
  await git.run('worktree', 'remove', '--force', '--force', path);
}

async function keepDetached(git: Git, { id }: Branch, { branch, head }: ListedWorktree): Promise<void> {
  if (branch !== undefined || head === undefined || (await git.commit(head)) === undefined) return;
  const own = Number((await git.run('rev-list', '--count', head, '--not', '--branches', '--tags', '--remotes')).trim());
  if (own > 0) await git.run('update-ref', `refs/branchline/lost/${id}`, head);
}

function samePath(a: string, b: string): boolean {
  const canonical = (path: string) => {
    try {
      return realpathSync.native(path);
    } catch {
      return path;
    }
  };
  return a === b || canonical(a) === canonical(b);
}

/** A branch on which work was done and that is gone was deleted by somebody: it is not silently made anew from its base. */
async function refuseLostBranch(git: Git, { branch, hasRun }: StepContext): Promise<void> {
  if (!hasRun || branch.worktreePath === null || (await git.commit(`refs/heads/${branch.name}`))) return;
  throw new LostBranchError(
    `The branch "${branch.name}" and its worktree were deleted. Restore it (\`git branch ${branch.name} <commit>\`; \`git reflog\` and this branch's turns name commits) and retry, or remove it from Branchline.`,
  );
}

/** Where the branch is checked out already: a path to take up, or `deleted` when only an entry without its folder holds it. */
async function checkedOutAt(git: Git, { branch, ownCheckouts }: StepContext): Promise<string | undefined> {
  const worktrees = await listWorktrees(git);
  const index = worktrees.findIndex((worktree) => worktree.branch === branch.name);
  const found = worktrees[index];
  if (!found) return undefined;
  if (!existsSync(found.path)) {
    // Its disk may only be away: then its entry is all that the user has of it.
    if (existsSync(dirname(found.path))) return 'deleted';
    throw new WorktreeError(
      `"${branch.name}" belongs to the worktree ${found.path}, which can't be reached now. Connect its disk, or run \`git worktree remove --force ${found.path}\` if it is gone for good, then retry.`,
    );
  }
  const path = realpathSync(found.path);
  if ((index === 0 && !found.bare) || ownCheckouts.includes(path)) {
    throw new WorktreeError(
      `"${branch.name}" is checked out in your own checkout (${path}), where agents never work. Switch that checkout to another branch and retry, or queue on a new branch with "${branch.name}" as its base.`,
    );
  }
  return path;
}

async function ready(
  { branch, ownCheckouts }: StepContext,
  path: string,
  adopted: boolean,
  hookSaid?: string,
): Promise<Partial<Branch>> {
  const canonical = realpathSync(path);
  if (ownCheckouts.includes(canonical))
    throw new WorktreeError(
      `${canonical} is open in this window as your own checkout, where agents never work. Open the repository's main folder instead, then retry.`,
    );
  return {
    worktreePath: canonical,
    adopted,
    preparation: prepared(branch, { hookSaid: hookSaid ?? null, mount: mountOf(canonical) }),
  };
}
