/**
 * A name held by a lock of the kernel on an open file (flock), where there are neither abstract sockets nor named pipes: macOS and
 * the BSDs. The file means nothing by itself: one that a dead holder left behind is as free as one that is not there.
 *
 * Who holds the lock of the file that is *at the path* holds the name. A holder that lets go removes the file first, so whoever
 * got the lock of a file that is no longer there tries again, and nobody ever removes a file that another one holds.
 */
import { close as closeFile, fstat as fstatFile, open as openFile } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { BranchlineError } from '../model/errors.ts';
import type { Exclusive, ExclusiveKind } from './exclusive.ts';

/** Opens the file (made when it is not there) with a lock that nobody else has; undefined while somebody else has it. */
export type OpenLocked = (path: string) => Promise<number | undefined>;

// Bare numbers, for an open FileHandle that nobody refers to is closed by the garbage collector.
const open = promisify(openFile);
const close = promisify(closeFile);
const fstat = promisify(fstatFile);

/** Of Darwin and the BSDs; Linux has no such flags, so Node does not name them. */
const lockFlags = { O_RDWR: 0x2, O_NONBLOCK: 0x4, O_EXLOCK: 0x20, O_CREAT: 0x200 };

/** One call opens and locks: there is no moment with the one and without the other. */
const openExclusively: OpenLocked = async (path) => {
  const { O_RDWR, O_NONBLOCK, O_EXLOCK, O_CREAT } = lockFlags;
  try {
    return await open(path, O_RDWR | O_NONBLOCK | O_EXLOCK | O_CREAT, 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EAGAIN' || code === 'EWOULDBLOCK') return undefined;
    throw error;
  }
};

/**
 * Where all processes of this user look, whatever their environment says: two windows with two ideas of a temporary folder must
 * meet. Not in a temporary folder, which is swept while files in it are in use.
 */
function defaultFolder(): string {
  const home = userInfo().homedir;
  return process.platform === 'darwin'
    ? join(home, 'Library', 'Application Support', 'Branchline', 'locks')
    : join(home, '.local', 'state', 'branchline', 'locks');
}

/** Milliseconds between two looks at whether it is free: soon at first, then ever later. The kernel tells nobody. */
const firstWait = 20;
const longestWait = 500;
const mostMisses = 10;

export class FileLock implements ExclusiveKind {
  readonly #folder: () => string;
  readonly #open: OpenLocked;

  constructor(folder: () => string = defaultFolder, openLocked: OpenLocked = openExclusively) {
    this.#folder = folder;
    this.#open = openLocked;
  }

  async acquire(digest: string): Promise<Exclusive | undefined> {
    const folder = this.#folder();
    const path = join(folder, `${digest}.lock`);
    for (let misses = 0; ; ) {
      let file: number | undefined;
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        file = await this.#open(path);
      } catch (error) {
        misses += 1;
        if ((error as NodeJS.ErrnoException).code === 'ENOENT' && misses < mostMisses) continue; // The folder went away in this moment.
        throw new BranchlineError(
          `The file ${path} can't be locked: ${(error as Error).message}. Check that ${folder} can be written to and is on a local disk, then reload the window.`,
          { cause: error },
        );
      }
      if (file === undefined) return undefined;
      const held = file;
      try {
        if (await isAt(path, held)) return { release: () => letGo(path, held) };
      } catch (error) {
        await close(held);
        throw error;
      }
      await close(held); // Of a file that its last holder has removed.
    }
  }

  async released(digest: string, signal?: AbortSignal): Promise<void> {
    for (let wait = firstWait; !signal?.aborted; wait = Math.min(wait * 2, longestWait)) {
      const held = await this.acquire(digest).catch(() => undefined);
      if (held) return held.release();
      await delay(wait, undefined, { ref: false, ...(signal ? { signal } : {}) }).catch(() => undefined);
    }
  }
}

async function isAt(path: string, file: number): Promise<boolean> {
  const held = await fstat(file, { bigint: true });
  const found = await stat(path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return found !== undefined && found.ino === held.ino && found.dev === held.dev;
}

/** Removed while it is still locked, so nobody can have the name by a file that is about to vanish. */
async function letGo(path: string, file: number): Promise<void> {
  try {
    await rm(path, { force: true });
  } finally {
    await close(file);
  }
}
