/**
 * Copies ignored files that the work needs (`.env` and the like) into the worktree, and links folders too large to copy
 * (requirement 40). A file that is there is left as it is: tracked files and the agent's own are never overwritten.
 */
import {
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { copyFile, link, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Git } from '../../git/git.ts';
import { WorktreeError } from '../../model/errors.ts';
import { confined, isInside } from '../../platform/paths.ts';
import { hasCode } from '../../store/fileSystem.ts';
import { sourceCheckout } from '../places.ts';
import { linksOf, prepared } from '../preparation.ts';
import type { Step } from './step.ts';

const includeFile = '.worktreeinclude';

export const copyFiles: Step = async ({ branch, settings, signal, claim }) => {
  const worktree = branch.worktreePath as string;
  const source = sourceCheckout(branch);
  if (source === null) return {}; // Bare, and no checkout is open: there is nothing to copy from.
  const git = new Git(source, { signal });
  const files = await included(git, settings.include);
  if (files.length > 0 || settings.symlinkDirectories.length > 0) await claim();
  for (const path of files) {
    signal.throwIfAborted();
    await copyInto(source, worktree, path);
  }
  const links = settings.symlinkDirectories.flatMap((name) => linkFolder(source, worktree, name) ?? []);
  // A step that runs again after a crash finds its links there, and one made earlier stays ours.
  return { preparation: prepared(branch, { links: [...new Set([...linksOf(branch), ...links])] }) };
};

/** Ignored, untracked files that `.worktreeinclude` (in git's own ignore syntax) or the setting's globs name. */
async function included(git: Git, globs: readonly string[]): Promise<string[]> {
  const lists: string[] = [];
  if (exists(join(git.folder, includeFile))) lists.push(join(git.folder, includeFile));
  const temporary = globs.length > 0 ? mkdtempSync(join(tmpdir(), 'branchline-')) : undefined;
  try {
    if (temporary) {
      lists.push(join(temporary, 'include'));
      writeFileSync(join(temporary, 'include'), globs.map((glob) => `${glob.replace(/\r?\n/g, '')}\n`).join(''));
    }
    const found = new Set<string>();
    for (const list of lists) {
      const named = split(await git.run('ls-files', '-z', '--others', '--ignored', `--exclude-from=${list}`));
      for (const path of named) found.add(path);
    }
    if (found.size === 0) return [];
    const ignored = new Set(split(await git.run('ls-files', '-z', '--others', '--ignored', '--exclude-standard')));
    return [...found].filter((path) => ignored.has(path)).sort();
  } finally {
    if (temporary) rmSync(temporary, { recursive: true, force: true });
  }
}

const split = (output: string): string[] => output.split('\0').filter((path) => path !== '');

async function copyInto(repository: string, worktree: string, path: string): Promise<void> {
  const name = confined(path);
  if (!name) return;
  const from = join(repository, name);
  const to = join(worktree, name);
  if (exists(to) || !makeParent(worktree, to)) return;
  const kind = lstatSync(from, { throwIfNoEntry: false });
  if (kind?.isSymbolicLink()) symlinkSync(readlinkSync(from), to);
  if (!kind?.isFile()) return;
  const temporary = `${to}.branchline-${process.pid}`;
  try {
    // Where the file system can, the copy shares its blocks with the original until one of them is changed.
    await copyFile(from, temporary, constants.COPYFILE_FICLONE);
    await link(temporary, to).catch((error: unknown) => {
      if (!hasCode(error, 'EEXIST')) throw error;
    });
  } finally {
    await rm(temporary, { force: true });
  }
}

/** The path of the link, relative to the worktree, where it is there now and is ours. */
function linkFolder(repository: string, worktree: string, given: string): string | undefined {
  const name = confined(given);
  if (!name)
    throw new WorktreeError(
      `"${given}" in "branchline.worktrees.symlinkDirectories" is not a path inside the repository. Correct the setting and retry.`,
    );
  const from = join(repository, name);
  const to = join(worktree, name);
  if (exists(to)) return isLinkTo(to, from) ? slashed(name) : undefined;
  if (!statSync(from, { throwIfNoEntry: false })?.isDirectory() || !makeParent(worktree, to)) return undefined;
  symlinkSync(from, to, 'junction');
  return slashed(name);
}

/** As git writes paths. */
const slashed = (path: string): string => path.replaceAll('\\', '/');

function isLinkTo(path: string, target: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink() && resolve(dirname(path), readlinkSync(path)) === resolve(target);
  } catch {
    return false;
  }
}

/** Makes the folder that `path` lies in; false when a link in the worktree leads it elsewhere. */
function makeParent(worktree: string, path: string): boolean {
  const parent = dirname(path);
  for (let here = parent; here !== worktree && isInside(here, worktree); here = dirname(here)) {
    const kind = lstatSync(here, { throwIfNoEntry: false });
    if (kind && !kind.isDirectory()) return false;
  }
  mkdirSync(parent, { recursive: true });
  const canonical = realpathSync(parent);
  return canonical === worktree || isInside(canonical, worktree);
}

const exists = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;
