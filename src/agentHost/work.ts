/** What a turn does with git, before and after the agent: where it starts from, and the commit of what it left behind. */
import { realpathSync } from 'node:fs';
import { AgentError, messageOf, WorktreeError } from '../model/errors.ts';
import { Git, type GitOptions } from '../git/git.ts';
import type { Job } from './protocol.ts';

export interface StartingPoint {
  sha: string | undefined;
  /** Paths that were changed before the turn; they are never swept into its commit. */
  dirty: string[];
}

const commitTimeLimit = 10 * 60_000;

/** Checks that the folder is the branch's worktree, and says where the turn starts; rejects with WorktreeError. */
export async function startingPoint(job: Job, options: GitOptions): Promise<StartingPoint> {
  const git = new Git(job.worktree, options);
  const top = await git.line('rev-parse', '--show-toplevel');
  if (!top || realpathSync(top) !== realpathSync(job.worktree)) {
    throw new WorktreeError(
      `${job.worktree} is not a worktree of this repository any more. Move that folder away and retry: the worktree is made again.`,
    );
  }
  const branch = await git.currentBranch();
  if (branch !== job.branch) {
    throw new WorktreeError(
      `The worktree is on ${branch ? `the branch "${branch}"` : 'no branch (detached HEAD)'} instead of "${job.branch}". Run \`git switch ${job.branch}\` in ${job.worktree}, then retry.`,
    );
  }
  return { sha: await git.commit('HEAD'), dirty: await git.changedPaths() };
}

export type CommitResult =
  | { done: 'nothing' }
  | { done: 'left'; why: string }
  | { done: 'committed'; sha: string; files: number };

/**
 * Commits what the agent left behind under the session's title, with the user's identity and hooks. Rejects with AgentError
 * when git refuses; the changes are in the worktree then.
 */
export async function commitLeftovers(
  job: Job,
  start: StartingPoint,
  { signal, mark }: Required<GitOptions>,
): Promise<CommitResult> {
  const git = new Git(job.worktree, {
    mark,
    signal: AbortSignal.any([signal as AbortSignal, AbortSignal.timeout(commitTimeLimit)]),
  });
  const branch = await git.currentBranch();
  if (branch !== job.branch) {
    throw new AgentError(
      `The agent left the branch "${job.branch}" (the worktree is on ${branch ? `"${branch}"` : 'no branch'} now), so nothing was committed for it. Look at ${job.worktree}, run \`git switch ${job.branch}\` there, and go on.`,
    );
  }
  const changed = await git.changedPaths();
  if (changed.length === 0) return { done: 'nothing' };
  if (start.dirty.length > 0) {
    return {
      done: 'left',
      why: `Nothing was committed for this turn: ${start.dirty.length === 1 ? 'a file' : `${start.dirty.length} files`} had uncommitted changes before it (${shown(start.dirty)}). Commit or discard them in the worktree.`,
    };
  }
  try {
    await git.run('add', '--all');
    await git.run('commit', '--quiet', '--message', job.title);
  } catch (error) {
    throw new AgentError(
      `The agent finished, but its changes could not be committed: ${messageOf(error).trim()}. They are in the worktree; commit them there, or mend the cause and retry.`,
      { cause: error },
    );
  }
  return { done: 'committed', sha: (await git.commit('HEAD')) ?? '', files: changed.length };
}

const shown = (paths: string[]): string => `${paths.slice(0, 3).join(', ')}${paths.length > 3 ? ', …' : ''}`;
