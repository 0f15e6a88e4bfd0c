/**
 * Finds repositories by looking at files only: nothing of the repository runs, so an untrusted one may be looked at, and accepting
 * a prompt waits for no process.
 *
 * A repository is known by its canonical common git directory, whichever of its folders is open. Its name for people and for the
 * store is the main checkout's path where that is the folder around a `.git` directory, else the common directory itself.
 */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';

export interface FoundRepository {
  /** The same for every folder of the repository. */
  repository: string;
  /** Canonical path of the checkout that the folder lies in; of the bare repository, or the folder that names it, where that is what is open. */
  checkout: string;
  /** Git directory of that checkout. */
  gitFolder: string;
  /** Common git directory: refs and objects. */
  commonFolder: string;
}

/** The repository that `folder` lies in, or undefined. A linked worktree, a submodule and a folder inside are all understood. */
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
  const gitFolder = gitFolderOf(folder);
  if (gitFolder) return found(folder, gitFolder);
  return isGitFolder(folder) ? found(folder, folder) : undefined;
}

function found(checkout: string, gitFolder: string): FoundRepository {
  const commonFolder = commonFolderOf(gitFolder);
  const main = dirname(commonFolder);
  const isPlain = basename(commonFolder) === '.git';
  return {
    repository: isPlain ? main : commonFolder,
    checkout: isPlain && checkout === commonFolder ? main : checkout,
    gitFolder,
    commonFolder,
  };
}

const isGitFolder = (path: string): boolean =>
  ['HEAD', 'objects', 'refs'].every((name) => statSync(join(path, name), { throwIfNoEntry: false }) !== undefined);

/** The git directory of a checkout, canonical: its `.git`, or where that file leads; undefined when there is none. */
export function gitFolderOf(checkout: string): string | undefined {
  const path = join(checkout, '.git');
  try {
    if (statSync(path).isDirectory()) return isGitFolder(path) ? realpathSync.native(path) : undefined;
    // git-worktree(1), gitrepository-layout(5): one line, `gitdir: PATH`.
    const named = /^gitdir: (.+)$/m.exec(readFileSync(path, 'utf8'))?.[1]?.trim();
    const leads = named && realpathSync.native(resolve(checkout, named));
    return leads && statSync(join(leads, 'HEAD'), { throwIfNoEntry: false }) ? leads : undefined;
  } catch {
    return undefined;
  }
}

/** Where a git directory keeps refs and objects: itself, or what its `commondir` names. */
export function commonFolderOf(gitFolder: string): string {
  try {
    const named = readFileSync(join(gitFolder, 'commondir'), 'utf8').trim();
    return realpathSync.native(isAbsolute(named) ? named : join(gitFolder, named));
  } catch {
    return realpathSync.native(gitFolder);
  }
}

/** The common git directory of a repository by its name (`FoundRepository.repository`). */
export function commonFolderOfRepository(repository: string): string {
  const inside = join(repository, '.git');
  return statSync(inside, { throwIfNoEntry: false })?.isDirectory() ? realpathSync.native(inside) : repository;
}

/** True when `folder` is a checkout: files of a repository are meant to be in it. A bare repository and a folder that only names one are not. */
export function isCheckout(folder: string): boolean {
  const gitFolder = gitFolderOf(folder);
  if (!gitFolder) return false;
  return commonFolderOf(gitFolder) !== gitFolder || !isBare(gitFolder);
}

function isBare(gitFolder: string): boolean {
  try {
    // git-config(1): the last `bare` in `[core]` counts; what else may be written there does not come from `git init --bare` or `git clone --bare`.
    return (
      Array.from(readFileSync(join(gitFolder, 'config'), 'utf8').matchAll(/^\s*bare\s*=\s*(\w+)\s*$/gim))
        .at(-1)?.[1]
        ?.toLowerCase() === 'true'
    );
  } catch {
    return false;
  }
}

/** The folder around which a repository's worktrees are placed, and what that is called. */
export interface Home {
  folder: string;
  name: string;
  /** What worktrees are placed in, where that is not the folder around it. */
  parent?: string;
  /** The folder holds nothing but worktrees beside each other (`.bare` and a `.git` file that names it). */
  holdsWorktrees: boolean;
}

/** Where a repository is at home, seen from the checkout that is open. */
export function homeOf({
  repository,
  checkout,
  commonFolder,
}: Pick<FoundRepository, 'repository' | 'checkout' | 'commonFolder'>): Home {
  if (repository !== commonFolder) return { folder: repository, name: basename(repository), holdsWorktrees: false };
  const around = dirname(commonFolder);
  if (gitFolderOf(around) === commonFolder && isBare(commonFolder))
    return { folder: around, name: basename(around), holdsWorktrees: true };
  if (isBare(commonFolder))
    return {
      folder: commonFolder,
      name: basename(commonFolder).replace(/\.git$/, '') || basename(around),
      holdsWorktrees: false,
    };
  // `--separate-git-dir`, a submodule: the checkout is somewhere else than its git directory.
  return { folder: checkout, name: basename(checkout), holdsWorktrees: false };
}
