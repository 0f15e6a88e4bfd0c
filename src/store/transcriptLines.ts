/**
 * Lines of a transcript in blocks, from either end, so that a file of any size is read with the memory of a block and a line.
 *
 * Lines end with a line feed and nothing else: a text may hold U+2028 and other ends of lines. What stands behind the last line
 * feed is no line yet.
 */
import type { FileHandle } from 'node:fs/promises';
import { type TranscriptEntry, transcriptEntrySchema } from '../model/transcript.ts';

export interface Line {
  /** Without its line feed, and only until the next lines are asked for; undefined for one that is too long to be anybody's. */
  bytes: Buffer | undefined;
  /** Where it begins in the file. */
  start: number;
  /** Where the next one begins. */
  end: number;
}

export interface Range {
  /** Where a line begins. */
  start: number;
  end: number;
}

/** Bytes that are read at once. */
export const blockSize = 256 * 1024;
/** Bytes. An agent's message has at most 32 MiB, which JSON may write a few times longer. */
const longestLine = 128 * 1024 * 1024;

const lineFeed = 10;

/** Pieces of a line that goes over blocks. */
class Pieces {
  #pieces: Buffer[] = [];
  #length = 0;
  #tooLong = false;

  /** Keeps a copy, for the block is read into again. */
  add(piece: Buffer): void {
    this.#length += piece.length;
    if (this.#length > longestLine) {
      this.#tooLong = true;
      this.#pieces = [];
    } else if (piece.length > 0 && !this.#tooLong) this.#pieces.push(Buffer.from(piece));
  }

  /** The line that the pieces make, with `last` as the one that completes it. `backwards`: they came in the other order. */
  take(last: Buffer, backwards: boolean): Buffer | undefined {
    const pieces = this.#pieces;
    const whole = !this.#tooLong && this.#length + last.length <= longestLine;
    this.clear();
    if (!whole) return undefined;
    if (pieces.length === 0) return last;
    return Buffer.concat(backwards ? [last, ...pieces.reverse()] : [...pieces, last]);
  }

  clear(): void {
    this.#pieces = [];
    this.#length = 0;
    this.#tooLong = false;
  }
}

/** The whole lines of the range, first line first. `end` may lie behind the file's end. */
export async function* linesFrom(file: FileHandle, range: Range, size = blockSize): AsyncGenerator<Line[]> {
  const block = Buffer.allocUnsafe(size);
  const pieces = new Pieces();
  let start = range.start;
  for (let at = range.start; at < range.end; ) {
    const { bytesRead } = await file.read(block, 0, Math.min(size, range.end - at), at);
    if (bytesRead === 0) return;
    const read = block.subarray(0, bytesRead);
    const lines: Line[] = [];
    let from = 0;
    for (let feed = read.indexOf(lineFeed); feed >= 0; feed = read.indexOf(lineFeed, from)) {
      const end = at + feed + 1;
      lines.push({ bytes: pieces.take(read.subarray(from, feed), false), start, end });
      start = end;
      from = feed + 1;
    }
    pieces.add(read.subarray(from));
    at += bytesRead;
    if (lines.length > 0) yield lines;
  }
}

/** The whole lines of the range, last line first. */
export async function* linesBefore(file: FileHandle, range: Range, size = blockSize): AsyncGenerator<Line[]> {
  const block = Buffer.allocUnsafe(size);
  const pieces = new Pieces();
  /** Where the line ends whose beginning is looked for; undefined while no line feed was seen. */
  let end: number | undefined;
  for (let at = range.end; at > range.start; ) {
    const length = Math.min(size, at - range.start);
    at -= length;
    if (!(await readFully(file, block, length, at))) return; // The file became shorter.
    const read = block.subarray(0, length);
    const lines: Line[] = [];
    let to = length;
    for (let feed = read.lastIndexOf(lineFeed); feed >= 0; feed = feed === 0 ? -1 : read.lastIndexOf(lineFeed, feed - 1)) {
      const start = at + feed + 1;
      if (end !== undefined) lines.push({ bytes: pieces.take(read.subarray(feed + 1, to), true), start, end });
      end = start;
      to = feed;
      pieces.clear();
    }
    if (end !== undefined) {
      if (at === range.start) lines.push({ bytes: pieces.take(read.subarray(0, to), true), start: at, end });
      else pieces.add(read.subarray(0, to));
    }
    if (lines.length > 0) yield lines;
  }
}

async function readFully(file: FileHandle, into: Buffer, length: number, position: number): Promise<boolean> {
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(into, done, length - done, position + done);
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return true;
}

/** The entry of a line; undefined for one that is torn or not understood. */
export function entryOf({ bytes }: Pick<Line, 'bytes'>): TranscriptEntry | undefined {
  if (!bytes || bytes.length === 0) return undefined;
  try {
    return transcriptEntrySchema.safeParse(JSON.parse(bytes.toString('utf8'))).data;
  } catch {
    return undefined;
  }
}

export type Head = Pick<TranscriptEntry, 'type' | 'seq' | 'turnId'>;

const begins = Buffer.from('{"type":"');
const ends = /"seq":(\d{1,15}),"at":[\d.e+-]{1,24},"turnId":"([\x20\x21\x23-\x5b\x5d-\x7e]{1,200})"\}$/;
const longestEnd = 300;

/**
 * Whose line it is, without reading all of it: the writer puts the type first and the rest of these last. A line that was
 * written otherwise is read whole.
 */
export function headOf(line: Pick<Line, 'bytes'>): Head | undefined {
  const { bytes } = line;
  if (!bytes) return undefined;
  if (bytes.length > begins.length && bytes.compare(begins, 0, begins.length, 0, begins.length) === 0) {
    const quote = bytes.indexOf(0x22, begins.length);
    const found = ends.exec(bytes.toString('latin1', Math.max(0, bytes.length - longestEnd)));
    if (found && quote > 0) {
      const type = bytes.toString('latin1', begins.length, quote) as TranscriptEntry['type'];
      return { type, seq: Number(found[1]), turnId: found[2] as string };
    }
  }
  return entryOf(line);
}
