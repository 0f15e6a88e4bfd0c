/**
 * Transcript files: JSON lines, append-only, one for each session, written by its agent host alone.
 */
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TranscriptDraft, type TranscriptEntry, transcriptEntrySchema } from '../model/transcript.ts';
import { hasCode, nodeFileSystem } from './fileSystem.ts';

export const transcriptPath = (folder: string, sessionId: string): string => join(folder, 'transcripts', `${sessionId}.jsonl`);

/** Every sound entry in order. A line that is torn or not understood is left out. Empty when there is no file. */
export async function readTranscript(path: string): Promise<TranscriptEntry[]> {
  return (await readTranscriptFrom(path, 0)).entries;
}

/** Sound entries in whole lines from byte `offset` on, and where the next ones begin. */
export async function readTranscriptFrom(path: string, offset: number): Promise<{ entries: TranscriptEntry[]; end: number }> {
  const entries: TranscriptEntry[] = [];
  let end = offset;
  let rest: Buffer[] = [];
  try {
    // Lines end with a line feed and nothing else: a text may hold U+2028 and other ends of lines, which readline would cut at.
    for await (const part of createReadStream(path, { start: offset }) as AsyncIterable<Buffer>) {
      const last = part.lastIndexOf(10);
      rest.push(last < 0 ? part : part.subarray(0, last + 1));
      if (last < 0) continue;
      const whole = Buffer.concat(rest);
      for (const line of whole.toString('utf8').split('\n')) {
        const entry = parseLine(line);
        if (entry) entries.push(entry);
      }
      end += whole.length;
      rest = [part.subarray(last + 1)];
    }
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
  return { entries, end };
}

function parseLine(line: string): TranscriptEntry | undefined {
  try {
    return transcriptEntrySchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

export class TranscriptWriter {
  readonly #file: FileHandle;
  readonly #now: () => number;
  #seq: number;
  /** Where the next line goes; a write that failed half-way is written over. */
  #end: number;
  #pending: TranscriptEntry[] = [];
  #flushing: Promise<void> = Promise.resolve();
  #scheduled = false;
  /** Told of entries once they are in the file, in order. */
  onWritten: (entries: readonly TranscriptEntry[]) => void = () => undefined;

  private constructor(file: FileHandle, seq: number, end: number, now: () => number) {
    this.#file = file;
    this.#seq = seq;
    this.#end = end;
    this.#now = now;
  }

  /** Opens at the end, after cutting a last line that a crash left without its newline. */
  static async open(path: string, now: () => number): Promise<TranscriptWriter> {
    await nodeFileSystem.makeFolder(dirname(path));
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    await nodeFileSystem.syncFolder(dirname(path)); // Its name has to last as long as what is in it.
    const { size } = await file.stat();
    const { seq, end } = await lastLine(file, size);
    if (end < size) await file.truncate(end);
    return new TranscriptWriter(file, seq, end, now);
  }

  /** Gives the entry its place at once; it is written soon after, in order. */
  append(turnId: string, draft: TranscriptDraft): void {
    this.#seq += 1;
    this.#pending.push({ ...draft, seq: this.#seq, at: this.#now(), turnId } as TranscriptEntry);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#flushing = this.#flushing.then(() => this.#flush()).catch(() => undefined); // sync() tries again and tells.
  }

  async #flush(): Promise<void> {
    this.#scheduled = false;
    const entries = this.#pending.splice(0);
    if (entries.length === 0) return;
    const data = Buffer.from(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
    try {
      for (let offset = 0; offset < data.length; ) {
        offset += (await this.#file.write(data, offset, data.length - offset, this.#end + offset)).bytesWritten;
      }
    } catch (error) {
      this.#pending.unshift(...entries);
      throw error;
    }
    this.#end += data.length;
    this.onWritten(entries);
  }

  /** Resolves when all that was appended is durable; rejects when it can't be made so now, and may be called again. */
  async sync(): Promise<void> {
    const flushed = this.#flushing.then(() => this.#flush());
    this.#flushing = flushed.catch(() => undefined);
    await flushed;
    await this.#file.datasync();
  }

  async close(): Promise<void> {
    await this.#flushing;
    await this.#file.close();
  }
}

/** Sequence number of the last sound line, and where the last whole line ends; looks at ever more of the file's end. */
async function lastLine(file: FileHandle, size: number): Promise<{ seq: number; end: number }> {
  for (let length = 64 * 1024; ; length *= 4) {
    const start = Math.max(0, size - length);
    const tail = Buffer.alloc(size - start);
    await file.read(tail, 0, tail.length, start);
    const newline = tail.lastIndexOf(10);
    const lines = tail
      .toString('utf8', 0, newline + 1)
      .split('\n')
      .reverse();
    const seq = lines.map((line) => parseLine(line)?.seq).find((found) => found !== undefined);
    if (seq !== undefined || start === 0) return { seq: seq ?? 0, end: newline < 0 ? 0 : start + newline + 1 };
  }
}
