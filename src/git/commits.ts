/** Makes a commit of exactly these paths: git's own, with the user's identity, hooks and signing. */
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomId } from '../model/ids.ts';
import { type Git, GitError } from './git.ts';
import type { ChangedPath } from './status.ts';
import { type ChangedFile, fromInput, nulled, parseDifference, stage, withIndex } from './trees.ts';
import type { WorktreeState } from './worktrees.ts';

export interface CommitOrder {
  state: WorktreeState;
  /** Exactly these go into the commit. */
  paths: readonly ChangedPath[];
  message: string;
  /** Ends the merge, pick or revert that is under way, under git's own message; all that is staged is part of it. */
  concludes: boolean;
}

export type CommitAnswer =
  | { done: true }
  /** There was nothing that a commit could hold (other ends of lines only, for instance). */
  | { done: false; why: 'nothing' }
  /** No name and address of the user are set. */
  | { done: false; why: 'identity'; said: string }
  /** A hook, the signing, or git itself said no. */
  | { done: false; why: 'refused'; said: string };

/** Rejects with GitError when git was stopped or is not there. */
export async function commitPaths(git: Git, { state, paths, message, concludes }: CommitOrder): Promise<CommitAnswer> {
  const file = join(state.gitFolder, `branchline-message-${randomId()}`);
  let isStaged = false;
  try {
    await unstage(git, state);
    await stage(git, paths, { raw: false });
    isStaged = true;
    const wanted = pathsOf(paths);
    const others = state.changed.some((one) => one.staged && !wanted.has(one.path));
    if (concludes) await git.run('commit', '--no-edit', '--cleanup=strip', '--allow-empty');
    else {
      await writeFile(file, message, { mode: 0o600 });
      // What the user is not to be shown of submodules is part of a commit all the same.
      const usual = ['-c', 'diff.ignoreSubmodules=none', 'commit', '--cleanup=whitespace', `--file=${file}`];
      // Where nothing else is staged the usual commit is the same, and the one that hooks know best.
      if (others && state.head === undefined) {
        // One that was only ever staged and is deleted now is in neither the index nor HEAD, and git refuses to hear of it.
        const named = await differing(git, undefined, wanted);
        if (named.length === 0) return { done: false, why: 'nothing' };
        await git.feed(nulled(named), '--literal-pathspecs', ...usual, '--only', ...fromInput);
      } else if (others) await onlyThese(git, state.gitFolder, wanted, (own) => own.run(...usual));
      else await git.run(...usual);
    }
    return { done: true };
  } catch (error) {
    if (!(error instanceof GitError) || error.reason !== 'failed') throw error;
    // git may end badly after the commit is made (it was killed, or could not write the index any more).
    if ((await git.commit('HEAD')) !== state.head) return { done: true };
    return refusal(git, error, isStaged && !concludes ? paths : []);
  } finally {
    await rm(file, { force: true });
  }
}

/** Takes repositories that somebody staged out of the index again: without their content they are in no commit of ours. */
async function unstage(git: Git, { head, hulls }: WorktreeState): Promise<void> {
  if (hulls.length === 0) return;
  const command = head === undefined ? ['rm', '--cached', '--force'] : ['reset'];
  await git.feed(nulled(hulls), '--literal-pathspecs', ...command, '--quiet', ...fromInput);
}

/**
 * Runs git with all that is staged for these paths, and nothing that is staged besides. Hooks see an index of their own, as they do with
 * `git commit --only`; that one asks the folder again, where a file may have made room for a folder, a link, or one that is ignored.
 */
async function onlyThese(
  git: Git,
  gitFolder: string,
  paths: ReadonlySet<string>,
  action: (own: Git) => Promise<unknown>,
): Promise<void> {
  const staged = await git.run(
    'diff-index',
    '--cached',
    '--raw',
    '-z',
    '--no-abbrev',
    '--no-renames',
    '--ignore-submodules=none',
    'HEAD',
    '--',
  );
  const fields = staged.split('\0');
  const gone: string[] = [];
  const there: string[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const [, mode, , sha] = (fields[index] as string).split(' ');
    const path = fields[index + 1] as string;
    if (paths.has(path)) (mode === '000000' ? gone : there).push(`${mode} ${sha}\t${path}`);
  }
  await withIndex(git, gitFolder, 'HEAD', async (own) => {
    // First what is gone: a folder may stand in its place.
    await own.feed(nulled([...gone, ...there]), 'update-index', '--add', '-z', '--index-info');
    await action(own);
  });
}

/** Takes what a hook changed while the last commit of ours was made into that commit. */
export async function amend(git: Git, state: WorktreeState, paths: readonly ChangedPath[]): Promise<CommitAnswer> {
  const wanted = new Set(paths.map(({ path }) => path));
  const commit = ['commit', '--amend', '--no-edit', '--allow-empty'];
  try {
    await stage(git, paths, { raw: false });
    if (state.changed.some((one) => one.staged && !wanted.has(one.path)))
      await onlyThese(git, state.gitFolder, wanted, (own) => own.run(...commit));
    else await git.run(...commit);
    return { done: true };
  } catch (error) {
    if (!(error instanceof GitError) || error.reason !== 'failed') throw error;
    return { done: false, why: 'refused', said: error.message };
  }
}

/** HEAD, and what it changed against its first parent. */
export async function lastCommit(git: Git): Promise<{ sha: string; files: ChangedFile[] }> {
  const output = await git.run(
    'diff-tree',
    '--root',
    '-m',
    '--first-parent',
    '-r',
    '-z',
    '--raw',
    '--numstat',
    '--no-renames',
    '--ignore-submodules=none',
    '--pretty=format:%H',
    'HEAD',
    '--',
  );
  // The id stands alone before the first entry, in the same field.
  const [sha = ''] = /^[0-9a-f]+/.exec(output) ?? [];
  return { sha, files: parseDifference(output.slice(sha.length)) };
}

/** What git meant, found out by asking, never from its words. */
async function refusal(git: Git, error: GitError, staged: readonly ChangedPath[]): Promise<CommitAnswer> {
  const hasIdentity = await git.run('var', 'GIT_COMMITTER_IDENT').then(
    () => true,
    () => false,
  );
  if (!hasIdentity) return { done: false, why: 'identity', said: error.message };
  const head = await git.commit('HEAD');
  if (staged.length > 0 && head !== undefined && (await differing(git, head, pathsOf(staged))).length === 0)
    return { done: false, why: 'nothing' };
  return { done: false, why: 'refused', said: error.message };
}

/** Those of the paths that the index has otherwise than HEAD; all that it has of them where nothing is committed yet. */
async function differing(git: Git, head: string | undefined, wanted: ReadonlySet<string>): Promise<string[]> {
  const output =
    head === undefined
      ? await git.run('ls-files', '-z')
      : await git.run('diff-index', '--cached', '--name-only', '-z', '--no-renames', '--ignore-submodules=none', head, '--');
  return output.split('\0').filter((path) => wanted.has(path));
}

const pathsOf = (changed: readonly ChangedPath[]): ReadonlySet<string> => new Set(changed.map(({ path }) => path));

/** The hooks that the repository names but that are not in this worktree (`core.hooksPath` of a folder that an install step makes): none of them runs. */
export async function missingHooks(git: Git): Promise<string | undefined> {
  const path = await git.ask('config', '--path', '--get', 'core.hooksPath');
  if (!path || path === '/dev/null') return undefined;
  return existsSync(join(path.startsWith('/') ? '' : git.folder, path)) ? undefined : path;
}
