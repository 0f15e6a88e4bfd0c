/**
 * One agent's process and its conversation: spawn, initialize, new or continued session, prompt, cancel, end.
 *
 * How agents differ is met here, by capability: resume is preferred to load (no replay); what a load replays is dropped, for
 * our transcript is the truth; an agent is ended by closing its input, then by its group, then by force.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type AgentCapabilities,
  type ClientConnection,
  type ContentBlock,
  client,
  methods,
  ndJsonStream,
  type PromptResponse,
  type RequestPermissionRequest,
  type RequestPermissionResponse,
  type SessionUpdate,
} from '@agentclientprotocol/sdk';
import { isConversationGone } from '../agents/availability/conversationGone.ts';
import { AgentError, messageOf } from '../model/errors.ts';
import { agentEnvironment, type Place } from '../platform/environment.ts';
import { endMarked, markVariable } from '../platform/processes.ts';
import { agentTemporaryFolder, removeFolder } from '../platform/temporaryFolders.ts';
import type { AgentProgram } from './protocol.ts';

export interface AgentProcessOptions {
  program: AgentProgram;
  cwd: string;
  place: Place;
  /** Found in the environment of everything that the agent starts. */
  mark: string;
  /** Milliseconds for each answer until it has the prompt. */
  startTimeLimit: number;
  onUpdate: (update: SessionUpdate) => void;
  onPermission: (request: RequestPermissionRequest, signal: AbortSignal) => Promise<RequestPermissionResponse>;
}

const stderrKept = 4_000;
const inputClosedTime = 3_000;

export class AgentProcess {
  readonly #child: ChildProcess;
  readonly #connection: ClientConnection;
  readonly #options: AgentProcessOptions;
  readonly #temporary: string | undefined;
  #stderr = '';
  #capabilities: AgentCapabilities = {};
  /** False until the first prompt: what a load replays we have already. */
  #listening = false;
  /** Name and version, as the agent gives them. */
  info: string | undefined;
  sessionId: string | undefined;
  readonly exited: Promise<string>;
  hasExited = false;
  /** True once nothing can be said to it any more, though it may still run. */
  isCutOff = false;

