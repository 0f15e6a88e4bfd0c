/** Writes one transcript: the only writer that it has. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { TranscriptDraft, TranscriptEntry } from '../model/transcript.ts';
import { nodeFileSystem } from './fileSystem.ts';
import { IndexWriter } from './transcriptIndex.ts';
import { entryOf, linesBefore, type Range } from './transcriptLines.ts';

/** Characters that are written at once; an entry that is longer is written alone. */
const writtenAtOnce = 256 * 1024;

export class TranscriptWriter {
  readonly #file: FileHandle;
  readonly #index: IndexWriter;
  readonly #now: () => number;
  #seq: number;
  /** Where the next line goes; a write that failed half-way is written over. */
  #end: number;
  #pending: TranscriptEntry[] = [];
  #flushing: Promise<void> = Promise.resolve();
  #scheduled = false;
  /**
   * Told of entries once they are in the file, in order, and where they are there: what is written need not be kept for a
   * reader that is slow.
   */
  onWritten: (entries: readonly TranscriptEntry[], place: Range) => void = () => undefined;

  private constructor(file: FileHandle, index: IndexWriter, seq: number, end: number, now: () => number) {
    this.#file = file;
    this.#index = index;
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
    return new TranscriptWriter(file, await IndexWriter.open(path, file, end), seq, end, now);
  }

  /** Entries that are not in the file yet, because it is slow or full. */
  get backlog(): number {
    return this.#pending.length;
  }

  /** Gives the entry its place at once; it is written soon after, in order. */
  append(turnId: string, draft: TranscriptDraft): void {
    this.#seq += 1;
    this.#pending.push({ ...draft, seq: this.#seq, at: this.#now(), turnId } as TranscriptEntry);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#flushing = this.#flushing.then(() => this.#flush()).catch(() => undefined); // sync() tries again and tells.
  }

  /** Writes what is pending now, a piece at a time. What could not be written stays pending, in its order. */
  async #flush(): Promise<void> {
    this.#scheduled = false;
    const last = this.#seq;
    for (let first = this.#pending[0]; first && first.seq <= last; first = this.#pending[0]) {
      const lines: { entry: TranscriptEntry; start: number }[] = [];
      let text = '';
      let length = 0;
      for (const entry of this.#pending) {
        if (entry.seq > last || (lines.length > 0 && text.length >= writtenAtOnce)) break;
        const line = `${JSON.stringify(entry)}\n`;
        lines.push({ entry, start: this.#end + length });
        text += line;
        length += Buffer.byteLength(line);
      }
      const data = Buffer.from(text);
      for (let offset = 0; offset < data.length; ) {
        offset += (await this.#file.write(data, offset, data.length - offset, this.#end + offset)).bytesWritten;
      }
      const start = this.#end;
      this.#end += data.length;
      const written = this.#pending.splice(0, lines.length);
      await this.#index.note(lines);
      this.onWritten(written, { start, end: this.#end });
    }
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
    await this.#index.close();
    await this.#file.close();
  }
}

/** Sequence number of the last sound line, and where the last whole line ends. */
async function lastLine(file: FileHandle, size: number): Promise<{ seq: number; end: number }> {
  let end: number | undefined;
  for await (const lines of linesBefore(file, { start: 0, end: size })) {
    for (const line of lines) {
      end ??= line.end;
      const seq = entryOf(line)?.seq;
      if (seq !== undefined) return { seq, end };
    }
  }
  return { seq: 0, end: end ?? 0 };
}
