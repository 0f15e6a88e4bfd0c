/**
 * Transcript files: JSON lines, append-only, one for each session, written by its agent host alone.
 *
 * They are read in blocks, from the end where the end is wanted, for they may be larger than any memory. An index beside each
 * says where its turns begin (transcriptIndex.ts).
 */
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TranscriptEntry } from '../model/transcript.ts';
import { hasCode } from './fileSystem.ts';
import {
  attemptTypes,
  findLandmarks,
  isOfAttempt,
  isRight,
  type Landmark,
  removeIndex,
  storedLandmarks,
} from './transcriptIndex.ts';
import { blockSize, entryOf, headOf, type Line, linesBefore, linesFrom, type Range } from './transcriptLines.ts';

export { TranscriptWriter } from './transcriptWriter.ts';

export const transcriptPath = (folder: string, sessionId: string): string => join(folder, 'transcripts', `${sessionId}.jsonl`);

export interface ReadOptions {
  /** Bytes that are read at once. */
  blockSize?: number;
}

const toTheEnd = Number.POSITIVE_INFINITY;

/** Every sound entry in order. A line that is torn or not understood is left out. Empty when there is no file. */
export async function readTranscript(path: string, options: ReadOptions = {}): Promise<TranscriptEntry[]> {
  return (await readTranscriptFrom(path, 0, options)).entries;
}

/**
 * Sound entries in whole lines from byte `offset` on, and where the next ones begin. With `most`, about that many bytes at
 * once: there is more when `more` says so.
 */
export async function readTranscriptFrom(
  path: string,
  offset: number,
  { most = toTheEnd, blockSize: size = blockSize }: ReadOptions & { most?: number } = {},
): Promise<{ entries: TranscriptEntry[]; end: number; more: boolean }> {
  const found = { entries: [] as TranscriptEntry[], end: offset, more: false };
  await withFile(path, async (file) => {
    for await (const lines of linesFrom(file, { start: offset, end: toTheEnd }, size)) {
      for (const line of lines) {
        found.more = line.end - offset > most && found.end > offset;
        if (found.more) return;
        const entry = entryOf(line);
        if (entry) found.entries.push(entry);
        found.end = line.end;
      }
    }
  });
  return found;
}

export interface Page {
  entries: TranscriptEntry[];
  /** Where in the file the entry after these begins: what follows is read from there on. */
  end: number;
  /** Entries before these. */
  left: number;
}

/**
 * The last `count` entries, or those before the one with the sequence number `before`; fewer where they have more than `most`
 * bytes together, but always one. Reads no more of the file than they take.
 */
export async function readLast(
  path: string,
  {
    count,
    before,
    most = toTheEnd,
    blockSize: size = blockSize,
  }: ReadOptions & { count: number; before?: number; most?: number },
): Promise<Page> {
  const found: TranscriptEntry[] = [];
  let end: number | undefined;
  await withFile(path, async (file, length) => {
    const upTo = before === undefined ? length : await placeOf(file, length, before, size);
    await backwards(file, { start: 0, end: upTo }, size, (line) => {
      end ??= line.end;
      if (found.length >= count || (found.length > 0 && end - line.start > most)) return 'enough';
      const entry = entryOf(line);
      if (entry) found.push(entry);
      return undefined;
    });
  });
  const entries = found.reverse();
  return { entries, end: end ?? 0, left: (entries[0]?.seq ?? 1) - 1 };
}

/** Where the first line with this sequence number or a higher one begins, by halves: numbers only grow. */
async function placeOf(file: FileHandle, length: number, seq: number, size: number): Promise<number> {
  let low = 0; // Where a line begins; all before have lower numbers.
  for (let high = length; high - low > size; ) {
    const middle = low + Math.floor((high - low) / 2);
    const found = await firstHeadAfter(file, middle, high, size);
    if (found && found.seq < seq) low = found.end;
    else high = middle;
  }
  let place = length;
  await forwards(file, { start: low, end: length }, size, (line) => {
    const head = headOf(line);
    if (!head || head.seq < seq) return undefined;
    place = line.start;
    return 'enough';
  });
  return place;
}

