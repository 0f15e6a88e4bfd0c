/** Attachments: files named by the SHA-256 of their content, durable before any row names them. */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { messageOf, RefusedError, StorageError } from '../model/errors.ts';
import type { Attachment } from '../model/types.ts';
import { replaceFile, type StoreFileSystem, storageMessage } from './fileSystem.ts';

export interface NewAttachment {
  name: string;
  mimeType: string;
  /** Absolute path of a file, read at once. */
  path?: string | undefined;
  base64?: string | undefined;
}

export const largestAttachment = 20 * 1024 * 1024;

export const attachmentPath = (folder: string, sha256: string): string => join(folder, 'attachments', sha256);

/** Being written, by path: the same content may be attached twice at once. */
const underWay = new Map<string, Promise<void>>();

/**
 * Keeps the content durably and returns what a turn holds of it. Rejects with RefusedError, or StorageError when the disk does
 * not take it; nothing refers to what was kept then.
 */
export async function keepAttachment(files: StoreFileSystem, folder: string, attachment: NewAttachment): Promise<Attachment> {
  const { name, mimeType } = attachment;
  const data = await contentOf(attachment);
  if (data.byteLength > largestAttachment)
    throw new RefusedError(
      `"${name}" is larger than ${largestAttachment / 1024 / 1024} MB. Attach a smaller file, or name its path in the prompt.`,
    );
  const sha256 = sha256Of(data);
  const path = attachmentPath(folder, sha256);
  const writing = underWay.get(path) ?? keep(files, path, data, sha256).finally(() => underWay.delete(path));
  underWay.set(path, writing);
  await writing;
  return { name, mimeType, sha256, size: data.byteLength };
}

async function keep(files: StoreFileSystem, path: string, data: Uint8Array, sha256: string): Promise<void> {
  try {
    const there = await files.read(path);
    if (there && sha256Of(there) === sha256) return; // One that was damaged since is written anew.
    await files.makeFolder(dirname(path));
    await replaceFile(files, dirname(path), path, data);
  } catch (error) {
    throw new StorageError(storageMessage(error), { cause: error });
  }
}

const sha256Of = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

/** The content as it was when it was queued; rejects with RefusedError when it is gone or damaged. */
export async function readAttachment(path: string, { name, sha256 }: Pick<Attachment, 'name' | 'sha256'>): Promise<Buffer> {
  const data = await readFile(path).catch(() => undefined);
  if (data && sha256Of(data) === sha256) return data;
  throw new RefusedError(
    `The attachment "${name}" is ${data ? 'damaged' : 'gone'} on disk, so the prompt was not sent without it. Queue the prompt again with the file.`,
  );
}

async function contentOf({ name, path, base64 }: NewAttachment): Promise<Uint8Array> {
  if (base64 !== undefined) return Buffer.from(base64, 'base64');
  if (path === undefined || !isAbsolute(path))
    throw new RefusedError(`The attachment "${name}" needs an absolute path or its content.`);
  try {
    const found = await stat(path);
    if (!found.isFile()) throw new Error('it is not a file');
    if (found.size > largestAttachment) return new Uint8Array(largestAttachment + 1);
    return await readFile(path);
  } catch (error) {
    throw new RefusedError(`The attachment "${name}" can't be read: ${messageOf(error)}.`);
  }
}
