/**
 * The content of a worktree as a tree: tracked files, and untracked ones that are not ignored, whatever is staged or in conflict.
 * Written through an index of our own that begins as a copy of the worktree's, so that it costs about a `git status`.
 */
import { copyFile, lstat, readdir, realpath, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { randomId } from '../model/ids.ts';
import type { Git } from './git.ts';
import type { ChangedPath } from './status.ts';
import { gitVersion, isAtLeast } from './version.ts';
import type { WorktreeState } from './worktrees.ts';

export interface Snapshot {
  /** Full sha of HEAD; undefined when unborn. */
  head: string | undefined;
  /** A tree, or the commit that has the same content. */
  tree: string;
  /** Paths whose content git could not take in at all. */
  unreadable: string[];
}

/** Paths of the worktree that differ from HEAD, without `links` (links of ours are never changes) and what lies behind them. */
export function changedWithout(changed: readonly ChangedPath[], links: readonly string[]): ChangedPath[] {
  if (links.length === 0) return [...changed];
  return changed.filter(({ path }) => !links.some((link) => path === link || path.startsWith(`${link}/`)));
}

/** Writes the content of the worktree that `state` was read from. Nothing in the worktree and its index changes. */
export async function snapshot(git: Git, state: WorktreeState, links: readonly string[]): Promise<Snapshot> {
  const changed = changedWithout(state.changed, links);
  const { head } = state;
  if (head !== undefined && changed.length === 0) return { head, tree: head, unreadable: [] };
  return withIndex(git, state.gitFolder, 'copy', async (own) => {
    const unreadable = await stage(own, changed);
    // What links of ours led git to stage is taken out again, and repositories without their content.
    const linked = state.changed.filter((one) => one.staged && !changed.includes(one)).map(({ path }) => path);
    linked.push(...state.hulls);
    if (linked.length > 0)
      await own.feed(nulled(linked), '--literal-pathspecs', 'rm', '--cached', '--quiet', '--ignore-unmatch', ...fromInput);
    const tree = (await own.run('write-tree', '--missing-ok')).trim(); // Of a partial clone, nothing is fetched for it.
    return { head, tree, unreadable };
  });
}

/** Does something with git on an index of our own, which begins as a copy of the worktree's, or with the content of HEAD. */
export async function withIndex<T>(
  git: Git,
  gitFolder: string,
  from: 'copy' | 'HEAD',
  action: (own: Git) => Promise<T>,
): Promise<T> {
  const index = join(gitFolder, `${temporaryIndex}${randomId()}`);
  try {
    await copyIndex(join(gitFolder, 'index'), index);
    const own = git.with({ environment: { GIT_INDEX_FILE: index } });
    if (from === 'HEAD') await own.run('read-tree', '--reset', 'HEAD');
    return await action(own);
  } finally {
    await rm(index, { force: true });
    await rm(`${index}.lock`, { force: true });
  }
}

/**
 * A copy that is as old as the original, for git takes a file that is older than the index for unchanged (racy-git in its documentation):
 * one that was changed in the second of a commit, to as many bytes, would be left out.
 */
async function copyIndex(from: string, to: string): Promise<void> {
  const original = await stat(from).catch(() => undefined);
  if (!original) return; // Without one, git begins with an empty one.
  await copyFile(from, to);
  const second = Math.floor(original.mtimeMs / 1_000);
  await utimes(to, second, second);
}

const temporaryIndex = 'branchline-index-';
/** Milliseconds after which an index of ours belongs to nobody. */
const oldIndex = 3_600_000;

/** Takes away indexes that a killed process of ours left in the git directory. */
export async function removeOldIndexes(gitFolder: string, now: number): Promise<void> {
  for (const name of await readdir(gitFolder)) {
    if (!name.startsWith(temporaryIndex)) continue;
    // Its time of writing is the original's.
    const { ctimeMs } = await stat(join(gitFolder, name)).catch(() => ({ ctimeMs: now }));
    if (now - ctimeMs > oldIndex) await rm(join(gitFolder, name), { force: true });
  }
}

export const fromInput = ['--pathspec-from-file=-', '--pathspec-file-nul'] as const;
export const nulled = (paths: readonly string[]): string => paths.map((path) => `${path}\0`).join('');

/** Most times that paths which git refuses are divided, to find the one that it is about. */
const mostTries = 200;

/**
 * Brings the content of these paths into the index that `git` works on; returns those that it could not. A path that a filter
 * refuses is taken in as it is, where `raw` allows that.
 */
export async function stage(
  git: Git,
  changed: readonly ChangedPath[],
  options: { raw: boolean } = { raw: true },
): Promise<string[]> {
  // `git add` refuses a path that a link leads away from by now, or that is a folder, so what is gone is taken out by its name.
  const gone: string[] = [];
  for (const one of changed) if (one.gone && !(await isFileAgain(git, one.path))) gone.push(one.path);
  const isGone = new Set(gone);
  if (gone.length > 0) await git.feed(nulled(gone), 'update-index', '--force-remove', '-z', '--stdin');
  const paths = changed
    .filter(({ unstaged, untracked, unmerged }) => unstaged || untracked || unmerged)
    .map(({ path }) => path)
    .filter((path) => !isGone.has(path));
  const untracked = new Set(changed.filter((one) => one.untracked).map(({ path }) => path));
  if (paths.length === 0) return [];
  const sparse = isAtLeast(await gitVersion(git.folder), [2, 34]) ? ['--sparse'] : [];
  const add = (some: readonly string[]) => git.feed(nulled(some), '--literal-pathspecs', 'add', '--all', ...sparse, ...fromInput);
  const failed: string[] = [];
  let tries = 0;
  const attempt = async (some: readonly string[]): Promise<void> => {
    try {
      tries += 1;
      await add(some);
    } catch (error) {
      if (isFatal(error)) throw error;
      // What was new and has vanished since (a program's file for a moment) is nothing to be taken in.
      const there = await withoutVanished(git, some, untracked);
      if (there.length < some.length) return there.length > 0 ? attempt(there) : undefined;
      if (!options.raw) throw error;
      if (some.length === 1 || tries > mostTries) {
        for (const path of some) if (!(await takeRaw(git, path))) failed.push(path);
        return;
      }
      const middle = some.length >> 1;
      await attempt(some.slice(0, middle));
      await attempt(some.slice(middle));
    }
  };
  await attempt(paths);
  return failed;
}

/** A stop, a limit or a missing git says nothing of the paths. */
const isFatal = (error: unknown): boolean => (error as { reason?: unknown }).reason !== 'failed';

async function withoutVanished(git: Git, paths: readonly string[], untracked: ReadonlySet<string>): Promise<string[]> {
  const there: string[] = [];
  for (const path of paths) {
    // A name that is no UTF-8 is not what it was any more: of that nothing is known.
    const isThere =
      !untracked.has(path) || path.includes('\ufffd') || (await lstat(join(git.folder, path)).then(() => true, isNotMissing));
    if (isThere) there.push(path);
  }
  return there;
}

/** True when something that git records is at a path once more, and not behind a link. */
async function isFileAgain({ folder }: Git, path: string): Promise<boolean> {
  try {
    const stat = await lstat(join(folder, path));
    if (stat.isDirectory()) return false;
    return (await realpath(dirname(join(folder, path)))) === join(await realpath(folder), dirname(path));
  } catch {
    return false;
  }
}

/** Of an error of `lstat`: false where nothing is at the path. */
const isNotMissing = (error: unknown): boolean => !['ENOENT', 'ENOTDIR'].includes((error as { code?: string }).code ?? '');

async function takeRaw(git: Git, path: string): Promise<boolean> {
  try {
    const stat = await lstat(join(git.folder, path));
    if (!stat.isFile()) return false; // git would wait for a pipe, and follow a link.
    const sha = (await git.run('hash-object', '-w', '--no-filters', '--', path)).trim();
    await git.feed(
      `${(stat.mode & 0o111) === 0 ? '100644' : '100755'} ${sha}\t${path}\0`,
      'update-index',
      '--add',
      '-z',
      '--index-info',
    );
    return true;
  } catch (error) {
    if (isFatal(error)) throw error;
    return false;
  }
}

export interface ChangedFile {
  path: string;
  kind: 'added' | 'deleted' | 'changed';
  /** Lines; 0 for what is no text. */
  added: number;
  removed: number;
  /** True for the recorded commit of a repository inside. */
  isRepository: boolean;
}

/** How two trees (or commits) differ, path by path. */
export async function difference(git: Git, from: string, to: string): Promise<ChangedFile[]> {
  if (from === to) return [];
  return parseDifference(
    await git.run(
      'diff-tree',
      '-r',
      '-z',
      '--raw',
      '--numstat',
      '--no-renames',
      '--ignore-submodules=none',
      `${from}^{tree}`,
      `${to}^{tree}`,
    ),
  );
}

/** Parses `git diff-tree -r -z --raw --numstat` (git-diff-tree(1)); what stands before the first entry is left out. */
export function parseDifference(output: string): ChangedFile[] {
  const files = new Map<string, ChangedFile>();
  const fields = output.split('\0');
  for (let index = 0; index < fields.length; index += 1) {
    const field = (fields[index] as string).trimStart();
    const raw = /^:(\d+) (\d+) [0-9a-f.]+ [0-9a-f.]+ ([A-Z])/.exec(field);
    if (raw) {
      const path = fields[index + 1] as string;
      index += 1;
      files.set(path, {
        path,
        kind: raw[3] === 'A' ? 'added' : raw[3] === 'D' ? 'deleted' : 'changed',
        added: 0,
        removed: 0,
        isRepository: raw[1] === '160000' || raw[2] === '160000',
      });
      continue;
    }
    const counted = /^(\d+|-)\t(\d+|-)\t([\s\S]+)$/.exec(field);
    const file = counted && files.get(counted[3] as string);
    if (!counted || !file) continue;
    file.added = Number(counted[1]) || 0;
    file.removed = Number(counted[2]) || 0;
  }
  return [...files.values()];
}

/** A tree like `tree`, but with the entries that `from` has (or has not) for these paths. */
export async function withEntriesOf(
  git: Git,
  gitFolder: string,
  { tree, from, paths }: { tree: string; from: string; paths: readonly string[] },
): Promise<string> {
  const wanted = new Set(paths);
  const entries = new Map<string, string>();
  for (const line of (await git.run('ls-tree', '-r', '-z', `${from}^{tree}`)).split('\0')) {
    const path = line.slice(line.indexOf('\t') + 1);
    const [mode, , sha] = line.split(/[ \t]/);
    if (wanted.has(path)) entries.set(path, `${mode} ${sha}`);
  }
  return withIndex(git, gitFolder, 'copy', async (own) => {
    await own.run('read-tree', '--reset', `${tree}^{tree}`);
    const none = `0 ${'0'.repeat(from.length)}`;
    const lines = paths.map((path) => `${entries.get(path) ?? none}\t${path}`);
    await own.feed(nulled(lines), 'update-index', '-z', '--index-info');
    return (await own.run('write-tree', '--missing-ok')).trim();
  });
}

/** Where the work of a turn is kept while no commit of its branch has it. */
export const turnRef = (turnId: string): string => `refs/branchline/turns/${turnId}`;

/** Our own commits bear our own name, so that they can be made where the user has told git none. */
const identity = {
  GIT_AUTHOR_NAME: 'Branchline',
  GIT_AUTHOR_EMAIL: 'branchline@localhost',
  GIT_COMMITTER_NAME: 'Branchline',
  GIT_COMMITTER_EMAIL: 'branchline@localhost',
};

/** Makes a commit of a tree; its parents keep what they hold from being collected. */
export async function commitTree(git: Git, tree: string, parents: readonly string[], message: string): Promise<string> {
  const sha = await git
    .with({ environment: identity })
    .feed(message, 'commit-tree', `${tree}^{tree}`, ...parents.flatMap((parent) => ['-p', parent]), '-F', '-');
  return sha.trim();
}

export interface Kept {
  ref: string;
  before: { head: string | undefined; tree: string };
  after: { head: string | undefined; tree: string };
  message: string;
}

/** Keeps the difference of two trees under a ref: a commit of the later one, whose parent is one of the earlier one. What the ref kept before stays reachable. */
export async function keep(git: Git, { ref, before, after, message }: Kept): Promise<string> {
  const earlier = await git.ask('rev-parse', '--verify', '--quiet', ref);
  const first =
    before.tree === before.head
      ? before.head
      : await commitTree(git, before.tree, before.head === undefined ? [] : [before.head], `Before: ${message}`);
  const parents = new Set([
    first,
    ...(after.head === undefined ? [] : [after.head]),
    ...(earlier === undefined ? [] : [earlier]),
  ]);
  const sha = await commitTree(git, after.tree, [...parents], message);
  await git.run('update-ref', ref, sha);
  return sha;
}
