/** Attachments: files named by the SHA-256 of their content, durable before any row names them. */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { messageOf, RefusedError } from '../model/errors.ts';
import type { Attachment } from '../model/types.ts';
import { replaceFile, type StoreFileSystem } from './fileSystem.ts';

export interface NewAttachment {
  name: string;
  mimeType: string;
  /** Absolute path of a file, read at once. */
  path?: string | undefined;
  base64?: string | undefined;
}

export const largestAttachment = 20 * 1024 * 1024;

export const attachmentPath = (folder: string, sha256: string): string => join(folder, 'attachments', sha256);

/** Keeps the content and returns what a turn holds of it. Rejects with RefusedError; nothing refers to what was kept then. */
export async function keepAttachment(files: StoreFileSystem, folder: string, attachment: NewAttachment): Promise<Attachment> {
  const { name, mimeType } = attachment;
  const data = await contentOf(attachment);
  if (data.byteLength > largestAttachment) throw new RefusedError(`"${name}" is larger than ${largestAttachment / 1024 / 1024} MB. Attach a smaller file, or name its path in the prompt.`);
  const sha256 = createHash('sha256').update(data).digest('hex');
  const path = attachmentPath(folder, sha256);
  if (!files.identity(path)) {
    await files.makeFolder(join(folder, 'attachments'));
    await replaceFile(files, join(folder, 'attachments'), path, data);
  }
  return { name, mimeType, sha256, size: data.byteLength };
}

async function contentOf({ name, path, base64 }: NewAttachment): Promise<Uint8Array> {
  if (base64 !== undefined) return Buffer.from(base64, 'base64');
  if (path === undefined || !isAbsolute(path)) throw new RefusedError(`The attachment "${name}" needs an absolute path or its content.`);
  try {
    const found = await stat(path);
    if (!found.isFile()) throw new Error('it is not a file');
    if (found.size > largestAttachment) return new Uint8Array(largestAttachment + 1);
    return await readFile(path);
  } catch (error) {
    throw new RefusedError(`The attachment "${name}" can't be read: ${messageOf(error)}.`);
  }
}
