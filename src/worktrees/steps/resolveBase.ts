/**
 * Finds out what the branch is: one that exists here, one of a remote, or a new one; and the commit it starts from. What was seen in
 * files when it was queued is decided here, by git.
 */
import type { Git } from '../../git/git.ts';
import { gitVersion } from '../../git/version.ts';
import { WorktreeError } from '../../model/errors.ts';
import type { Branch } from '../../model/types.ts';
import { gitOf } from '../places.ts';
import type { Step, StepContext } from './step.ts';

export const resolveBase: Step = async (context) => {
  const { branch, signal } = context;
  const git = gitOf(branch, { signal });
  await gitVersion(git.folder);
  const named = await freeName(git, context);
  if (named !== undefined) return { name: named, nameMade: false, baseSha: await startOf(git, branch) };
  const existing = await git.commit(`refs/heads/${branch.name}`);
  if (existing) return { nameMade: false, baseSha: branch.baseSha ?? existing };
  const remote = await remoteBranch(git, branch.name);
  const ofRemote = remote && branch.base === null ? await git.commit(remote) : undefined;
  return { nameMade: false, baseSha: ofRemote ?? (await startOf(git, branch)) };
};

/** Another name for a branch whose name was only made from its prompt and is taken, as git knows and the files did not show; else undefined. */
async function freeName(git: Git, { branch, names, hasRun }: StepContext): Promise<string | undefined> {
  if (!branch.nameMade || branch.worktreePath !== null || hasRun) return undefined;
  if (!(await isTaken(git, branch.name))) return undefined;
  const stem = branch.name.replace(/-\d+$/, '');
  for (let number = 2; ; number += 1) {
    const name = `${stem}-${number}`;
    if (!names.has(name.toLowerCase()) && !(await isTaken(git, name))) return name;
  }
}

/** True when git has this branch, here or from a remote, or one that lies in it as in a folder. */
async function isTaken(git: Git, name: string): Promise<boolean> {
  return (
    (await git.run('for-each-ref', '--count=1', '--format=%(refname)', `refs/heads/${name}`, `refs/remotes/*/${name}`)).trim() !==
    ''
  );
}

/** The commit that a new branch starts from: what HEAD, or the named base, was when it was queued. */
async function startOf(git: Git, branch: Branch): Promise<string> {
  const seen = branch.headSha === null ? undefined : await git.commit(branch.headSha);
  if (seen) return seen;
  if (branch.base !== null) {
    const sha = (await git.commit(branch.base)) ?? (await git.commit(`refs/remotes/origin/${branch.base}`));
    if (sha) return sha;
    throw new WorktreeError(`The base "${branch.base}" was not found in the repository. Fetch or create it, then retry.`);
  }
  const head = (branch.headRef === null ? undefined : await git.commit(branch.headRef)) ?? (await git.commit('HEAD'));
  if (head) return head;
  throw new WorktreeError('The repository has no commit yet, so no branch can start from it. Make a first commit, then retry.');
}

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
