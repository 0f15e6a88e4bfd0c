import { Git } from '../git/git.ts';
import type { Branch, Session } from '../model/types.ts';

export type ReviewedTip = Pick<Session, 'tipSha' | 'mergeBaseSha'>;

/** The branch's tip and where it left its base, known before the agent runs (requirement 10). */
export async function reviewedTip(branch: Branch): Promise<ReviewedTip> {
  const git = new Git(branch.worktreePath as string);
  const tipSha = (await git.commit('HEAD')) ?? null;
  const base = (branch.base === null ? undefined : await git.commit(branch.base)) ?? branch.baseSha;
  const mergeBase = tipSha && base ? await git.ask('merge-base', tipSha, base) : undefined;
  return { tipSha, mergeBaseSha: mergeBase ?? branch.baseSha };
}
