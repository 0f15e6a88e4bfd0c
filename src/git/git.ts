/** git with the user's own configuration and hooks, always by argument vector, never through a shell. */
import type { SimpleGit } from 'simple-git';
import { endMarked, markVariable, userEnvironment } from '../platform/processes.ts';

export interface GitOptions {
  /** Ends the git process. */
  signal?: AbortSignal | undefined;
  /** Found in the environment of git and all it starts (hooks, filters); with `signal`, all of that is ended. */
  mark?: string;
}

/** Milliseconds. */
const hookGrace = 500;

/** simple-git refuses these in an environment that a stranger may have written; this one is the user's own. */
const usersOwnEnvironment = {
  allowUnsafeAskPass: true,
  allowUnsafeConfigEnvCount: true,
  allowUnsafeConfigPaths: true,
  allowUnsafeDiffExternal: true,
  allowUnsafeEditor: true,
  allowUnsafeExec: true,
  allowUnsafeGitProxy: true,
  allowUnsafePager: true,
  allowUnsafeProtocolOverride: true,
  allowUnsafeSshCommand: true,
  allowUnsafeTemplateDir: true,
};

/** Loaded when it is first needed: activation does not wait for it. */
async function open(folder: string, options: GitOptions): Promise<SimpleGit> {
  const { simpleGit } = await import('simple-git');
  const environment = { ...userEnvironment(), ...(options.mark === undefined ? {} : { [markVariable]: options.mark }) };
  return simpleGit({
    baseDir: folder,
    allowEnvironment: Object.keys(environment), // Else simple-git drops the user's own GIT_ variables.
    ...(options.signal ? { abort: options.signal } : {}),
    trimmed: false,
    unsafe: usersOwnEnvironment,
    // Without this a failure that prints nothing would count as success.
    errors: (error, result) => error ?? (result.exitCode === 0 ? undefined : Buffer.concat([...result.stdErr, ...result.stdOut])),
  }).env(environment);
}

export class Git {
  readonly folder: string;
  readonly #options: GitOptions;
  #opened: Promise<SimpleGit> | undefined;

  /** `folder` must exist by the first call. */
  constructor(folder: string, options: GitOptions = {}) {
    this.folder = folder;
    this.#options = options;
  }

  get #git(): Promise<SimpleGit> {
    this.#opened ??= open(this.folder, this.#options);
    return this.#opened;
  }

  /** Output of `git ARGS`; rejects with what git said. */
  async run(...args: string[]): Promise<string> {
    try {
      return await (await this.#git).raw(args);
    } finally {
      // A hook outlives the git that it was started by.
      if (this.#options.signal?.aborted && this.#options.mark !== undefined)
        await endMarked(this.#options.mark, { grace: hookGrace });
    }
  }

  /** Content of a file in a commit; undefined when the commit has no such file. */
  async content(sha: string, path: string): Promise<Buffer | undefined> {
    try {
      return (await (await this.#git).showBuffer(`${sha}:${path}`)) as Buffer;
    } catch (error) {
      if (isMissingProgram(error)) throw error;
      return undefined;
    }
  }

  /** Paths that differ between two commits, or between a commit and the working tree; renames as `from`. */
  async changesBetween(
    from: string,
    to: string | undefined,
  ): Promise<{ path: string; from: string; kind: 'added' | 'deleted' | 'changed' }[]> {
    const fields = (
      await this.run('diff', '--name-status', '-z', '--find-renames', '--no-ext-diff', from, ...(to ? [to] : []), '--')
    ).split('\0');
    const changes: { path: string; from: string; kind: 'added' | 'deleted' | 'changed' }[] = [];
    for (let index = 0; index + 1 < fields.length; index += 2) {
      const status = (fields[index] as string)[0];
      const first = fields[index + 1] as string;
      if (status === 'R' || status === 'C') {
        changes.push({ path: fields[index + 2] as string, from: first, kind: 'changed' });
        index += 1;
      } else changes.push({ path: first, from: first, kind: status === 'A' ? 'added' : status === 'D' ? 'deleted' : 'changed' });
    }
    return changes;
  }

  /** First line of the output, or undefined where git answers no. */
  async line(...args: string[]): Promise<string | undefined> {
    try {
      return (await this.run(...args)).split('\n')[0] || undefined;
    } catch (error) {
      if (isMissingProgram(error)) throw error;
      return undefined;
    }
  }

  /** The full sha of a commit, or undefined when the revision names none. */
  commit(revision: string): Promise<string | undefined> {
    return this.line('rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`);
  }

  /** Short name of the checked-out branch; undefined when HEAD is detached. */
  async currentBranch(): Promise<string | undefined> {
    return (await this.line('symbolic-ref', '--quiet', 'HEAD'))?.replace(/^refs\/heads\//, '');
  }

  /** Paths with changes that are not committed, untracked ones included. */
  async changedPaths(): Promise<string[]> {
    const fields = (await this.run('status', '--porcelain=v1', '-z', '--untracked-files=all')).split('\0');
    const paths: string[] = [];
    for (let index = 0; index < fields.length; index += 1) {
      const field = fields[index] as string;
      if (field === '') continue;
      paths.push(field.slice(3));
      if (field[0] === 'R' || field[0] === 'C') index += 1; // Followed by the path it came from.
    }
    return paths;
  }
}

export function isMissingProgram(error: unknown): boolean {
  return error instanceof Error && /\bENOENT\b/.test(error.message) && /spawn/.test(error.message);
}
