/**
 * Feeds one open conversation to the page: first what is on disk, then what is written, in batches, without gap or double.
 * A window that only looks on is told of nothing; it follows the file.
 */
import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { TranscriptEntry } from '../model/transcript.ts';
import { Batch } from '../platform/batch.ts';
import type { Engine } from '../sessions/engine.ts';
import { readLast, readTranscriptFrom, transcriptPath } from '../store/transcripts.ts';
import type { ToView } from './protocol.ts';

const atFirst = 400;
/** Bytes of the transcript that are read at once for the page; more when earlier entries are asked for. */
const mostAtOnce = 4 * 1024 * 1024;
const earlierAtOnce = 1_000;
const batchTime = 40;
const lookTime = 100;
/** Longest text that is sent of one entry; the transcript has all of it. */
const longestText = 200_000;

export class ConversationFeed {
  readonly #engine: Engine;
  readonly #send: (message: ToView) => void;
  readonly #listener: { dispose(): void };
  #sessionId: string | undefined;
  #reading = 0;
  #pending: TranscriptEntry[] = [];
  readonly #flushing = new Batch(batchTime, () => this.#flush());
  #watcher: FSWatcher | undefined;
  /** Where in the file the next entries begin, for a window that looks on. */
  #end = 0;
  readonly #looking = new Batch(lookTime, () => void this.#look().catch(() => undefined)); // The next change of the file looks again.

  constructor(engine: Engine, send: (message: ToView) => void) {
    this.#engine = engine;
    this.#send = send;
    this.#listener = engine.onDidWrite(({ sessionId, entries }) => {
      if (sessionId !== this.#sessionId) return;
      this.#pending.push(...entries);
      this.#flushing.schedule();
    });
  }

  /** `earlier`: entries wanted besides those that are sent at first. */
  async open(sessionId: string, earlier: number): Promise<void> {
    this.#sessionId = sessionId;
    this.#pending = [];
    this.#reading += 1;
    const reading = this.#reading;
    const path = transcriptPath(this.#engine.folder, sessionId);
    const most = mostAtOnce * (1 + earlier / earlierAtOnce);
    const { entries, end, left } = await readLast(path, { count: atFirst + earlier, most });
    if (reading !== this.#reading) return;
    this.#reading = 0;
    this.#end = end;
    this.#send({ type: 'conversation', sessionId, entries: entries.map(shortened), left });
    this.#flush();
    if (!this.#engine.isOwner) this.#watch(dirname(path));
  }

  /** The store changed; the file of the open conversation may have, too. */
  refresh(): void {
    if (!this.#engine.isOwner && this.#sessionId) this.#looking.schedule();
  }

  #watch(folder: string): void {
    if (this.#watcher) return;
    try {
      this.#watcher = watch(folder, () => this.refresh());
      this.#watcher.on('error', () => undefined);
    } catch {
      // There is no transcript yet; the store's next change looks again.
    }
  }

  async #look(): Promise<void> {
    const sessionId = this.#sessionId;
    const reading = this.#reading;
    if (!sessionId || reading > 0 || this.#engine.isOwner) return;
    const path = transcriptPath(this.#engine.folder, sessionId);
    const from = this.#end;
    const { entries, end, more } = await readTranscriptFrom(path, from, { most: mostAtOnce });
    if (sessionId !== this.#sessionId || reading !== this.#reading || from !== this.#end) return;
    this.#end = end;
    this.#pending.push(...entries);
    this.#flush();
    if (more) this.#looking.schedule();
    this.#watch(dirname(path));
  }

  close(): void {
    this.#sessionId = undefined;
    this.#reading = 0;
    this.#pending = [];
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #flush(): void {
    if (this.#reading > 0 || this.#pending.length === 0 || !this.#sessionId) return;
    this.#send({ type: 'entries', sessionId: this.#sessionId, entries: this.#pending.splice(0).map(shortened) });
  }

  dispose(): void {
    this.#flushing.dispose();
    this.#looking.dispose();
    this.#watcher?.close();
    this.#listener.dispose();
  }
}

/** What the page shows of an entry: no more than it can bear. */
export function shortened(entry: TranscriptEntry): TranscriptEntry {
  if ('text' in entry && entry.text.length > longestText) {
    return {
      ...entry,
      text: `${entry.text.slice(0, longestText)}\n… ${entry.text.length - longestText} more characters are in the transcript.`,
    };
  }
  if (entry.type !== 'tool') return entry;
  const { rawInput: _, rawOutput: __, ...shown } = entry;
  const content =
    shown.content && JSON.stringify(shown.content).length > longestText
      ? [{ type: 'content', content: { type: 'text', text: 'Too large to show here; the transcript has it.' } }]
      : shown.content;
  return { ...shown, ...(content ? { content } : {}) };
}
