/** Feeds one open conversation to the page: first what is on disk, then what is written, in batches, without gap or double. */
import type { TranscriptEntry } from '../model/transcript.ts';
import { Batch } from '../platform/batch.ts';
import type { Engine } from '../sessions/engine.ts';
import { readTranscript, transcriptPath } from '../store/transcripts.ts';
import type { ToView } from './protocol.ts';

const atFirst = 400;
const batchTime = 40;
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
    const entries = await readTranscript(transcriptPath(this.#engine.folder, sessionId));
    if (reading !== this.#reading) return;
    this.#reading = 0;
    const left = Math.max(0, entries.length - atFirst - earlier);
    this.#send({ type: 'conversation', sessionId, entries: entries.slice(left).map(shortened), left });
    this.#flush();
  }

  /** A window that only looks on is not told of entries; it reads again when the turn changed. */
  refresh(sessions: ReadonlySet<string>): void {
    if (!this.#engine.isOwner && this.#sessionId && (sessions.size === 0 || sessions.has(this.#sessionId))) void this.open(this.#sessionId, 0);
  }

  close(): void {
    this.#sessionId = undefined;
    this.#reading = 0;
    this.#pending = [];
  }

  #flush(): void {
    if (this.#reading > 0 || this.#pending.length === 0 || !this.#sessionId) return;
    this.#send({ type: 'entries', sessionId: this.#sessionId, entries: this.#pending.splice(0).map(shortened) });
  }

  dispose(): void {
    this.#flushing.dispose();
    this.#listener.dispose();
  }
}

/** What the page shows of an entry: no more than it can bear. */
export function shortened(entry: TranscriptEntry): TranscriptEntry {
  if ('text' in entry && entry.text.length > longestText) {
    return { ...entry, text: `${entry.text.slice(0, longestText)}\n… ${entry.text.length - longestText} more characters are in the transcript.` };
  }
  if (entry.type !== 'tool') return entry;
  const { rawInput: _, rawOutput: __, ...shown } = entry;
  const content = shown.content && JSON.stringify(shown.content).length > longestText ? [{ type: 'content', content: { type: 'text', text: 'Too large to show here; the transcript has it.' } }] : shown.content;
  return { ...shown, ...(content ? { content } : {}) };
}
