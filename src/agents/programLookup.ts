/**
 * Which programs are there, asked of the file system once and without blocking, and kept: the queue asks on every change, and a PATH
 * may lead to slow disks. An answer that is old is still given, and looked up again meanwhile.
 */
import { findProgram, isExecutableFile } from '../platform/launch.ts';

/** Milliseconds for which an answer is not looked up again. */
const freshTime = 30_000;

export interface ProgramLookupOptions {
  /** True where the program can be found in this environment. */
  find: (command: string, environment: NodeJS.ProcessEnv) => Promise<boolean>;
  environment: NodeJS.ProcessEnv;
  now: () => number;
}

interface Answer {
  isThere: boolean;
  /** When it was looked up; undefined before the first time. */
  at: number | undefined;
  looking: Promise<boolean> | undefined;
  /** Looks when that is done: what is being looked at may have changed since. */
  next: Promise<boolean> | undefined;
}

export class ProgramLookup {
  readonly #options: ProgramLookupOptions;
  readonly #answers = new Map<string, Answer>();
  readonly #listeners = new Set<() => void>();

  constructor(options: ProgramLookupOptions) {
    this.#options = options;
  }

  /** Told when an answer has become another one, the first one included. */
  onDidChange(listener: () => void): { dispose(): void } {
    this.#listeners.add(listener);
    return { dispose: () => this.#listeners.delete(listener) };
  }

  /** The last answer, false before there is one; looks again where it is old. `own`: variables besides those of the environment. */
  isThere(command: string, own: Readonly<Record<string, string>> = {}): boolean {
    const answer = this.#answerOf(command, own);
    const isOld = answer.at === undefined || this.#options.now() - answer.at > freshTime;
    if (isOld && !answer.looking) void this.look(command, own);
    return answer.isThere;
  }

  /** Looks anew, after this call. Resolves with true when the answer is another one than before. Never rejects. */
  look(command: string, own: Readonly<Record<string, string>> = {}): Promise<boolean> {
    const answer = this.#answerOf(command, own);
    if (answer.looking) {
      answer.next ??= answer.looking.then(() => {
        answer.next = undefined;
        return this.look(command, own);
      });
      return answer.next;
    }
    answer.looking = this.#look(command, own, answer).finally(() => {
      answer.looking = undefined;
    });
    return answer.looking;
  }

  async #look(command: string, own: Readonly<Record<string, string>>, answer: Answer): Promise<boolean> {
    const { environment, find, now } = this.#options;
    const isThere = await find(command, { ...environment, ...own }).catch(() => false);
    const changed = answer.isThere !== isThere;
    answer.isThere = isThere;
    answer.at = now();
    if (changed) for (const listener of this.#listeners) listener();
    return changed;
  }

  #answerOf(command: string, own: Readonly<Record<string, string>>): Answer {
    const key = `${command}\0${own.PATH ?? ''}`;
    let answer = this.#answers.get(key);
    if (!answer) {
      answer = { isThere: false, at: undefined, looking: undefined, next: undefined };
      this.#answers.set(key, answer);
    }
    return answer;
  }
}

/** Of this process' environment: whatever the settings are, one program is looked for once. */
export const programsHere = new ProgramLookup({
  find: async (command, environment) =>
    (await findProgram(command, { platform: process.platform, environment, isExecutable: isExecutableFile })) !== undefined,
  environment: process.env,
  now: () => performance.now(),
});
