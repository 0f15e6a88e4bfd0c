/**
 * Runs git, with the user's own configuration and hooks: always by argument vector, never through a shell, in one language, with
 * nobody to ask, no input but what is given, a limit and a stop. Nobody else in the project starts git.
 *
 * What git answers is read from formats that are made for programs, and from exit codes that mean one thing.
 */
import type { SimpleGit } from 'simple-git';
import { BranchlineError } from '../model/errors.ts';
import { randomId } from '../model/ids.ts';
import { gitEnvironment } from '../platform/environment.ts';
import { endMarked, markVariable } from '../platform/processes.ts';

export interface GitOptions {
  /** Ends git and all it started. */
  signal?: AbortSignal | undefined;
  /** Found in the environment of git and all it starts (hooks, filters), so that another process can end it, too. */
  mark?: string | undefined;
  /** Milliseconds after which it is ended. */
  limit?: number | undefined;
  /** Variables besides; `GIT_INDEX_FILE`, for instance. */
  environment?: NodeJS.ProcessEnv | undefined;
}

/** What may take long (a checkout, hooks that run tests) has a limit of its own; milliseconds. */
const usualLimit = 120_000;
/** From the abort of git until its hooks are ended by force, in milliseconds. */
const hookGrace = 500;
/** Exit code by which git's plumbing says no, and nothing else (git-rev-parse(1), git-symbolic-ref(1), git-merge-base(1)). */
const no = 1;

/** git said no, could not be started, or was ended. `message` is what it said. */
export class GitError extends BranchlineError {
  override name = 'GitError';
  readonly reason: 'missing' | 'stopped' | 'late' | 'failed';
  readonly exitCode: number | null;
  constructor(message: string, reason: GitError['reason'], exitCode: number | null, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
    this.exitCode = exitCode;
  }
}

/** simple-git refuses these in an environment or on a command line that a stranger may have written; these are the user's and ours. */
const ours = {
  allowUnsafeAskPass: true,
  allowUnsafeConfigEnvCount: true,
  allowUnsafeConfigPaths: true,
  allowUnsafeDiffExternal: true,
  allowUnsafeEditor: true,
  allowUnsafeExec: true,
  allowUnsafeGitProxy: true,
  allowUnsafeHooksPath: true,
  allowUnsafePager: true,
  allowUnsafeProtocolOverride: true,
  allowUnsafeSshCommand: true,
  allowUnsafeTemplateDir: true,
};

interface Ended {
  exitCode: number;
  words: string;
}

export class Git {
  readonly folder: string;
  readonly #options: GitOptions;

  /** `folder` must exist by the first call. */
  constructor(folder: string, options: GitOptions = {}) {
    this.folder = folder;
    this.#options = options;
  }

  /** The same folder, with these options besides. */
  with(options: GitOptions): Git {
    return new Git(this.folder, {
      ...this.#options,
      ...options,
      environment: { ...this.#options.environment, ...options.environment },
    });
  }

  /** Output of `git ARGS`; rejects with GitError. */
  run(...args: string[]): Promise<string> {
    return this.#run((git) => git.raw(args));
  }

  /** Like `run`, with `input` on its standard input. */
  feed(input: string, ...args: string[]): Promise<string> {
    return this.#run((git) => git.raw(args), Buffer.from(input));
  }

  /** First line of the output, or undefined where git answers no. */
  async ask(...args: string[]): Promise<string | undefined> {
    return (await this.answer(...args))?.split('\n')[0] || undefined;
  }

  /** The output, or undefined where git answers no. An error is never taken for a no. */
  async answer(...args: string[]): Promise<string | undefined> {
    try {
      return await this.run(...args);
    } catch (error) {
      if (error instanceof GitError && error.exitCode === no) return undefined;
      throw error;
    }
  }

  /** Content of a file in a tree or commit as git would check it out, through its filters; as it is stored where they fail. Undefined when it is not in there. */
  async content(tree: string, path: string): Promise<Buffer | undefined> {
    const name = `${tree}:${path}`;
    if ((await this.ask('rev-parse', '--verify', '--quiet', '--end-of-options', name)) === undefined) return undefined;
    try {
      return (await this.#run((git) => git.binaryCatFile(['--filters', name]))) as Buffer;
    } catch {
      return (await this.#run((git) => git.binaryCatFile(['blob', name]))) as Buffer;
    }
  }

  /** The full sha of a commit, or undefined when the revision names none. */
  commit(revision: string): Promise<string | undefined> {
    return this.ask('rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`);
  }

  async #run<T>(task: (git: SimpleGit) => PromiseLike<T>, input: Buffer = Buffer.alloc(0)): Promise<T> {
    const { signal, limit = usualLimit, mark = `git-${randomId()}`, environment } = this.#options;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), limit);
    const abort = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
    const ended: { value?: Ended } = {};
    try {
      if (signal?.aborted) throw new GitError('git was stopped.', 'stopped', null);
      return await task(await open(this.folder, { abort, mark, environment, input }, (value) => (ended.value = value)));
    } catch (error) {
      if (error instanceof GitError) throw error;
      // A hook or a filter outlives the git that it was started by.
      if (abort.aborted) await endMarked(mark, { grace: hookGrace });
      if (signal?.aborted) throw new GitError('git was stopped.', 'stopped', null, { cause: error });
      if (late.signal.aborted)
        throw new GitError(`git did not end within ${Math.round(limit / 1_000)} s and was stopped.`, 'late', null, {
          cause: error,
        });
      if (isMissing(error))
        throw new GitError('git was not found. Install git, or mend PATH, and retry.', 'missing', null, { cause: error });
      const { exitCode = null, words = '' } = ended.value ?? {};
      throw new GitError(words || `git ended with exit code ${exitCode ?? 'unknown'}.`, 'failed', exitCode, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}

interface Run {
  abort: AbortSignal;
  mark: string;
  environment: NodeJS.ProcessEnv | undefined;
  input: Buffer;
}

/** The library is loaded when it is first needed: activation does not wait for it. */
async function open(
  folder: string,
  { abort, mark, environment, input }: Run,
  onFailure: (ended: Ended) => void,
): Promise<SimpleGit> {
  const { simpleGit } = await import('simple-git');
  const all = gitEnvironment(process.env, { ...environment, [markVariable]: mark });
  return (
    simpleGit({
      baseDir: folder,
      allowEnvironment: Object.keys(all), // Else simple-git drops the user's own GIT_ variables.
      abort,
      trimmed: false,
      unsafe: ours,
      input: () => input, // An empty one closes the input, so that nothing waits for it.
      errors: (error, result) => {
        if (result.exitCode === 0) return error instanceof Error ? error : undefined; // Words on standard error are no failure.
        const words = Buffer.concat([...result.stdErr, ...result.stdOut])
          .toString('utf8')
          .trim();
        onFailure({ exitCode: result.exitCode, words });
        return new Error(words);
      },
    })
      // simple-git waits 50 ms for what a process without output may still say; the end of its output says that there is nothing.
      .outputHandler((_command, stdout) => void stdout.once('end', () => stdout.emit('data', Buffer.alloc(0))))
      .env(all)
  );
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && /\bENOENT\b/.test(error.message) && /spawn/.test(error.message);
}

export const isMissingProgram = (error: unknown): boolean => error instanceof GitError && error.reason === 'missing';
