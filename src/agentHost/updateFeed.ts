/** An agent's updates as entries of the transcript. Text that comes word by word becomes one entry of what came together. */
import type { SessionUpdate } from '@agentclientprotocol/sdk';
import type { TranscriptDraft } from '../model/transcript.ts';
import { entryFor, merged } from './updates.ts';

/** Text that arrives within this many milliseconds becomes one entry. */
const mergeTime = 40;
/** Characters. */
const longestText = 64 * 1024;

export class UpdateFeed {
  readonly #write: (draft: TranscriptDraft) => void;
  #draft: TranscriptDraft | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(write: (draft: TranscriptDraft) => void) {
    this.#write = write;
  }

  take(update: SessionUpdate): void {
    const entry = entryFor(update);
    if (!entry) return;
    const joined = this.#draft && merged(this.#draft, entry);
    if (joined && 'text' in joined && joined.text.length <= longestText) {
      this.#draft = joined;
      return;
    }
    this.flush();
    if (entry.type === 'text' || entry.type === 'output') {
      this.#draft = entry;
      this.#timer = setTimeout(() => this.flush(), mergeTime);
    } else this.#write(entry);
  }

  /** What is being joined is written now: something else comes next. */
  flush(): void {
    clearTimeout(this.#timer);
    const draft = this.#draft;
    this.#draft = undefined;
    if (draft) this.#write(draft);
  }
}
