/** Brings paths of a worktree back to what they are in a tree, whatever is staged. Nothing is followed out of the worktree. */
import { lstat, readdir, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { confined } from '../platform/paths.ts';
import type { Git } from './git.ts';
import { type ChangedFile, fromInput, nulled } from './trees.ts';

/** Makes the files of `files` (as `difference(now, tree)` gives them) what they are in `tree`. The index follows HEAD for them. */
export async function writeBack(git: Git, tree: string, files: readonly ChangedFile[]): Promise<void> {
  const own = files.filter(({ isRepository }) => !isRepository);
  for (const { path, kind } of own) if (kind === 'deleted') await removeFile(git.folder, path);
  const written = own.flatMap(({ path, kind }) => (kind === 'deleted' ? [] : [path]));
  if (written.length > 0)
    await git.feed(
      nulled(written),
      '--literal-pathspecs',
      'restore',
      `--source=${tree}`,
      '--worktree',
      '--ignore-skip-worktree-bits',
      ...fromInput,
    );
  if (own.length > 0)
    await git
      .feed(nulled(own.map(({ path }) => path)), '--literal-pathspecs', 'reset', '--quiet', ...fromInput)
      .catch(() => undefined);
}

/**
 * Those of `files` that stand where the folder has something which no snapshot holds, and which writing them back would take away: a
 * file that is ignored by now, or a folder or link with its name.
 */
export async function inTheWay(git: Git, files: readonly ChangedFile[]): Promise<string[]> {
  const removed = new Set(files.flatMap(({ path, kind, isRepository }) => (kind === 'deleted' && !isRepository ? [path] : [])));
  const found: string[] = [];
  for (const { path, kind, isRepository } of files)
    if (kind === 'added' && !isRepository && (await isTaken(git.folder, path, removed))) found.push(path);
  return found;
}

/** True when something other than the `removed` files stands at a path, below it, or in its way. */
async function isTaken(root: string, path: string, removed: ReadonlySet<string>): Promise<boolean> {
  for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) {
    const stat = await lstat(join(root, folder)).catch(() => undefined);
    if (stat && !stat.isDirectory()) return !removed.has(folder);
  }
  const stat = await lstat(join(root, path)).catch(() => undefined);
  if (!stat) return false;
  if (!stat.isDirectory()) return !removed.has(await spelled(root, path));
  for (const name of await readdir(join(root, path))) if (await isTaken(root, `${path}/${name}`, removed)) return true;
  return false;
}

/** A path as the folder has it: where names have no case, the file may be there by another one. */
async function spelled(root: string, path: string): Promise<string> {
  const names = await readdir(join(root, dirname(path)));
  const name = basename(path);
  const fold = (text: string) => text.normalize('NFC').toLowerCase();
  const found = names.includes(name) ? name : (names.find((one) => fold(one) === fold(name)) ?? name);
  return dirname(path) === '.' ? found : `${dirname(path)}/${found}`;
}

/** Removes one file, and the folders that are empty then; not through a link. */
async function removeFile(root: string, path: string): Promise<void> {
  const name = confined(path);
  if (!name || !(await isPlainWay(root, dirname(name)))) return;
  await rm(join(root, name), { force: true });
  for (let folder = dirname(name); folder !== '.'; folder = dirname(folder)) {
    try {
      await rmdir(join(root, folder));
    } catch {
      return; // Something else is in it.
    }
  }
}

async function isPlainWay(root: string, folder: string): Promise<boolean> {
  for (let here = folder; here !== '.'; here = dirname(here)) {
    const stat = await lstat(join(root, here)).catch(() => undefined);
    if (stat && !stat.isDirectory()) return false;
  }
  return true;
}
