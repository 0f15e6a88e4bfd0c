import { basename, dirname, join, resolve } from 'node:path';
import { WorktreeError } from '../model/errors.ts';
import { isInside } from '../platform/paths.ts';

/**
 * Where a branch's worktree goes (requirement 39). The branch's name is put in as it is, so `a/b` is a folder in a
 * folder; names that could climb out of it are not valid for git and never come here. Throws WorktreeError.
 */
export function worktreeLocation(template: string, repository: string, branch: string): string {
  const values: Record<string, string> = {
    repository,
    repositoryParent: dirname(repository),
    repositoryName: basename(repository).replace(/\.git$/, '') || basename(dirname(repository)),
    branch,
  };
  const expanded = template.replace(/\$\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined)
      throw new WorktreeError(
        `The setting "branchline.worktrees.location" names ${whole}, which is not known. Use \${repositoryParent}, \${repositoryName}, \${repository} and \${branch}.`,
      );
    return value;
  });
  if (!template.includes('${branch}'))
    throw new WorktreeError(
      'The setting "branchline.worktrees.location" must contain ${branch}: each branch needs a folder of its own.',
    );
  const path = resolve(repository, expanded);
  if (path === repository || isInside(repository, path) || isInside(path, join(repository, '.git'))) {
    throw new WorktreeError(
      'The setting "branchline.worktrees.location" leads into the repository itself. Choose a folder beside it.',
    );
  }
  return path;
}
