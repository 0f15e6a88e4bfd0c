import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { type Home, isCheckout } from '../git/repository.ts';
import { WorktreeError } from '../model/errors.ts';
import { isInside } from '../platform/paths.ts';
import { defaultLocation } from './settings.ts';

export interface LocationOrder {
  /** The setting `branchline.worktrees.location`. */
  template: string;
  home: Home;
  /** Common git directory of the repository. */
  commonFolder: string;
  branch: string;
  /** The user's home folder, for `~`. */
  userHome?: string;
}

/**
 * Where a branch's worktree goes (requirement 39). The branch's name is put in as it is, so `a/b` is a folder in a folder; names
 * that could climb out of it are not valid for git and never come here. Throws WorktreeError for a place that lies in a checkout.
 */
export function worktreeLocation({ template, home, commonFolder, branch, userHome = homedir() }: LocationOrder): string {
  if (!template.includes('${branch}'))
    throw new WorktreeError(
      'The setting "branchline.worktrees.location" must contain ${branch}: each branch needs a folder of its own.',
    );
  // Where a folder holds nothing but worktrees, a new one goes beside them.
  const path =
    template === defaultLocation && home.holdsWorktrees
      ? join(home.folder, branch)
      : resolve(home.folder, expanded(template, home, branch, userHome));
  const inHome = path === home.folder || (!home.holdsWorktrees && isInside(path, home.folder));
  if (inHome || isInside(home.folder, path) || path === commonFolder || isInside(path, commonFolder)) {
    throw new WorktreeError(
      'The setting "branchline.worktrees.location" leads into the repository itself. Choose a folder beside it.',
    );
  }
  const around = enclosingCheckout(path);
  // A checkout that the repository itself lies in (a home folder kept in git, say) is nothing that its worktrees could avoid.
  if (around && !isInside(home.folder, around))
    throw new WorktreeError(
      `The worktree of "${branch}" would lie in the checkout ${around}, where it would be taken for its files. Change "branchline.worktrees.location" to a folder outside of it, then retry.`,
    );
  return path;
}

function expanded(template: string, home: Home, branch: string, userHome: string): string {
  const values: Record<string, string> = {
    repository: home.folder,
    repositoryParent: home.parent ?? dirname(home.folder),
    repositoryName: home.name,
    branch,
  };
  return template
    .replace(/^~(?=$|[\\/])/, () => userHome)
    .replace(/\$\{(\w+)\}/g, (whole, name: string) => {
      const value = values[name];
      if (value === undefined)
        throw new WorktreeError(
          `The setting "branchline.worktrees.location" names ${whole}, which is not known. Use \${repositoryParent}, \${repositoryName}, \${repository} and \${branch}.`,
        );
      return value;
    });
}

/** The checkout that a path, which need not be there, lies in; undefined for none. */
export function enclosingCheckout(path: string): string | undefined {
  for (let here = dirname(path); ; here = dirname(here)) {
    if (isCheckout(here)) return here;
    if (dirname(here) === here) return undefined;
  }
}