  private constructor(child: ChildProcess, options: AgentProcessOptions, temporary: string | undefined) {
    this.#child = child;
    this.#options = options;
    this.#temporary = temporary;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-stderrKept);
    });
    this.exited = new Promise((resolve) => {
      const end = (words: string) => {
        this.hasExited = true;
        resolve(words);
      };
      child.on('error', (error: NodeJS.ErrnoException) =>
        end(
          error.code === 'ENOENT'
            ? `"${options.program.command}" was not found. Install ${options.program.name} or mend the setting "branchline.agents".`
            : error.message,
        ),
      );
      child.on('exit', (code, signal) =>
        end(`${options.program.name} ended ${signal ? `by ${signal}` : `with exit code ${code}`}.${this.lastWords}`),
      );
    });
    const app = client({ name: 'branchline' })
      .onNotification(methods.client.session.update, ({ params }) => {
        if (this.#listening && params.sessionId === this.sessionId) options.onUpdate(params.update);
      })
      .onRequest(methods.client.session.requestPermission, ({ params, signal }) => options.onPermission(params, signal));
    this.#connection = app.connect(
      ndJsonStream(
        Writable.toWeb(child.stdin as Writable) as WritableStream<Uint8Array>,
        Readable.toWeb(child.stdout as Readable) as unknown as ReadableStream<Uint8Array>,
      ),
    );
    child.stdin?.on('error', () => {
      this.isCutOff = true;
    });
    void this.#connection.closed.then(() => {
      this.isCutOff = true;
    });
  }

  /** Starts the program and agrees on the protocol; rejects with AgentError, and leaves nothing behind. */
  static async start(options: AgentProcessOptions): Promise<AgentProcess> {
    const { program } = options;
    const temporary = program.builtIn ? undefined : await agentTemporaryFolder(options.mark);
    const child = spawn(program.command, program.args, {
      cwd: options.cwd,
      detached: process.platform !== 'win32',
      stdio: ['pipe', 'pipe', 'pipe'],
      windowsHide: true,
      env: {
        ...agentEnvironment(options.place, {
          ...(temporary ? { TMPDIR: temporary, TMP: temporary, TEMP: temporary } : {}),
          ...(program.builtIn ? { ELECTRON_RUN_AS_NODE: '1' } : {}),
          ...program.env,
        }),
        [markVariable]: options.mark,
      },
    });
    const agent = new AgentProcess(child, options, temporary);
    try {
      const answer = await agent.#request(
        'start',
        agent.#connection.agent.request(methods.agent.initialize, {
          protocolVersion: 1,
          clientInfo: { name: 'branchline', version: '1' },
          clientCapabilities: {},
        }),
      );
      agent.#capabilities = answer?.agentCapabilities ?? {};
      if (answer?.agentInfo) agent.info = `${answer.agentInfo.title ?? answer.agentInfo.name} ${answer.agentInfo.version}`;
      return agent;
    } catch (error) {
      await agent.end();
      throw error;
    }
  }

  get isOfUse(): boolean {
    return !this.hasExited && !this.isCutOff;
  }

  get lastWords(): string {
    const words = this.#stderr.trim();
    return words ? ` It said: ${words.slice(-500)}` : '';
  }

  /** True where another process can go on with its conversation. */
  get canTakeUp(): boolean {
    return Boolean(this.#capabilities.sessionCapabilities?.resume) || this.#capabilities.loadSession === true;
  }

  get acceptsImages(): boolean {
    return this.#capabilities.promptCapabilities?.image ?? false;
  }

  /**
   * Opens the conversation: a new one, or the one with this id in this same folder. Returns why it can't go on, for a conversation that
   * its agent says it does not know; everything else on the way back may pass, and rejects. `isFresh`: nothing was ever said in it, so
   * another one takes its place.
   */
  async open(known: string | null, isFresh: boolean): Promise<{ retired: string } | undefined> {
    const { cwd, program } = this.#options;
    const agent = this.#connection.agent;
    if (known === null) {
      const session = await this.#request('open a session', agent.request(methods.agent.session.new, { cwd, mcpServers: [] }));
      // The library does not look at answers.
      const sessionId: unknown = session?.sessionId;
      if (typeof sessionId !== 'string' || sessionId === '')
        throw new AgentError(
          `${program.name} opened a session without an id, so it can't be used. Update ${program.name}, or choose another agent.`,
        );
      this.sessionId = sessionId;
      return undefined;
    }
    this.sessionId = known;
    const params = { sessionId: known, cwd, mcpServers: [] };
    try {
      if (this.#capabilities.sessionCapabilities?.resume)
        await this.#request('go on', agent.request(methods.agent.session.resume, params));
      else if (this.#capabilities.loadSession) await this.#request('go on', agent.request(methods.agent.session.load, params));
      else if (isFresh) return this.open(null, true);
      else
        return {
          retired: `${program.name} can't continue an earlier conversation. Queue a new session instead, or go on in one that is told what was said here; the transcript is kept.`,
        };
      return undefined;
    } catch (error) {
      if (this.hasExited || !isConversationGone((error as Error).cause ?? error)) throw error;
      if (isFresh) return this.open(null, true);
      return {
        retired: `${program.name} no longer has this conversation (${messageOf(error)}). Queue a new session instead, or go on in one that is told what was said here; the transcript is kept.`,
      };
    }
  }

  /** Hands the prompt over and resolves when the agent's turn is over; rejects with AgentError. */
  async prompt(blocks: ContentBlock[]): Promise<Partial<PromptResponse>> {
    this.#listening = true;
    const sessionId = this.sessionId as string;
    try {
      return (
        (await this.#request(
          'answer',
          this.#connection.agent.request(methods.agent.session.prompt, { sessionId, prompt: blocks }),
          Number.POSITIVE_INFINITY,
        )) ?? {}
      );
    } finally {
      if (this.hasExited) this.#listening = false; // Else it may go on in the background, and say so.
    }
  }

  async cancel(): Promise<void> {
    if (!this.sessionId || this.hasExited) return;
    await this.#connection.agent.notify(methods.agent.session.cancel, { sessionId: this.sessionId }).catch(() => undefined);
  }

  /** Waits for an answer, the agent's end or the time limit, whichever is first. */
  async #request<T>(doing: string, answer: Promise<T>, limit = this.#options.startTimeLimit): Promise<T> {
    const { name } = this.#options.program;
    let timer: NodeJS.Timeout | undefined;
    const contenders = [
      answer.catch((error: unknown) => {
        throw explained(error, name);
      }),
      this.exited.then((words): never => {
        throw new AgentError(words);
      }),
    ];
    if (Number.isFinite(limit)) {
      contenders.push(
        new Promise<never>((_, reject) => {
          timer = setTimeout(
            () =>
              reject(
                new AgentError(
                  `${name} did not ${doing} within ${limit / 1_000} s. See in a terminal whether it starts there, then retry.${this.lastWords}`,
                ),
              ),
            limit,
          );
        }),
      );
    }
    try {
      return await Promise.race(contenders);
    } catch (error) {
      if (!(error instanceof AgentError) || !/connection closed|EPIPE|ECONNRESET|write after end/i.test(error.message))
        throw error;
      this.isCutOff = true;
      // The pipes close a moment before the exit is seen; its words are better.
      throw new AgentError(
        await Promise.race([
          this.exited,
          delay(
            inputClosedTime,
            `${name} closed its input, so nothing can be said to it any more. Retry to start it again.${this.lastWords}`,
            { ref: false },
          ),
        ]),
      );
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the agent and everything it started; resolves when all of it is gone. */
  async end(): Promise<void> {
    if (!this.hasExited) {
      this.#child.stdin?.end();
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([
        this.exited,
        new Promise((resolve) => {
          timer = setTimeout(resolve, inputClosedTime);
        }),
      ]);
      clearTimeout(timer);
    }
    await this.kill();
  }

  /** Like `end`, without asking the agent first. */
  async kill(): Promise<void> {
    this.#connection.close();
    await endMarked(this.#options.mark, { ...(this.#child.pid ? { leader: this.#child.pid } : {}), grace: 2_000 });
    if (this.#temporary) await removeFolder(this.#temporary);
  }
}

/** JSON-RPC errors of agents in words; -32000 is the protocol's "authentication required" when its message says so. */
function explained(error: unknown, name: string): AgentError {
  const message = messageOf(error);
  const data = (error as { data?: unknown }).data;
  const detail =
    typeof data === 'string'
      ? data
      : typeof (data as { details?: unknown } | undefined)?.details === 'string'
        ? (data as { details: string }).details
        : '';
  if (/auth/i.test(message) && (error as { code?: number }).code === -32000) {
    return new AgentError(
      `${name} needs you to log in. Open a terminal, log in with ${name}'s own command, and retry. (${message})`,
      { cause: error },
    );
  }
  return new AgentError(detail && !message.includes(detail) ? `${message}: ${detail}` : message, { cause: error });
}
