/**
 * The append-only file that makes a commit durable before the next checkpoint. Space is written ahead, so that a sync
 * need not update the file's size.
 */
import { join } from 'node:path';
import { type StoreFile, type StoreFileSystem, writeFully } from './fileSystem.ts';
import { encodeHeader, type Header } from './record.ts';

const preallocated = 320 * 1024;
const growth = 256 * 1024;

export const journalName = (number: number): string => `journal-${String(number).padStart(8, '0')}.log`;
export const journalNumber = (name: string): number | undefined => {
  const match = /^journal-(\d{8,})\.log$/.exec(name);
  return match ? Number(match[1]) : undefined;
};

export class Journal {
  readonly number: number;
  readonly #file: StoreFile;
  readonly #headerLength: number;
  #allocated: number;
  #length: number;
  /** Checksum of the last line: the next line's link in the chain. */
  lastCrc: string;
  /** The last append, so that it can be taken back. */
  #last: { start: number; end: number; crcBefore: string };

  private constructor(file: StoreFile, number: number, length: number, lastCrc: string) {
    this.#file = file;
    this.number = number;
    this.#length = length;
    this.#headerLength = length;
    this.#allocated = Math.max(preallocated, length);
    this.lastCrc = lastCrc;
    this.#last = { start: length, end: length, crcBefore: lastCrc };
  }

  /** Makes a new journal durable: content, then its name in the folder. */
  static async create(files: StoreFileSystem, folder: string, header: Omit<Header, 'kind'>, previous: string): Promise<Journal> {
    const path = join(folder, journalName(header.number));
    const file = await files.open(path, 'create');
    try {
      const { line, crc } = encodeHeader(header, previous);
      const first = Buffer.alloc(preallocated);
      const length = first.write(line);
      await writeFully(file, first, 0);
      await file.datasync();
      await files.syncFolder(folder);
      return new Journal(file, header.number, length, crc);
    } catch (error) {
      await file.close().catch(() => undefined);
      await files.remove(path).catch(() => undefined);
      throw error;
    }
  }

  /** True when nothing was ever appended. */
  get isEmpty(): boolean {
    return this.#length === this.#headerLength;
  }

  /** Bytes written, the header included. */
  get length(): number {
    return this.#length;
  }

  /** Writes and syncs whole lines; when it rejects, call `takeBack` before anything else. */
  async append(lines: Buffer, lastCrc: string): Promise<void> {
    const end = this.#length + lines.byteLength;
    this.#last = { start: this.#length, end, crcBefore: this.lastCrc };
    if (end > this.#allocated) {
      const target = end + growth;
      await writeFully(this.#file, Buffer.alloc(target - this.#allocated), this.#allocated);
      this.#allocated = target;
    }
    await writeFully(this.#file, lines, this.#length);
    await this.#file.datasync();
    this.#length = end;
    this.lastCrc = lastCrc;
  }

  /** Takes the last append out again, durably, whether or not it had succeeded. */
  async takeBack(): Promise<void> {
    const { start, end, crcBefore } = this.#last;
    const written = Math.min(end, this.#allocated);
    if (written > start) await writeFully(this.#file, Buffer.alloc(written - start), start);
    await this.#file.datasync();
    this.#length = start;
    this.lastCrc = crcBefore;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
