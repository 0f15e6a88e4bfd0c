/** git's worktrees: which there are, and what one of them is at. Nothing of another worktree is ever changed (no `prune`). */
import { lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { WorktreeError } from '../model/errors.ts';
import type { Git } from './git.ts';
import { type Operation, operationUnderWay } from './operations.ts';
import { commonFolderOf, commonFolderOfRepository, findRepository, gitFolderOf } from './repository.ts';
import { type Status, statusOf } from './status.ts';
import { gitVersion, isAtLeast } from './version.ts';

export interface ListedWorktree {
  path: string;
  /** Short name; undefined when detached or bare. */
  branch: string | undefined;
  bare: boolean;
  /** Full sha of its HEAD; undefined when bare or unborn. */
  head: string | undefined;
}

/** All worktrees of a repository, the main one first. Costs one read of each, so it is not asked on the usual way (requirement 45). */
export async function listWorktrees(git: Git): Promise<ListedWorktree[]> {
  const nul = isAtLeast(await gitVersion(git.folder), [2, 36]); // Before, only line feeds end a field.
  return parseWorktreeList(await git.run('worktree', 'list', '--porcelain', ...(nul ? ['-z'] : [])), nul ? '\0' : '\n');
}

/** Parses the output of `git worktree list --porcelain` (git-worktree(1)). */
export function parseWorktreeList(output: string, end: '\0' | '\n' = '\0'): ListedWorktree[] {
  return output.split(end + end).flatMap((block) => {
    const lines = block.split(end);
    const value = (key: string) => lines.find((line) => line.startsWith(`${key} `))?.slice(key.length + 1);
    const path = value('worktree');
    if (!path) return [];
    return [{ path, branch: value('branch')?.replace(/^refs\/heads\//, ''), bare: lines.includes('bare'), head: value('HEAD') }];
  });
}

export type There = 'nothing' | 'complete' | 'incomplete' | 'other';

/** Looks at one folder only: does it hold this branch's worktree of this repository, whole or as a crash left it? */
export function worktreeAt(path: string, repository: string, branch: string): There {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return 'nothing';
  try {
    if (stat.isDirectory() && readdirSync(path).length === 0) return 'nothing';
  } catch {
    return 'other';
  }
  const gitFolder = gitFolderOf(path);
  if (!gitFolder || commonFolderOf(gitFolder) === gitFolder || findRepository(path)?.repository !== repository) return 'other';
  // `git worktree add` keeps a lock on the entry until the checkout is whole, with a reason in the user's language (git's builtin/worktree.c);
  // what shows in every language is that the index is not there before it.
  if (!lstatSync(join(gitFolder, 'index'), { throwIfNoEntry: false })) return 'incomplete';
  const head = readText(join(gitFolder, 'HEAD'))?.trim();
  return head === `ref: refs/heads/${branch}` || rebasedBranch(gitFolder) === branch ? 'complete' : 'other';
}

/** The branch that a rebase in this worktree is of, for which HEAD is detached. */
function rebasedBranch(gitFolder: string): string | undefined {
  for (const folder of ['rebase-merge', 'rebase-apply']) {
    const name = readText(join(gitFolder, folder, 'head-name'))?.trim();
    if (name) return name.replace(/^refs\/heads\//, '');
  }
  return undefined;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** What tells a folder from another one at the same path, also after a restart; undefined where none is. */
export const folderIdentity = (path: string): string | undefined =>
  lstatSync(path, { bigint: true, throwIfNoEntry: false })?.ino.toString();

/**
 * Puts the `.git` file of a linked worktree back where an agent deleted it: git's entry still names the place. What `git worktree repair`
 * does for all worktrees at once is done for this one alone. The caller knows that the folder is the worktree still: git's entry names
 * its path only, where the user may have put another folder.
 */
export function mendGitFile(folder: string, repository: string): void {
  const file = join(folder, '.git');
  if (lstatSync(file, { throwIfNoEntry: false }) || !lstatSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  const entries = join(commonFolderOfRepository(repository), 'worktrees');
  for (const name of listed(entries)) {
    const entry = join(entries, name);
    const named = readText(join(entry, 'gitdir'))?.trim();
    if (!named || resolve(entry, named) !== file) continue;
    writeFileSync(file, `gitdir: ${entry}\n`, { flag: 'wx' });
    return;
  }
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Everything that is asked of a worktree before and after a turn. */
export interface WorktreeState extends Omit<Status, 'newRepositories'> {
  /** Repositories inside that somebody staged and that are no submodules: a commit of ours leaves them out. They are `embedded`, too. */
  hulls: string[];
  operation: Operation | undefined;
  gitFolder: string;
}

/** What a worktree is at. Rejects with WorktreeError where the folder is no worktree any more, and with GitError where git can't say. */
export async function worktreeState(git: Git): Promise<WorktreeState> {
  const gitFolder = gitFolderOf(git.folder);
  if (!gitFolder)
    throw new WorktreeError(
      `${git.folder} is not a worktree of this repository any more. Move that folder away and retry: the worktree is made again.`,
    );
  const { newRepositories, ...status } = await statusOf(git);
  const known = newRepositories.length > 0 ? await submodulePaths(git) : undefined;
  const submodules = newRepositories.filter(({ path }) => known?.has(path));
  const hulls = newRepositories.flatMap(({ path }) => (known?.has(path) ? [] : [path]));
  return {
    ...status,
    changed: [...status.changed, ...submodules],
    embedded: [...status.embedded, ...hulls],
    hulls,
    gitFolder,
    operation: await operationUnderWay(git, gitFolder),
  };
}

/** What `.gitmodules` names (gitmodules(5)): from there its content can be had by others. */
export async function submodulePaths(git: Git): Promise<Set<string>> {
  const output = await git.answer(
    'config',
    '--file',
    join(git.folder, '.gitmodules'),
    '-z',
    '--get-regexp',
    '^submodule\\..*\\.path$',
  );
  return new Set((output ?? '').split('\0').flatMap((entry) => (entry === '' ? [] : [entry.slice(entry.indexOf('\n') + 1)])));
}

/** True when the worktree works on this branch: it is checked out, or a rebase of it is under way. */
export const isOnBranch = ({ branch, operation }: Pick<WorktreeState, 'branch' | 'operation'>, name: string): boolean =>
  branch === name || (branch === undefined && operation?.branch === name);
