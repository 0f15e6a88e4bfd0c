/** A small file that is given up when the disk is full, so that opening, cancelling and deleting still work. */
import { join } from 'node:path';
import { isFull, type StoreFileSystem, writeFully } from './fileSystem.ts';

const size = 256 * 1024;
const reservePath = (folder: string): string => join(folder, 'reserve');

/** Makes the file where it is not there. On a full disk that is for later. */
export async function keepReserve(files: StoreFileSystem, folder: string): Promise<void> {
  try {
    if (files.identity(reservePath(folder))) return;
    const file = await files.open(reservePath(folder), 'create');
    try {
      await writeFully(file, Buffer.alloc(size), 0);
    } finally {
      await file.close();
    }
  } catch {
    await files.remove(reservePath(folder)).catch(() => undefined);
  }
}

/** Runs `write`, and once more after giving up the reserve when the disk is full and the work is worth it. */
export async function withReserve<T>(
  { files, folder }: { files: StoreFileSystem; folder: string },
  write: () => Promise<T>,
  essential = true,
): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (!essential || !isFull(error) || !files.identity(reservePath(folder))) throw error;
    await files.remove(reservePath(folder));
    return await write();
  }
}
