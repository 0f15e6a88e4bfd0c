/** Finds repositories by looking at files only: nothing of the repository runs, so an untrusted one may be looked at. */
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';

export interface FoundRepository {
  /** Canonical path of the main worktree, or of the bare repository: what owns the branches. */
  repository: string;
  /** Canonical path of the checkout that the folder lies in. */
  checkout: string;
}

/** The name that a window holds while git makes or removes worktrees of a repository, so that no other one does. */
export const repositoryClaim = (repository: string): string => `repository:${repository}`;

/** The repository that `folder` lies in, or undefined. A linked worktree leads to its main one. */
export function findRepository(folder: string): FoundRepository | undefined {
  let path: string;
  try {
    path = realpathSync.native(folder);
    if (!statSync(path).isDirectory()) return undefined;
  } catch {
    return undefined;
  }
  for (let here = path; ; here = dirname(here)) {
    const found = at(here);
    if (found) return found;
    if (dirname(here) === here) return undefined;
  }
}

function at(folder: string): FoundRepository | undefined {
  const git = join(folder, '.git');
  const kind = statSync(git, { throwIfNoEntry: false });
  if (kind?.isDirectory()) return isGitFolder(git) ? { repository: folder, checkout: folder } : undefined;
  if (!kind?.isFile()) return isGitFolder(folder) ? { repository: folder, checkout: folder } : undefined;
  const gitFolder = gitFolderOf(folder);
  if (!gitFolder) return undefined;
  const common = commonFolderOf(gitFolder);
  // A submodule or `--separate-git-dir` has a git folder of its own: then the checkout itself owns the branches.
  if (common === gitFolder) return { repository: folder, checkout: folder };
  const main = common.endsWith(`${'/'}.git`) || common.endsWith('\\.git') ? dirname(common) : common;
  return { repository: main, checkout: folder };
}

const isGitFolder = (path: string): boolean =>
  ['HEAD', 'objects', 'refs'].every((name) => statSync(join(path, name), { throwIfNoEntry: false }) !== undefined);

/** The git folder that a checkout's `.git` file names, canonical; undefined when it leads nowhere. */
export function gitFolderOf(checkout: string): string | undefined {
  try {
    const text = readFileSync(join(checkout, '.git'), 'utf8');
    const named = /^gitdir: (.+)$/m.exec(text)?.[1]?.trim();
    return named ? realpathSync(resolve(checkout, named)) : undefined;
  } catch {
    return undefined;
  }
}

function commonFolderOf(gitFolder: string): string {
  try {
    const named = readFileSync(join(gitFolder, 'commondir'), 'utf8').trim();
    return realpathSync(isAbsolute(named) ? named : join(gitFolder, named));
  } catch {
    return gitFolder;
  }
}

/**
 * True when git has a branch of this name, here or from a remote, or one that the name would collide with as a folder.
 * Looks at the ref files and the packed refs; asking git would take too long for a call that must not wait.
 */
export function hasBranch(repository: string, name: string): boolean {
  const folder = existsIn(repository, '.git') ? join(repository, '.git') : repository;
  if (existsIn(folder, 'refs', 'heads', name)) return true;
  const remotes = join(folder, 'refs', 'remotes');
  if (listFolders(remotes).some((remote) => existsIn(remotes, remote, name))) return true;
  return packedRefs(folder).some((ref) => {
    const short = ref.replace(/^refs\/(heads|remotes\/[^/]+)\//, '');
    return short === name || short.startsWith(`${name}/`);
  });
}

const existsIn = (...parts: string[]): boolean => statSync(join(...parts), { throwIfNoEntry: false }) !== undefined;

function listFolders(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function packedRefs(gitFolder: string): string[] {
  try {
    return readFileSync(join(gitFolder, 'packed-refs'), 'utf8')
      .split('\n')
      .flatMap((line) => line.split(' ')[1] ?? []);
  } catch {
    return [];
  }
}