/** The first sound line that begins between the two places, of which the first may be anywhere in a line. */
async function firstHeadAfter(
  file: FileHandle,
  from: number,
  to: number,
  size: number,
): Promise<{ seq: number; end: number } | undefined> {
  let found: { seq: number; end: number } | undefined;
  await forwards(file, { start: from, end: toTheEnd }, size, (line) => {
    if (line.start === from) return undefined; // The rest of a line.
    if (line.start >= to) return 'enough';
    const head = headOf(line);
    if (!head) return undefined;
    found = { seq: head.seq, end: line.end };
    return 'enough';
  });
  return found;
}

/**
 * What an attempt at a turn says of how far it came, in order: its hand-over (or its prompt, where it came no further), its agent's answer, what
 * became of its work, its end. Reads the file's end alone where the index is there; without it, back to the first of these.
 */
export async function readAttempt(
  path: string,
  turnId: string,
  attempt: number,
  { blockSize: size = blockSize }: ReadOptions = {},
): Promise<TranscriptEntry[]> {
  const found = new Map<string, TranscriptEntry>(); // The latest of each.
  await withFile(path, async (file, length) => {
    const take = (line: Line): 'enough' | undefined => {
      const head = headOf(line);
      if (head?.turnId !== turnId || !isOfAttempt(head.type) || found.has(head.type)) return undefined;
      const entry = entryOf(line);
      if (!entry || !('attempt' in entry) || entry.attempt !== attempt) return undefined;
      found.set(head.type, entry);
      return hasBegin() ? 'enough' : undefined;
    };
    const hasBegin = () => found.has('handover') || found.has('prompt');
    const marks = await storedLandmarks(path, file, length);
    const last = marks.at(-1);
    await backwards(file, { start: last?.start ?? 0, end: length }, size, take);
    if (hasBegin() || !last) return;
    const own = marks.filter((one) => one.turnId === turnId && one.attempt === attempt && isOfAttempt(one.type));
    for (const { start } of own.reverse()) {
      if (!hasBegin()) await forwards(file, { start, end: length }, size, (line) => take(line) ?? 'enough');
    }
    if (!hasBegin()) await backwards(file, { start: 0, end: (marks[0] as Landmark).start }, size, take);
  });
  return attemptTypes.flatMap((type) => found.get(type) ?? []);
}

export interface TurnEntries {
  entries: TranscriptEntry[];
  /** How many were left out in the middle, because there are too many. */
  left: number;
}

/** Bytes of a turn's lines that are read at most: twice what is written of one. */
const mostOfTurn = 16 * 1024 * 1024;

/** The entries of one turn, in order: all, or its beginning and its end where it has more than `most` bytes. */
export async function readTurn(
  path: string,
  turnId: string,
  { most = mostOfTurn, blockSize: size = blockSize }: ReadOptions & { most?: number } = {},
): Promise<TurnEntries> {
  const first: TranscriptEntry[] = [];
  const last: TranscriptEntry[] = [];
  await withFile(path, async (file, length) => {
    const ranges = await rangesOf(path, file, length, turnId, size);
    const bytes = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
    const half = bytes > most ? most / 2 : toTheEnd;
    let taken = 0;
    let place = 0;
    for (const range of ranges) {
      if (taken > half) break;
      await forwards(file, range, size, (line) => {
        if (taken > 0 && taken + line.end - line.start > half) {
          taken = toTheEnd;
          return 'enough';
        }
        taken += line.end - line.start;
        place = line.end;
        const entry = entryOf(line);
        if (entry) first.push(entry);
        return undefined;
      });
    }
    if (half === toTheEnd) return;
    taken = 0;
    for (const range of ranges.toReversed()) {
      if (range.end <= place) break;
      await backwards(file, { start: Math.max(range.start, place), end: range.end }, size, (line) => {
        taken += line.end - line.start;
        if (taken > half && last.length > 0) return 'enough';
        const entry = entryOf(line);
        if (entry) last.push(entry);
        return undefined;
      });
      if (taken > half) break;
    }
  });
  last.reverse();
  const left = last[0] ? last[0].seq - (first.at(-1)?.seq ?? 0) - 1 : 0;
  return { entries: [...first, ...last], left };
}

