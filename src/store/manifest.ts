/**
 * The manifest names the owner of the storage and the epoch, raised at each opening: an owner that was frozen and wakes
 * up finds another manifest in its place and may acknowledge nothing more.
 */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import * as z from 'zod';
import { replaceFile, type StoreFileSystem } from './fileSystem.ts';

const manifestSchema = z.object({
  format: z.number().int(),
  epoch: z.number().int(),
  owner: z.string(),
  /** Of the database; the first version did not write it. */
  schema: z.number().int().default(1),
});
export type Manifest = z.infer<typeof manifestSchema>;

export const manifestFormat = 1;
export const manifestPath = (folder: string): string => join(folder, 'manifest.json');

const checksum = (json: string): string => crc32(json).toString(16).padStart(8, '0');

export async function writeManifest(files: StoreFileSystem, folder: string, manifest: Manifest): Promise<void> {
  const json = JSON.stringify(manifest);
  await replaceFile(files, folder, manifestPath(folder), Buffer.from(`${checksum(json)} ${json}\n`));
}

/** `missing` and `damaged` are told apart: the first is a new storage, the second a reason to tell the user. */
export async function readManifest(files: StoreFileSystem, folder: string): Promise<Manifest | 'missing' | 'damaged'> {
  const data = await files.read(manifestPath(folder));
  if (!data) return 'missing';
  const text = Buffer.from(data).toString('utf8').trimEnd();
  const json = text.slice(9);
  if (text.slice(0, 8) !== checksum(json)) return 'damaged';
  const parsed = manifestSchema.safeParse(JSON.parse(json));
  return parsed.success ? parsed.data : 'damaged';
}
