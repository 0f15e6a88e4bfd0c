import type { Git } from '../git/git.ts';

export interface ListedWorktree {
  path: string;
  /** Short name; undefined when detached or bare. */
  branch: string | undefined;
  bare: boolean;
  prunable: boolean;
}

/** All worktrees of a repository, the main one first. Costs one read of each, so it is not asked on the usual way (requirement 45). */
export async function listWorktrees(git: Git): Promise<ListedWorktree[]> {
  return parseWorktreeList(await git.run('worktree', 'list', '--porcelain', '-z'));
}

/** Parses the output of `git worktree list --porcelain -z` (git-worktree(1)). */
export function parseWorktreeList(output: string): ListedWorktree[] {
  return output.split('\0\0').flatMap((block) => {
    const lines = block.split('\0');
    const value = (key: string) => lines.find((line) => line.startsWith(`${key} `))?.slice(key.length + 1);
    const path = value('worktree');
    if (!path) return [];
    const has = (key: string) => lines.some((line) => line === key || line.startsWith(`${key} `));
    return [{ path, branch: value('branch')?.replace(/^refs\/heads\//, ''), bare: has('bare'), prunable: has('prunable') }];
  });
}
