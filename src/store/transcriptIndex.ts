/**
 * Where what begins in a transcript: its landmarks. They stand in a file beside it, which is a help and nothing more. It may be
 * missing, torn or of another time: what of it is right is found by looking at the transcript, and what it lacks is read from there.
 *
 * A landmark stands for the first line of a turn's lines, for what tells how far an attempt at a turn came (`attemptTypes`), and after each
 * megabyte. So the lines from one landmark to the next are of one turn, and hold none of these besides.
 *
 * Each line of the index begins with a checksum of it and of the checksum before it, so that nothing can be missing in between.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import * as z from 'zod';
import type { TranscriptEntry } from '../model/transcript.ts';
import { hasCode } from './fileSystem.ts';
import { entryOf, type Head, headOf, linesFrom } from './transcriptLines.ts';

const landmarkSchema = z.object({
  turnId: z.string(),
  type: z.string(),
  /** Of an entry that has one. */
  attempt: z.number().optional(),
  seq: z.number().int().positive(),
  /** Byte in the transcript at which its line begins. */
  start: z.number().int().nonnegative(),
});
export type Landmark = z.infer<typeof landmarkSchema>;

/** Kinds of entries that tell how far an attempt at a turn came, in their order. */
export const attemptTypes = ['prompt', 'handover', 'answered', 'concluded', 'ended'] as const;
export const isOfAttempt = (type: string): boolean => (attemptTypes as readonly string[]).includes(type);

export const indexPath = (transcript: string): string => `${transcript}.index`;

/** Bytes from one landmark to the next at most. */
const markEvery = 1024 * 1024;
/** Bytes. An index that is larger is none of ours. */
const largestIndex = 64 * 1024 * 1024;
/** Bytes that are read again for what an index lacks at its end, when the transcript is opened to be written. */
const mostMissed = 16 * 1024 * 1024;
/** Bytes for the line of a landmark that is looked at; a longer one is a prompt with much in it, and taken as right by its end. */
const looked = 64 * 1024;

/** Whether this line is a landmark after that one. */
function isLandmark(head: Head, start: number, before: Landmark | undefined): boolean {
  if (!before || head.turnId !== before.turnId || start - before.start >= markEvery) return true;
  return isOfAttempt(head.type);
}

function landmark({ type, seq, turnId }: Head, start: number, entry: TranscriptEntry | undefined): Landmark {
  return { turnId, type, ...(entry && 'attempt' in entry ? { attempt: entry.attempt } : {}), seq, start };
}

/** The landmarks of lines, found one by one. */
export class LandmarkFinder {
  last: Landmark | undefined;

  constructor(last?: Landmark) {
    this.last = last;
  }

  /** The landmark that this line is, if it is one. `entry` gives the line as read. */
  find(head: Head, start: number, entry: () => TranscriptEntry | undefined): Landmark | undefined {
    if (!isLandmark(head, start, this.last)) return undefined;
    this.last = landmark(head, start, isOfAttempt(head.type) ? entry() : undefined);
    return this.last;
  }
}

/** The landmarks that the index file holds and the transcript confirms, in order. `size`: the transcript's. */
export async function storedLandmarks(transcript: string, file: FileHandle, size: number): Promise<Landmark[]> {
  return (await confirmed(await readIndex(transcript), file, size)).landmarks;
}

async function readIndex(transcript: string): Promise<string> {
  let index: FileHandle;
  try {
    index = await open(indexPath(transcript), 'r');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return '';
    throw error;
  }
  try {
    return (await index.stat()).size > largestIndex ? '' : await index.readFile('utf8');
  } finally {
    await index.close();
  }
}

/** As much of an index as is right. */
interface Confirmed {
  landmarks: Landmark[];
  /** Bytes of the index that it takes, and the last checksum there. */
  length: number;
  sum: string;
}

const noSum = '';
const sumOf = (before: string, json: string): string =>
  crc32(before + json)
    .toString(16)
    .padStart(8, '0');

async function confirmed(text: string, file: FileHandle, size: number): Promise<Confirmed> {
  const found: Confirmed[] = [];
  const landmarks: Landmark[] = [];
  for (let from = 0, feed = text.indexOf('\n'); feed >= 0; from = feed + 1, feed = text.indexOf('\n', from)) {
    const last = found.at(-1);
    const sum = text.slice(from, from + 8);
    const json = text.slice(from + 9, feed);
    if (sum !== sumOf(last?.sum ?? noSum, json)) break;
    const landmark = parse(json);
    if (!landmark || landmark.start >= size) break;
    landmarks.push(landmark);
    found.push({ landmarks, length: (last?.length ?? 0) + Buffer.byteLength(text.slice(from, feed + 1)), sum });
  }
  // A transcript is only ever cut at its end, so where one landmark is right all before it are.
  while (landmarks.length > 0 && !(await isRight(landmarks.at(-1) as Landmark, file))) {
    landmarks.pop();
    found.pop();
  }
  return found.at(-1) ?? { landmarks, length: 0, sum: noSum };
}

