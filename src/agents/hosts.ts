/**
 * The agent hosts of this storage: starts them, finds those of an earlier window, keeps one ready, ends orphans.
 * A host is known by its file `hosts/<id>.json`; it goes away by itself when its work is over and nobody comes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type HostFile, hostFileSchema, type PermissionPolicy } from '../agentHost/protocol.ts';
import { AgentError, messageOf, StorageError } from '../model/errors.ts';
import type { IdSource } from '../model/ids.ts';
import { parseJson } from '../platform/jsonLines.ts';
import type { Log } from '../platform/log.ts';
import { endMarked, isAlive, livesStill, type ProcessIdentity, userEnvironment } from '../platform/processes.ts';
import { runtimeFolder } from '../platform/runtimeFolder.ts';
import { removeLeftovers } from '../platform/temporaryFolders.ts';
import { isDiskTrouble, storageMessage } from '../store/fileSystem.ts';
import { HostClient, type HostClientEvents, type HostConnection, UnansweredError } from './hostClient.ts';

export interface HostsOptions {
  /** `hosts` in the storage. */
  folder: string;
  /** `dist/agentHost.js`. */
  program: string;
  /** Epoch of the storage: a host takes orders from the newest owner only. */
  epoch: number;
  newId: IdSource;
  /** Milliseconds that what a host started has to clear up before it is ended by force; 500 unless a test can't be hurried. */
  endGrace?: number;
  events: HostClientEvents;
  log: Log;
  /** The defaults unless a test can't wait for them. */
  limits?: HostLimits;
}

/** Milliseconds. */
export interface HostLimits {
  /** How long a host may say nothing at all when it owes an answer, before it is asked whether it is there. */
  silence: number;
  /** How long it may take to answer that; then it is ended. */
  answer: number;
  /** How long it may not be reached at all while it is silent (its socket may be gone, and come again); then it is ended. */
  absence: number;
}

const defaultLimits: HostLimits = { silence: 2_000, answer: 8_000, absence: 15_000 };
const startTimeLimit = 20_000;

/** The hosts, as those see them who hand out turns. */
export interface AgentHosts {
  connected(hostId: string): HostConnection | undefined;
  all(): Iterable<HostConnection>;
  take(): Promise<HostConnection>;
  giveBack(client: HostConnection): void;
  prepare(): void;
  find(hostId: string): Promise<HostConnection | undefined>;
  isAlive(hostId: string): boolean;
  end(hostId: string): Promise<void>;
  endOrphans(wanted: ReadonlySet<string>): Promise<void>;
}

export class Hosts implements AgentHosts {
  readonly #options: HostsOptions;
  readonly #clients = new Map<string, HostClient>();
  readonly #connecting = new Map<string, Promise<HostClient>>();
  /** Hosts whose answer is waited for. */
  readonly #attended = new Set<string>();
  readonly #ending = new Map<string, Promise<void>>();
  /** Hosts whose process is known to be gone; that does not change. */
  readonly #gone = new Set<string>();
  #spare: Promise<HostClient> | undefined;
  #disposed = false;

  constructor(options: HostsOptions) {
    this.#options = options;
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
  }

  /** The connection to a host, if there is one now. */
  connected(hostId: string): HostClient | undefined {
    return this.#clients.get(hostId);
  }

  all(): Iterable<HostClient> {
    return this.#clients.values();
  }

  /** A host without work: the one kept ready, or a new one. Rejects with AgentError, or StorageError for what the disk did. */
  async take(): Promise<HostClient> {
    const spare = this.#spare;
    this.#spare = undefined;
    const client = await spare?.catch(() => undefined);
    return client && !client.closed ? client : this.#start();
  }

