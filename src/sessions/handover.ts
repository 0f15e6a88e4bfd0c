/**
 * How a window asks the one that owns the same storage to hand it over: by a file in the storage's folder, which the owner looks for.
 * VS Code keeps the extension host of a window that is gone for minutes to hours (its reconnection grace time): such an owner is alive,
 * holds its lock, and shows nothing to anybody. It finds that out by asking its own window something.
 */
import { lstat, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { randomId } from '../model/ids.ts';

const requestSchema = z.object({
  /** The window that asks. */
  by: z.string(),
  /** False: only from an owner that nobody sees. True: a person said so. */
  insists: z.boolean(),
});
export type HandoverRequest = z.infer<typeof requestSchema>;

const requestPath = (folder: string): string => join(folder, 'handover.json');
/** How often an owner looks, in milliseconds. */
const lookTime = 500;

/** Asks whoever owns the storage. The last one who asks counts. */
export async function askForStorage(folder: string, request: HandoverRequest): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const temporary = `${requestPath(folder)}.${randomId()}`; // One window may ask twice at once.
  try {
    await writeFile(temporary, JSON.stringify(request), { mode: 0o600 });
    // What is no file there is nobody's request, and would be in the way.
    if ((await lstat(requestPath(folder)).catch(() => undefined))?.isFile() === false) await forgetRequest(folder);
    await rename(temporary, requestPath(folder));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Takes a request back, or one that has been heard. */
export const forgetRequest = (folder: string): Promise<void> => rm(requestPath(folder), { force: true, recursive: true });

const meantPath = (folder: string): string => join(folder, 'handed-over.json');

/** Says for whom the storage is let go, to the others that wait for it. */
export const meanFor = (folder: string, windowId: string): Promise<void> =>
  writeFile(meantPath(folder), JSON.stringify({ by: windowId, insists: false } satisfies HandoverRequest), { mode: 0o600 });

/** True when the storage was let go for another window, which has not taken it yet. */
export async function isForAnother(folder: string, windowId: string): Promise<boolean> {
  const meant = await readRequest(meantPath(folder));
  return meant !== undefined && meant.by !== windowId;
}

/** Whoever it was for, the storage is taken, and what was asked before is over. */
export async function forgetAll(folder: string): Promise<void> {
  await forgetRequest(folder);
  await rm(meantPath(folder), { force: true, recursive: true });
}

async function readRequest(path: string): Promise<HandoverRequest | undefined> {
  try {
    if (!(await lstat(path)).isFile()) return undefined; // A pipe would be waited for.
    return requestSchema.safeParse(JSON.parse(await readFile(path, 'utf8'))).data;
  } catch {
    return undefined; // There is none, or somebody else's.
  }
}

export interface OwnerDeskOptions {
  folder: string;
  /** This window: what it asked itself, before it was the owner, is over. */
  windowId: string;
  /** Whether this process's own window answers; undefined where that can't be told. */
  isSeen: () => Promise<boolean>;
  /** Lets go of the storage for the window that asked. */
  handOver: (windowId: string) => void;
}

/** Hears requests while this window is the owner. */
export class OwnerDesk {
  readonly #options: OwnerDeskOptions;
  readonly #timer: NodeJS.Timeout;
  #isHearing = false;
  #disposed = false;

  constructor(options: OwnerDeskOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#look(), lookTime);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    if (this.#isHearing) return;
    this.#isHearing = true;
    try {
      const request = await this.#take();
      if (!request || request.by === this.#options.windowId || this.#disposed) return;
      if ((request.insists || !(await this.#options.isSeen())) && !this.#disposed) this.#options.handOver(request.by);
    } finally {
      this.#isHearing = false;
    }
  }

  async #take(): Promise<HandoverRequest | undefined> {
    const { folder } = this.#options;
    const request = await readRequest(requestPath(folder));
    if (request) await forgetRequest(folder).catch(() => undefined);
    return request;
  }

  dispose(): void {
    this.#disposed = true;
    clearInterval(this.#timer);
  }
}