function parse(json: string): Landmark | undefined {
  try {
    return landmarkSchema.safeParse(JSON.parse(json)).data;
  } catch {
    return undefined;
  }
}

/** Whether the transcript has at this place what the landmark says. */
export async function isRight({ start, seq, turnId, type }: Landmark, file: FileHandle): Promise<boolean> {
  if (start > 0) {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(1), 0, 1, start - 1);
    if (bytesRead === 0 || buffer[0] !== 10) return false;
  }
  for await (const [line] of linesFrom(file, { start, end: Number.POSITIVE_INFINITY }, looked)) {
    const head = line && headOf(line);
    return head !== undefined && head.seq === seq && head.turnId === turnId && head.type === type;
  }
  return false;
}

/** Landmarks of the lines from `start` to `end`, found by reading them. */
export async function findLandmarks(
  file: FileHandle,
  range: { start: number; end: number },
  last: Landmark | undefined,
  blockSize?: number,
): Promise<{ landmarks: Landmark[]; end: number }> {
  const finder = new LandmarkFinder(last);
  const landmarks: Landmark[] = [];
  let end = range.start;
  for await (const lines of linesFrom(file, range, blockSize)) {
    for (const line of lines) {
      end = line.end;
      if (last && line.start <= last.start) continue;
      const head = headOf(line);
      const found = head && finder.find(head, line.start, () => entryOf(line));
      if (found) landmarks.push(found);
    }
  }
  return { landmarks, end };
}

/** Keeps the index while the transcript is written. It fails without a word: it can be done without. */
export class IndexWriter {
  readonly #file: FileHandle | undefined;
  readonly #finder: LandmarkFinder;
  #end: number;
  #sum: string;
  #lost = false;

  private constructor(file: FileHandle | undefined, { landmarks, length, sum }: Confirmed) {
    this.#file = file;
    this.#finder = new LandmarkFinder(landmarks.at(-1));
    this.#end = length;
    this.#sum = sum;
  }

  /** Takes off what is not right and adds what is missing. `file` and `size`: the transcript's, once its torn end was cut. */
  static async open(transcript: string, file: FileHandle, size: number): Promise<IndexWriter> {
    const none: Confirmed = { landmarks: [], length: 0, sum: noSum };
    try {
      const right = await confirmed(await readIndex(transcript), file, size);
      const index = await open(indexPath(transcript), constants.O_RDWR | constants.O_CREAT, 0o600);
      const last = right.landmarks.at(-1);
      // An index may begin anywhere, but has no gaps: where much is missing it begins anew, at what comes next.
      const begins = last === undefined || size - last.start > mostMissed;
      await index.truncate(begins ? 0 : right.length);
      if (begins) return new IndexWriter(index, none);
      const writer = new IndexWriter(index, right);
      await writer.#write((await findLandmarks(file, { start: last.start, end: size }, last)).landmarks);
      return writer;
    } catch {
      return new IndexWriter(undefined, none);
    }
  }

  /** Notes lines that are in the transcript now. Never rejects. */
  async note(lines: readonly { entry: TranscriptEntry; start: number }[]): Promise<void> {
    if (!this.#file || this.#lost) return;
    const found: Landmark[] = [];
    for (const { entry, start } of lines) {
      const one = this.#finder.find(entry, start, () => entry);
      if (one) found.push(one);
    }
    await this.#write(found);
  }

  async #write(found: readonly Landmark[]): Promise<void> {
    const last = found.at(-1);
    if (!this.#file || !last) return;
    this.#finder.last = last;
    let text = '';
    for (const one of found) {
      const json = JSON.stringify(one);
      this.#sum = sumOf(this.#sum, json);
      text += `${this.#sum} ${json}\n`;
    }
    const data = Buffer.from(text);
    try {
      for (let offset = 0; offset < data.length; )
        offset += (await this.#file.write(data, offset, data.length - offset, this.#end + offset)).bytesWritten;
      this.#end += data.length;
    } catch {
      this.#lost = true; // What comes after a gap would be believed without what is in it.
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}

/** Removes the index of a transcript; no error when there is none. */
export const removeIndex = (transcript: string): Promise<void> => rm(indexPath(transcript), { force: true });
