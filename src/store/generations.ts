/**
 * A generation is the whole database as one file, named by the last sequence number in it and by its checksum:
 * `index-<seq>.<crc>.db`. Two are kept.
 */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { replaceFile, type StoreFileSystem } from './fileSystem.ts';

export interface Generation {
  name: string;
  seq: number;
  crc: string;
}

const pattern = /^index-(\d{12})\.([0-9a-f]{8})\.db$/;

const checksum = (image: Uint8Array): string => crc32(image).toString(16).padStart(8, '0');

/** Newest first. */
export function findGenerations(names: readonly string[]): Generation[] {
  const found: Generation[] = [];
  for (const name of names) {
    const match = pattern.exec(name);
    if (match) found.push({ name, seq: Number(match[1]), crc: match[2] as string });
  }
  return found.sort((a, b) => b.seq - a.seq);
}

/** The image, or undefined when the file is gone or not what its name says. */
export async function readGeneration(
  files: StoreFileSystem,
  folder: string,
  generation: Generation,
): Promise<Uint8Array | undefined> {
  const image = await files.read(join(folder, generation.name));
  return image && checksum(image) === generation.crc ? image : undefined;
}

/** Durable when it resolves. */
export async function writeGeneration(
  files: StoreFileSystem,
  folder: string,
  seq: number,
  image: Uint8Array,
): Promise<Generation> {
  const crc = checksum(image);
  const name = `index-${String(seq).padStart(12, '0')}.${crc}.db`;
  await replaceFile(files, folder, join(folder, name), image);
  return { name, seq, crc };
}
