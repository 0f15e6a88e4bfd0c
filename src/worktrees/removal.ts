/** Removing a worktree: what would be lost, and the removal itself (requirements 43 and 44, invariants 10 and 13). */
import { existsSync, lstatSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Git } from '../git/git.ts';
import { type AtRisk, atRisk, noRisk } from '../git/risk.ts';
import { listWorktrees } from '../git/worktrees.ts';
import { messageOf, RefusedError, WorktreeError } from '../model/errors.ts';
import type { Branch } from '../model/types.ts';
import { claim, repositoryClaim, worktreeClaim } from '../platform/claims.ts';
import { confined } from '../platform/paths.ts';
import { endMarked } from '../platform/processes.ts';
import { gitOf, sourceCheckout } from './places.ts';
import { linksOf } from './preparation.ts';
import { gitMark } from './steps/createWorktree.ts';
import { setupMark } from './steps/runSetup.ts';

/** Milliseconds. */
const repositoryTime = 120_000;
const worktreeTime = 10_000;
const removalLimit = 30 * 60_000;

/** What removing the branch's worktree would lose. Commits that stay on the branch, which is kept, are told. */
export async function worktreeAtRisk(branch: Branch): Promise<AtRisk> {
  if (!branch.worktreePath || branch.adopted || !existsSync(branch.worktreePath)) return noRisk;
  try {
    return await atRisk(new Git(branch.worktreePath), {
      branch: branch.name,
      links: linksOf(branch),
      prepared: branch.preparation?.ignored ?? [],
      base: branch.baseSha,
      setupTree: branch.preparation?.setupTree ?? null,
      mainCheckout: sourceCheckout(branch),
    });
  } catch (error) {
    if (error instanceof RefusedError) throw error;
    throw new WorktreeError(
      `What is in ${branch.worktreePath} can't be counted, so it is not removed: ${messageOf(error).trim()} Mend that and try again, or move the folder away yourself.`,
      { cause: error },
    );
  }
}

/**
 * Removes the worktree's folder and git's entry for it; the branch stays. An adopted worktree is left where it is. What would be lost was
 * counted before (`worktreeAtRisk`), and is counted again under the claim unless `force` is given: then the person has said so.
 */
export async function removeWorktree(branch: Branch, force: boolean): Promise<void> {
  await endMarked(setupMark(branch)); // Agents were ended with their hosts.
  const ofRepository = await claim(repositoryClaim(branch.repository), AbortSignal.timeout(repositoryTime));
  if (!ofRepository)
    throw new WorktreeError('Another worktree of this repository is being made, which takes long. Try again when it is done.');
  try {
    await endMarked(gitMark(branch));
    if (!branch.worktreePath || branch.adopted) return;
    const ofWorktree = await claim(worktreeClaim(branch.worktreePath), AbortSignal.timeout(worktreeTime));
    if (!ofWorktree)
      throw new WorktreeError(
        `Something else writes in ${branch.worktreePath} (an agent of another window, or a command). End it there, then try again.`,
      );
    try {
      await removeOwn(branch, branch.worktreePath, force);
    } finally {
      await ofWorktree.release();
    }
  } catch (error) {
    if (error instanceof WorktreeError) throw error;
    throw new WorktreeError(`The worktree could not be removed: ${messageOf(error).trim()}`, { cause: error });
  } finally {
    await ofRepository.release();
  }
}

async function removeOwn(branch: Branch, path: string, force: boolean): Promise<void> {
  const git = gitOf(branch, { limit: removalLimit });
  if (!existsSync(path)) {
    // Only the entry of this path; never `prune`, which takes those of others whose disk is away.
    if ((await listWorktrees(git)).some((worktree) => worktree.path === path))
      await git.run('worktree', 'remove', '--force', path);
    return;
  }
  if (!force) {
    const lost = lossInWords(branch.name, await worktreeAtRisk(branch));
    if (lost.lost)
      throw new WorktreeError(
        `${lost.text} Nothing was removed. Commit or move what you need, or remove the branch with "force".`,
      );
  }
  // A link is taken away as a link: older git for Windows deletes through a junction.
  for (const link of linksOf(branch)) unlinkLink(path, link);
  // git refuses a worktree with submodules without this; what it would have refused for was counted above, or given up in words.
  await git.run('worktree', 'remove', '--force', path);
}

function unlinkLink(worktree: string, link: string): void {
  const name = confined(link);
  const path = name && join(worktree, name);
  if (!path || !lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) return;
  try {
    unlinkSync(path);
  } catch {
    rmdirSync(path); // A junction is a kind of folder; this takes the junction alone.
  }
}

const count = (n: number, one: string, many: string): string => (n === 1 ? `1 ${one}` : `${n} ${many}`);
const shown = (paths: readonly string[], of = paths.length): string => `${paths.slice(0, 5).join(', ')}${of > 5 ? ', …' : ''}`;

/** Says exactly what would be lost, and what only seems so; an empty text when there is nothing to say. `lost`: a person has to say yes. */
export function lossInWords(
  name: string,
  { uncommitted, unmerged, detached, operation, inner, ignored }: AtRisk,
): { text: string; lost: boolean } {
  const parts: string[] = [];
  if (uncommitted.length > 0)
    parts.push(
      `${count(uncommitted.length, 'file has', 'files have')} uncommitted changes, which would be lost (${shown(uncommitted)}).`,
    );
  if (detached > 0) parts.push(`${count(detached, 'commit is', 'commits are')} on no branch (detached HEAD), and would be lost.`);
  if (operation) parts.push(`A ${operation} is under way; what it has done so far would be lost.`);
  for (const { path, uncommitted: files, commits } of inner)
    parts.push(
      `${path} is a repository of its own with ${[files > 0 ? count(files, 'uncommitted file', 'uncommitted files') : '', commits > 0 ? `${count(commits, 'commit that is', 'commits that are')} nowhere else` : ''].filter(Boolean).join(' and ')}, which would be lost.`,
    );
  if (ignored)
    parts.push(
      `${ignored.atLeast ? 'At least ' : ''}${count(ignored.files, 'ignored file is', 'ignored files are')} only here, ${bytes(ignored.size)} (${shown(ignored.first, ignored.files)}), and would be lost.`,
    );
  const lost = parts.length > 0;
  if (unmerged > 0)
    parts.push(
      `${count(unmerged, 'commit is', 'commits are')} on no other branch; the branch "${name}" keeps ${unmerged === 1 ? 'it' : 'them'}.`,
    );
  return { text: parts.join(' '), lost };
}

/** `1.5 MB`. */
function bytes(size: number): string {
  if (size < 1_000) return `${size} bytes`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = size;
  let unit = 'bytes';
  for (const next of units) {
    if (value < 1_000) break;
    value /= 1_000;
    unit = next;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}
