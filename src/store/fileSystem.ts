/**
 * The few file operations that durability rests on, as an interface, so that tests can put a disk under the store that
 * loses power, fills up or fails. Paths are absolute. Every method rejects with a Node system error (`code`).
 */
import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { messageOf } from '../model/errors.ts';

export interface StoreFile {
  /** May write less than asked; returns the number of bytes written. */
  write(data: Uint8Array, position: number): Promise<number>;
  /** Makes the content durable, and the size where it changed. */
  datasync(): Promise<void>;
  close(): Promise<void>;
}

export interface StoreFileSystem {
  /** Makes a folder and those above it, durably, where they are not there. */
  makeFolder(path: string): Promise<void>;
  list(path: string): Promise<string[]>;
  /** Undefined when there is no such file. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Opens for writing; `create` truncates what is there. Files are private to the user (0600). */
  open(path: string, mode: 'create' | 'existing'): Promise<StoreFile>;
  rename(from: string, to: string): Promise<void>;
  /** No error when it is not there. */
  remove(path: string): Promise<void>;
  /** Makes creations, renames and removals in a folder durable. */
  syncFolder(path: string): Promise<void>;
  /** Changes whenever another file is put at this path; undefined when there is none. Synchronous and cheap. */
  identity(path: string): string | undefined;
}

const open = promisify(fs.open);
const close = promisify(fs.close);

/** Bytes. */
const writtenAtOnce = 16 * 1024;

class NodeFile implements StoreFile {
  readonly #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** A record goes into the system's cache at once, which is faster than a trip to another thread; what is large goes there. */
  async write(data: Uint8Array, position: number): Promise<number> {
    if (data.byteLength <= writtenAtOnce) return fs.writeSync(this.#descriptor, data, 0, data.byteLength, position);
    return new Promise((resolve, reject) => {
      fs.write(this.#descriptor, data, 0, data.byteLength, position, (error, written) => {
        if (error) reject(error);
        else resolve(written);
      });
    });
  }

  datasync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.#descriptor, (error) => (error ? reject(error) : resolve()));
    });
  }

  close(): Promise<void> {
    return close(this.#descriptor);
  }
}

export const hasCode = (error: unknown, ...codes: string[]): boolean =>
  error instanceof Error && codes.includes((error as NodeJS.ErrnoException).code ?? '');

export const isFull = (error: unknown): boolean => hasCode(error, 'ENOSPC', 'EDQUOT');
/** True for what a disk does, not a program: it may be over by the next try. */
export const isDiskTrouble = (error: unknown): boolean => isFull(error) || hasCode(error, 'EROFS', 'EIO');

/** What happened to a write, and what to do, in words for people. */
export function storageMessage(error: unknown): string {
  if (isFull(error)) return 'The disk is full, so this could not be saved. Free some space and try again.';
  if (hasCode(error, 'EROFS', 'EACCES', 'EPERM'))
    return 'The storage folder of this workspace is not writable, so this could not be saved. Check its permissions and try again.';
  return `This could not be saved (${messageOf(error)}). Check the disk and try again.`;
}

export const nodeFileSystem: StoreFileSystem = {
  async makeFolder(path) {
    const made = await fs.promises.mkdir(path, { recursive: true, mode: 0o700 });
    if (!made) return;
    for (let here = path; ; here = dirname(here)) {
      await nodeFileSystem.syncFolder(dirname(here));
      if (here === made || dirname(here) === here) return;
    }
  },
  list: (path) => fs.promises.readdir(path),
  async read(path) {
    try {
      return await fs.promises.readFile(path);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  },
  async open(path, mode) {
    return new NodeFile(await open(path, mode === 'create' ? 'w+' : 'r+', 0o600));
  },
  rename: (from, to) => fs.promises.rename(from, to),
  remove: (path) => fs.promises.rm(path, { force: true }),
  async syncFolder(path) {
    if (process.platform === 'win32') return; // NTFS journals names; a folder can't be opened for a sync there.
    const folder = await fs.promises.open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
  identity(path) {
    const found = fs.statSync(path, { bigint: true, throwIfNoEntry: false });
    return found && `${found.ino}:${found.mtimeNs}:${found.size}`;
  },
};

/** Writes all of `data`, however often the system writes less than asked. */
export async function writeFully(file: StoreFile, data: Uint8Array, position: number): Promise<void> {
  let offset = 0;
  while (offset < data.byteLength) {
    const written = await file.write(data.subarray(offset), position + offset);
    if (written === 0) throw Object.assign(new Error('The disk took no more data.'), { code: 'ENOSPC' });
    offset += written;
  }
}

/** Puts a file in place as a whole: temporary file, sync, rename, sync of the folder. */
export async function replaceFile(files: StoreFileSystem, folder: string, path: string, data: Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`;
  try {
    const file = await files.open(temporary, 'create');
    try {
      await writeFully(file, data, 0);
      await file.datasync();
    } finally {
      await file.close();
    }
    await files.rename(temporary, path);
  } catch (error) {
    await files.remove(temporary).catch(() => undefined); // What a full disk took of it is missed elsewhere.
    throw error;
  }
  await files.syncFolder(folder);
}

/** Makes the content of files durable that somebody else has written. */
export async function syncFiles(files: StoreFileSystem, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const file = await files.open(path, 'existing');
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
  }
}
