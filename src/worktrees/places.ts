/** Which folders of its repository a branch has to do with. */
import { existsSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { Git, type GitOptions } from '../git/git.ts';
import { commonFolderOfRepository, findRepository, type Home, homeOf, isCheckout } from '../git/repository.ts';
import type { Branch } from '../model/types.ts';

type Placed = Pick<Branch, 'repository' | 'checkout' | 'worktreePath'>;

/** A folder of the repository that git can be run in: the checkout that was open, as long as it is there. */
function folderOf({ repository, checkout }: Placed): string {
  return checkout !== null && existsSync(checkout) && findRepository(checkout)?.repository === repository ? checkout : repository;
}

export const gitOf = (branch: Placed, options: GitOptions = {}): Git => new Git(folderOf(branch), options);

/** The checkout whose ignored files are copied, and which is compared with when the worktree goes; null for a bare repository. */
export function sourceCheckout(branch: Placed): string | null {
  const folder = folderOf(branch);
  for (const one of [folder, branch.repository]) if (one !== branch.worktreePath && isCheckout(one)) return one;
  return null;
}

/** Where the repository is at home. A submodule's worktrees are placed beside the outermost repository around it, not in its files. */
export async function homeOfBranch(branch: Placed): Promise<{ home: Home; commonFolder: string }> {
  const commonFolder = commonFolderOfRepository(branch.repository);
  const home = homeOf({ repository: branch.repository, checkout: folderOf(branch), commonFolder });
  let outermost: string | undefined;
  for (let folder = home.folder; isCheckout(folder); ) {
    const around: string | undefined = await new Git(folder).ask('rev-parse', '--show-superproject-working-tree');
    if (!around) break;
    outermost = around;
    folder = around;
  }
  return {
    home: outermost === undefined ? home : { ...home, name: basename(home.folder), parent: dirname(outermost) },
    commonFolder,
  };
}
