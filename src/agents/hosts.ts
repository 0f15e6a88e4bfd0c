/**
 * The agent hosts of this storage: starts them, finds those of an earlier window, keeps one ready, ends orphans.
 * A host is known by its file `hosts/<id>.json`; it goes away by itself when its work is over and nobody comes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type HostFile, hostFileSchema, type PermissionPolicy } from '../agentHost/protocol.ts';
import { AgentError, messageOf, StorageError } from '../model/errors.ts';
import type { IdSource } from '../model/ids.ts';
import { parseJson } from '../platform/jsonLines.ts';
import type { Log } from '../platform/log.ts';
import { endMarked, isAlive, userEnvironment } from '../platform/processes.ts';
import { runtimeFolder } from '../platform/runtimeFolder.ts';
import { isDiskTrouble, storageMessage } from '../store/fileSystem.ts';
import { HostClient, type HostClientEvents, type HostConnection } from './hostClient.ts';

export interface HostsOptions {
  /** `hosts` in the storage. */
  folder: string;
  /** `dist/agentHost.js`. */
  program: string;
  /** Epoch of the storage: a host takes orders from the newest owner only. */
  epoch: number;
  newId: IdSource;
  events: HostClientEvents;
  log: Log;
}

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
    if (!file || (file.pid !== null && file.startTime !== null && !isAlive({ pid: file.pid, startTime: file.startTime })))
      return undefined;
    try {
      return await this.#connect(file);
    } catch {
      return undefined;
    }
  }

  /** True while the host's process lives, whether or not it answers. */
  isAlive(hostId: string): boolean {
    const file = this.#read(hostId);
    return Boolean(file?.pid && file.startTime && isAlive({ pid: file.pid, startTime: file.startTime }));
  }

  /** Ends a host and everything it started, by identity, whatever state it is in. */
  async end(hostId: string): Promise<void> {
    const file = this.#read(hostId);
    this.#clients.get(hostId)?.disconnect();
    if (file?.pid && file.startTime && process.platform === 'win32' && isAlive({ pid: file.pid, startTime: file.startTime }))
      await endMarked(hostId, { leader: file.pid });
    if (file?.pid && file.startTime && isAlive({ pid: file.pid, startTime: file.startTime })) {
      try {
        process.kill(file.pid, 'SIGKILL');
      } catch {
        // Gone in this moment.
      }
    }
    await endMarked(hostId, { grace: 500 });
    this.#forget(hostId, file);
  }

  /** Ends every host that is not in `wanted`; a process that merely has a host's old pid is never touched (invariant 9). */
  async endOrphans(wanted: ReadonlySet<string>): Promise<void> {
    for (const hostId of this.#ids()) {
      if (wanted.has(hostId) || this.#clients.has(hostId) || this.#isBeingStarted(hostId)) continue;
      this.#options.log(`Ending the agent host ${hostId}, which has no turn any more.`);
      await this.end(hostId);
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
    if (file && process.platform !== 'win32') rmSync(file.socket, { force: true });
  }
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