  /** Has a host ready before it is needed, so that a prompt need not wait for the process to start. */
  prepare(): void {
    if (this.#disposed || this.#spare) return;
    const spare = this.#start();
    this.#spare = spare;
    spare.catch((error: Error) => {
      this.#options.log(`No agent host could be kept ready: ${error.message}`, 'warn');
      if (this.#spare === spare) this.#spare = undefined;
    });
  }

  /** Connects to a host that an earlier window started; undefined when it is gone or does not answer. */
  async find(hostId: string): Promise<HostClient | undefined> {
    const known = this.#clients.get(hostId);
    if (known) return known;
    const file = this.#read(hostId);
    const identity = identityIn(file);
    if (!file || (identity && !(await this.#lives(hostId, identity)))) return undefined;
    try {
      return await this.#connect(file);
    } catch {
      return undefined;
    }
  }

  /** False when the process is known to be gone; true also where the system does not say. */
  async #lives(hostId: string, identity: ProcessIdentity): Promise<boolean> {
    const lives = await livesStill(identity).catch(() => true);
    if (!lives) this.#gone.add(hostId);
    return lives;
  }

  /**
   * True while the host's process lives, whether or not it answers. Where that can't be told without waiting, it is the pid that is
   * looked for, until `find` has found out that it belongs to another process by now.
   */
  isAlive(hostId: string): boolean {
    const identity = identityIn(this.#read(hostId));
    if (!identity || this.#gone.has(hostId)) return false;
    if (process.platform === 'linux') return isAlive(identity);
    try {
      process.kill(identity.pid, 0);
      return true;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EPERM';
    }
  }

  /** Ends a host and everything it started, by identity, whatever state it is in. Rejects when the system does not say what runs. */
  end(hostId: string): Promise<void> {
    let ending = this.#ending.get(hostId);
    if (!ending) {
      ending = this.#end(hostId).finally(() => this.#ending.delete(hostId));
      this.#ending.set(hostId, ending);
    }
    return ending;
  }

  async #end(hostId: string): Promise<void> {
    const file = this.#read(hostId);
    const keeper = identityIn(file);
    this.#clients.get(hostId)?.disconnect();
    const left = await endMarked(hostId, { grace: this.#options.endGrace ?? 500, ...(keeper ? { keeper } : {}) });
    if (left.length > 0)
      this.#options.log(
        `The system did not end what the agent host ${hostId} started: ${left.map(({ pid }) => pid).join(', ')}. Restart the machine if it gets in the way.`,
        'warn',
      );
    this.#forget(hostId, file);
    void removeLeftovers(); // It never rejects, and may be long.
  }

  /**
   * Ends every host that is not in `wanted`, beside each other, and removes what dead ones left behind; a process that merely has a
   * host's old pid is never touched (invariant 9).
   */
  async endOrphans(wanted: ReadonlySet<string>): Promise<void> {
    const ids = this.#ids();
    const orphans = ids.filter((id) => !wanted.has(id) && !this.#clients.has(id) && !this.#isBeingStarted(id));
    await Promise.all(
      orphans.map(async (hostId) => {
        this.#options.log(`Ending the agent host ${hostId}, which has no turn any more.`);
        await this.end(hostId).catch((error: unknown) =>
          this.#options.log(`The agent host ${hostId} could not be ended: ${messageOf(error)}`, 'warn'),
        );
      }),
    );
    this.#removeLogsOf(new Set(ids));
    void removeLeftovers(); // It never rejects, and nothing waits for it.
  }

  /** Logs and unfinished files whose host has gone without them. */
  #removeLogsOf(known: ReadonlySet<string>): void {
    const { folder } = this.#options;
    for (const name of readdirSync(folder)) {
      const hostId = /^(.+?)\.(?:log|json\.tmp)$/.exec(name)?.[1];
      if (hostId && !known.has(hostId) && !existsSync(join(folder, `${hostId}.json`)))
        rmSync(join(folder, name), { force: true });
    }
  }

  /** Takes back a host that was taken for nothing; it is kept ready, or ended where one is ready already. */
  giveBack({ hostId }: HostConnection): void {
    const client = this.#clients.get(hostId);
    if (!client || client.status) return; // It is gone; or it has a conversation, for which it stays.
    if (this.#spare || this.#disposed) client.shutdown();
    else this.#spare = Promise.resolve(client);
  }

  setPolicy(policy: PermissionPolicy): void {
    for (const client of this.#clients.values()) client.setPolicy(policy);
  }

  /** Lets go of all hosts; those with work go on. */
  dispose(): void {
    this.#disposed = true;
    const release = () => {
      for (const client of this.#clients.values()) client.disconnect();
      this.#clients.clear();
    };
    if (this.#spare)
      void this.#spare
        .then(
          (client) => client.shutdown(),
          () => undefined,
        )
        .finally(release);
    else release();
    this.#spare = undefined;
  }

  async #start(): Promise<HostClient> {
    const { folder, newId, program } = this.#options;
    const hostId = newId();
    const socket = process.platform === 'win32' ? `\\\\.\\pipe\\branchline-${hostId}` : join(runtimeFolder(), `${hostId}.sock`);
    const file: HostFile = { hostId, token: randomBytes(24).toString('base64url'), socket, pid: null, startTime: null };
    let log: number;
    try {
      writeFileSync(join(folder, `${hostId}.json`), JSON.stringify(file), { mode: 0o600 });
      log = openSync(join(folder, `${hostId}.log`), 'a', 0o600);
    } catch (error) {
      this.#forget(hostId, file);
      if (isDiskTrouble(error)) throw new StorageError(storageMessage(error), { cause: error });
      throw new AgentError(
        `The agent host could not be started: ${messageOf(error)}. Check the permissions of ${folder} and retry.`,
        { cause: error },
      );
    }
    let child: ChildProcess;
    try {
      child = spawn(process.execPath, [program, folder, hostId], {
        detached: true,
        windowsHide: true,
        stdio: ['ignore', 'pipe', log],
        env: { ...userEnvironment(), ELECTRON_RUN_AS_NODE: '1' },
      });
    } finally {
      closeSync(log);
    }
    child.unref();
    try {
      await isReady(child);
      return await this.#connect(file);
    } catch (error) {
      const words = readText(join(folder, `${hostId}.log`))
        .trim()
        .slice(-500);
      if (child.pid) child.kill('SIGKILL');
      this.#forget(hostId, file);
      throw new AgentError(`The agent host could not be started. ${words || (error as Error).message}`, { cause: error });
    }
  }

  #connect(file: HostFile): Promise<HostClient> {
    const under = this.#connecting.get(file.hostId);
    if (under) return under;
    const { events, epoch } = this.#options;
    const connecting = HostClient.connect(file, epoch, {
      onOrder: (client) => void this.#attend(client),
      onStatus: (client, status) => {
        if (!this.#disposed) events.onStatus(client, status);
      },
      onEntries: (sessionId, entries) => {
        if (!this.#disposed) events.onEntries(sessionId, entries);
      },
      onClosed: (client) => {
        this.#clients.delete(client.hostId);
        const spare = this.#spare;
        void spare?.then(
          (one) => {
            if (one === client && this.#spare === spare) this.#spare = undefined;
          },
          () => undefined,
        );
        if (!this.#disposed) events.onClosed(client);
      },
    })
      .then((client) => {
        if (this.#disposed) client.shutdown();
        this.#clients.set(client.hostId, client);
        return client;
      })
      .finally(() => this.#connecting.delete(file.hostId));
    this.#connecting.set(file.hostId, connecting);
    return connecting;
  }

  /**
   * Waits until the host has answered what it was told. One that says nothing at all is asked whether it is there, and ended by identity
   * when it is not: it is stopped, or hangs, and would keep its turn and its worktree for ever.
   */
  async #attend(client: HostClient): Promise<void> {
    const { hostId } = client;
    if (this.#attended.has(hostId)) return;
    this.#attended.add(hostId);
    const { silence, absence } = this.#limits;
    try {
      for (let heard = client.heard, since = performance.now(); client.isOwed && !this.#disposed; ) {
        await delay(silence, undefined, { ref: false });
        if (client.heard === heard && client.isOwed && !this.#disposed) {
          const answer = await this.#ask(hostId);
          const isFrozen = answer === 'silent' || (answer === 'absent' && performance.now() - since > absence);
          if (isFrozen && client.heard === heard && client.isOwed && !this.#disposed) {
            this.#options.log(`The agent host ${hostId} does not answer any more, so it is ended.`, 'warn');
            await this.end(hostId);
            return;
          }
          if (answer === 'absent') continue;
          client.excuse();
        }
        heard = client.heard;
        since = performance.now();
      }
    } catch (error) {
      this.#options.log(`The agent host ${hostId} could not be ended: ${messageOf(error)}`, 'warn');
    } finally {
      this.#attended.delete(hostId);
    }
  }

  /** Whether the host answers on a connection of its own. */
  async #ask(hostId: string): Promise<'there' | 'silent' | 'absent'> {
    const file = this.#read(hostId);
    if (!file) return 'absent';
    const nothing = () => undefined;
    const events = { onStatus: nothing, onEntries: nothing, onClosed: nothing };
    try {
      (await HostClient.connect(file, this.#options.epoch, events, this.#limits.answer)).disconnect();
      return 'there';
    } catch (error) {
      return error instanceof UnansweredError ? error.how : 'absent';
    }
  }

  get #limits(): HostLimits {
    return this.#options.limits ?? defaultLimits;
  }

  #ids(): string[] {
    return readdirSync(this.#options.folder).flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -5)] : []));
  }

  /** A file without a pid that is younger than a start may take is a host on its way up. */
  #isBeingStarted(hostId: string): boolean {
    const path = join(this.#options.folder, `${hostId}.json`);
    const file = this.#read(hostId);
    return (
      file?.pid === null && existsSync(path) && Date.now() - statSync(path).mtimeMs < startTimeLimit && this.#spare !== undefined
    );
  }

  #read(hostId: string): HostFile | undefined {
    const text = readText(join(this.#options.folder, `${hostId}.json`));
    return hostFileSchema.safeParse(parseJson(text)).data;
  }

  #forget(hostId: string, file: HostFile | undefined): void {
    const { folder } = this.#options;
    rmSync(join(folder, `${hostId}.json`), { force: true });
    rmSync(join(folder, `${hostId}.log`), { force: true });
    if (!file || process.platform === 'win32') return;
    try {
      rmSync(file.socket, { force: true });
    } catch {
      // Its folder is gone, or no folder any more, and so is the socket.
    }
  }
}

function identityIn(file: HostFile | undefined): ProcessIdentity | undefined {
  return file?.pid && file.startTime ? { pid: file.pid, startTime: file.startTime } : undefined;
}

function isReady(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('It did not come up in time.')), startTimeLimit);
    const end = (action: () => void) => {
      clearTimeout(timer);
      child.stdout?.destroy();
      action();
    };
    child.on('error', (error) => end(() => reject(error)));
    child.on('exit', (code) => end(() => reject(new Error(`It ended with exit code ${code}.`))));
    child.stdout?.once('data', () => end(resolve));
  });
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