/** The last entry of a turn that is wanted, read from the turn's end; undefined for none. */
export async function lastOfTurn<T extends TranscriptEntry['type']>(
  path: string,
  turnId: string,
  type: T,
  { blockSize: size = blockSize }: ReadOptions = {},
): Promise<Extract<TranscriptEntry, { type: T }> | undefined> {
  let found: TranscriptEntry | undefined;
  await withFile(path, async (file, length) => {
    for (const range of (await rangesOf(path, file, length, turnId, size)).reverse()) {
      if (found) return;
      await backwards(file, range, size, (line) => {
        found = headOf(line)?.type === type ? entryOf(line) : undefined;
        return found ? 'enough' : undefined;
      });
    }
  });
  return found as Extract<TranscriptEntry, { type: T }> | undefined;
}

/** Where the lines of a turn are, in order. */
async function rangesOf(path: string, file: FileHandle, length: number, turnId: string, size: number): Promise<Range[]> {
  const { landmarks, end } = await landmarksOf(path, file, length, size);
  const ranges: Range[] = [];
  for (const [place, { turnId: whose, start }] of landmarks.entries()) {
    if (whose !== turnId) continue;
    const next = landmarks[place + 1]?.start ?? end;
    const last = ranges.at(-1);
    if (last?.end === start) last.end = next;
    else ranges.push({ start, end: next });
  }
  return ranges;
}

/** What was read of transcripts that have no index, or not all of one. The latest few; a landmark is small. */
const known = new Map<string, { landmarks: Landmark[]; end: number }>();
const mostKnown = 20;

/** The landmarks of all whole lines, and where those end. */
async function landmarksOf(
  path: string,
  file: FileHandle,
  length: number,
  size: number,
): Promise<{ landmarks: readonly Landmark[]; end: number }> {
  const before = known.get(path);
  const last = before?.landmarks.at(-1);
  let { landmarks, end }: { landmarks: Landmark[]; end: number } =
    before && last && before.end <= length && (await isRight(last, file)) ? before : { landmarks: [], end: 0 };
  const stored = await storedLandmarks(path, file, length);
  const reach = stored.at(-1)?.start ?? 0;
  if (reach > end) {
    const gap = await findLandmarks(
      file,
      { start: end, end: Math.max(end, (stored[0] as Landmark).start) },
      landmarks.at(-1),
      size,
    );
    landmarks = [...landmarks, ...gap.landmarks];
    const covered = landmarks.at(-1)?.start ?? -1;
    landmarks.push(...stored.filter(({ start }) => start > covered));
    end = reach;
  }
  const rest = await findLandmarks(file, { start: end, end: length }, landmarks.at(-1), size);
  landmarks = [...landmarks, ...rest.landmarks];
  end = Math.max(end, rest.end);
  known.delete(path);
  known.set(path, { landmarks, end });
  if (known.size > mostKnown) known.delete(known.keys().next().value as string);
  return { landmarks, end };
}

/** Whether a line of the transcript, as JSON, is one that is looked for. False when there is no transcript, or once aborted. */
export async function someLine(path: string, wanted: (line: string) => boolean, signal: AbortSignal): Promise<boolean> {
  let found = false;
  await withFile(path, async (file) => {
    await forwards(file, { start: 0, end: toTheEnd }, blockSize, ({ bytes }) => {
      if (signal.aborted) return 'enough';
      found = bytes !== undefined && wanted(bytes.toString('utf8'));
      return found ? 'enough' : undefined;
    });
  });
  return found;
}

/** Removes a transcript and what stands beside it. No error when it is not there. */
export async function removeTranscript(path: string): Promise<void> {
  known.delete(path);
  await removeIndex(path);
  await rm(path, { force: true });
}

type Visit = (line: Line) => 'enough' | undefined;

async function forwards(file: FileHandle, range: Range, size: number, visit: Visit): Promise<void> {
  for await (const lines of linesFrom(file, range, size)) for (const line of lines) if (visit(line)) return;
}

async function backwards(file: FileHandle, range: Range, size: number, visit: Visit): Promise<void> {
  for await (const lines of linesBefore(file, range, size)) for (const line of lines) if (visit(line)) return;
}

/** Opens the transcript for as long as it is read. Nothing is done where there is none. */
async function withFile(path: string, read: (file: FileHandle, length: number) => Promise<void>): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return;
    throw error;
  }
  try {
    await read(file, (await file.stat()).size);
  } finally {
    await file.close();
  }
}
