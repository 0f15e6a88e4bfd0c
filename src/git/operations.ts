/** Operations of git that stop half-way and wait for somebody: merge, rebase, cherry-pick, revert, am, bisect. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Git } from './git.ts';

export const operationKinds = ['merge', 'rebase', 'cherry-pick', 'revert', 'am', 'bisect'] as const;
export type OperationKind = (typeof operationKinds)[number];

export interface Operation {
  kind: OperationKind;
  /** Short name of the branch that a rebase is of; undefined for others. */
  branch: string | undefined;
  /** A commit ends it; a rebase, or a row of picks, goes on after it. */
  endsWithCommit: boolean;
  /** Tells one operation from another of its kind. */
  id: string;
}

/**
 * The operation under way in a worktree, or undefined. git has no answer that says which; its own status and shell prompt look for
 * these files (git's wt-status.c, contrib/completion/git-prompt.sh). Those that are refs are asked for where the files don't have them.
 */
export async function operationUnderWay(git: Git, gitFolder: string): Promise<Operation | undefined> {
  const has = (name: string) => existsSync(join(gitFolder, name));
  for (const folder of ['rebase-merge', 'rebase-apply']) {
    if (!has(folder)) continue;
    const isAm = folder === 'rebase-apply' && has(join(folder, 'applying'));
    return {
      kind: isAm ? 'am' : 'rebase',
      branch: readText(join(gitFolder, folder, 'head-name'))?.replace(/^refs\/heads\//, ''),
      endsWithCommit: false,
      id: readText(join(gitFolder, folder, 'onto')) ?? folder,
    };
  }
  const merging = readText(join(gitFolder, 'MERGE_HEAD'));
  if (merging !== undefined) return { kind: 'merge', branch: undefined, endsWithCommit: true, id: merging };
  for (const [kind, name] of [
    ['cherry-pick', 'CHERRY_PICK_HEAD'],
    ['revert', 'REVERT_HEAD'],
  ] as const) {
    const picked =
      readText(join(gitFolder, name)) ??
      (isFileBased(gitFolder) ? undefined : await git.ask('rev-parse', '--verify', '--quiet', name));
    if (picked !== undefined) return { kind, branch: undefined, endsWithCommit: !hasMore(gitFolder), id: picked };
  }
  if (hasMore(gitFolder)) return { kind: 'cherry-pick', branch: undefined, endsWithCommit: false, id: 'sequencer' };
  return has('BISECT_LOG') ? { kind: 'bisect', branch: undefined, endsWithCommit: false, id: 'bisect' } : undefined;
}

/** True when further picks wait behind the one that stopped. */
function hasMore(gitFolder: string): boolean {
  const todo = readText(join(gitFolder, 'sequencer', 'todo'));
  return todo !== undefined && todo.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length > 1;
}

const isFileBased = (gitFolder: string): boolean => readText(join(gitFolder, 'HEAD')) !== 'ref: refs/heads/.invalid';

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}
