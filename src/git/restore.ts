/** Brings paths of a worktree back to what they are in a tree, whatever is staged. Nothing is followed out of the worktree. */
import { lstat, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
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
