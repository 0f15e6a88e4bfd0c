/** Which git is there, asked once for each PATH. The least is one that has all that `src/git` relies on. */
import { WorktreeError } from '../model/errors.ts';
import { Git } from './git.ts';

export type GitVersion = readonly [major: number, minor: number];

/** `git commit --pathspec-from-file` came with 2.26 (git's RelNotes/2.26.0). */
export const leastVersion: GitVersion = [2, 26];

/** From `git version 2.39.5 (Apple Git-154)`; undefined for anything else. */
export function parseVersion(output: string): GitVersion | undefined {
  const found = /^git version (\d+)\.(\d+)/.exec(output);
  return found ? [Number(found[1]), Number(found[2])] : undefined;
}

export const isAtLeast = (version: GitVersion, least: GitVersion): boolean =>
  version[0] > least[0] || (version[0] === least[0] && version[1] >= least[1]);

const known = new Map<string, Promise<GitVersion>>();

/** Rejects with GitError when there is no git, and with WorktreeError, which says what is needed, when it is too old. */
export function gitVersion(folder: string): Promise<GitVersion> {
  const key = process.env.PATH ?? '';
  let asked = known.get(key);
  if (!asked) {
    asked = ask(folder);
    known.set(key, asked);
    asked.catch(() => known.delete(key)); // It may be installed meanwhile.
  }
  return asked;
}

async function ask(folder: string): Promise<GitVersion> {
  const output = (await new Git(folder).run('version')).trim();
  const version = parseVersion(output);
  if (!version || !isAtLeast(version, leastVersion))
    throw new WorktreeError(
      `Branchline needs git ${leastVersion.join('.')} or later, and this is ${version ? version.join('.') : `"${output.slice(0, 80)}"`}. Install a newer git, or put it first in PATH, and retry.`,
    );
  return version;
}
