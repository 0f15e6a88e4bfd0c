/** Finds out what the branch is: one that exists here, one of a remote, or a new one; and the commit it starts from. */
import { Git } from '../../git/git.ts';
import { WorktreeError } from '../../model/errors.ts';
import type { Step } from './step.ts';

export const resolveBase: Step = async ({ branch, signal }) => {
  const git = new Git(branch.repository, { signal });
  const existing = await git.commit(`refs/heads/${branch.name}`);
  if (existing) return { baseSha: branch.baseSha ?? existing };
  const remote = await remoteBranch(git, branch.name);
  if (remote && branch.base === null) return { baseSha: (await git.commit(remote)) ?? null };
  if (branch.base !== null) {
    const sha = (await git.commit(branch.base)) ?? (await git.commit(`refs/remotes/origin/${branch.base}`));
    if (sha) return { baseSha: sha };
    throw new WorktreeError(`The base "${branch.base}" was not found in the repository. Fetch or create it, then retry.`);
  }
  const head = await git.commit('HEAD');
  if (head) return { baseSha: head };
  throw new WorktreeError('The repository has no commit yet, so no branch can start from it. Make a first commit, then retry.');
};

/** The full ref of the one remote that has this branch; undefined for none, or for several, which git would not guess either. */
export async function remoteBranch(git: Git, name: string): Promise<string | undefined> {
  const remotes = (await git.run('remote')).split('\n').filter((remote) => remote !== '');
  const found: string[] = [];
  for (const remote of remotes) {
    const ref = `refs/remotes/${remote}/${name}`;
    if (await git.commit(ref)) found.push(ref);
  }
  return found.length === 1 ? found[0] : undefined;
}
