/**
 * Bounds what a turn writes into its transcript: its beginning and its end are kept, the middle is dropped and told. Pure.
 *
 * Until half of the limit is used, everything passes at once. From then on what an agent or a script says is held back, the
 * latest of it, and given out when something comes that has to stand in its place (a permission, an answer, a commit, the end) or
 * when the turn is over, with the fact of how much went missing before it. What is given out in between takes from a quarter of
 * the limit, half of what is left of it each time, so that the last quarter is always there for the end. Calls that ask for permission
 * pass whole, as much as the limit once more, and are only named from then on.
 */
import type { TranscriptDraft } from './transcript.ts';

export interface Dropped {
  /** Bytes of text, content and the like. */
  bytes: number;
  /** Entries that are not there at all; others may be there in part. */
  entries: number;
}

export interface OutputCapOptions {
  /** Bytes for a turn. */
  limit?: number;
  /** The fact as an entry, to be written before what follows the gap. */
  told: (dropped: Dropped) => TranscriptDraft;
}

export const outputLimit = 8 * 1024 * 1024;

/** Kinds that may come without end. All others are few, and pass. */
const bounded = new Set<TranscriptDraft['type']>(['text', 'output', 'tool', 'plan', 'usage']);
/** Tool calls of which the newest state is kept though all else of them was dropped. */
const mostCalls = 500;

type Tool = Extract<TranscriptDraft, { type: 'tool' }>;
type Text = Extract<TranscriptDraft, { text: string }>;
type Held = { draft: TranscriptDraft; size: number };

export class OutputCap {
  readonly #told: OutputCapOptions['told'];
  /** Bytes that may still pass at once, be given out in between, and at the end. */
  #head: number;
  #between: number;
  readonly #tail: number;
  /** Bytes of calls that ask, beside all that: a person is to see them. */
  #asked: number;
  #held: Held[] = [];
  #heldSize = 0;
  #dropped: Dropped = { bytes: 0, entries: 0 };
  /** The state of tool calls whose entries were dropped: a call that ended must not look as if it ran. */
  readonly #calls = new Map<string, Tool>();

  constructor({ limit = outputLimit, told }: OutputCapOptions) {
    this.#told = told;
    this.#head = Math.floor(limit / 2);
    this.#between = Math.floor(limit / 4);
    this.#tail = limit - this.#head - this.#between;
    this.#asked = limit;
  }

  /** What is to be written now, in order. `must`: this entry passes whatever it is, as a call does that needs a permission. */
  take(draft: TranscriptDraft, { must = false }: { must?: boolean } = {}): TranscriptDraft[] {
    if (must) return [...this.#release(this.#share()), this.#essential(draft)];
    if (!bounded.has(draft.type)) return [...this.#release(this.#share()), draft];
    const size = sizeOf(draft);
    if (this.#held.length === 0 && this.#dropped.bytes === 0 && size <= this.#head) {
      this.#head -= size;
      return [draft];
    }
    const [passes, rest] = this.#held.length === 0 && this.#dropped.bytes === 0 ? split(draft, this.#head) : [undefined, draft];
    this.#head = 0; // The beginning is over.
    this.#hold(rest);
    return passes ? [passes] : [];
  }

  /** A call that asks passes whole, until all of those are as much as the limit; after that, no more than it is named by. */
  #essential(draft: TranscriptDraft): TranscriptDraft {
    const size = sizeOf(draft);
    if (draft.type !== 'tool' || this.#asked > 0) {
      this.#asked -= size;
      return draft;
    }
    const named = shortCall(draft);
    this.#dropped.bytes += Math.max(0, size - sizeOf(named));
    return named;
  }

  /** What is held back, in between: for whoever looks on while the turn goes on. */
  show(): TranscriptDraft[] {
    return this.#release(this.#share());
  }

  /** The rest, at the turn's end. */
  end(): TranscriptDraft[] {
    return this.#release(this.#tail);
  }

  /** Half of what is left for in between. */
  #share(): number {
    return Math.ceil(this.#between / 2);
  }

  #hold(draft: TranscriptDraft): void {
    const size = sizeOf(draft);
    this.#held.push({ draft, size });
    this.#heldSize += size;
    this.#trim(this.#tail);
  }

  /** Drops from the front until no more than `room` bytes are held. */
  #trim(room: number): void {
    let count = 0;
    while (this.#heldSize > room) {
      const { draft, size } = this.#held[count] as Held;
      const excess = this.#heldSize - room;
      const kept = excess < size && isText(draft) ? lastBytes(draft, size - excess) : undefined;
      if (kept && kept.text !== '') {
        const keptSize = sizeOf(kept);
        this.#held[count] = { draft: kept, size: keptSize };
        this.#heldSize -= size - keptSize;
        this.#dropped.bytes += size - keptSize;
        break;
      }
      this.#heldSize -= size;
      this.#dropped.bytes += size;
      this.#dropped.entries += 1;
      if (draft.type === 'tool') this.#remember(draft);
      count += 1;
    }
    if (count > 0) this.#held.splice(0, count);
  }

  #remember(call: Tool): void {
    const { toolCallId } = call;
    const before = this.#calls.get(toolCallId);
    this.#calls.delete(toolCallId);
    this.#calls.set(toolCallId, { ...before, ...shortCall(call) });
    if (this.#calls.size > mostCalls) this.#calls.delete(this.#calls.keys().next().value as string);
  }

  #release(room: number): TranscriptDraft[] {
    if (this.#held.length === 0 && this.#dropped.bytes === 0) return [];
    this.#trim(room);
    this.#between = Math.max(0, this.#between - this.#heldSize);
    const given: TranscriptDraft[] = [];
    if (this.#dropped.bytes > 0) given.push(this.#told(this.#dropped));
    given.push(...this.#calls.values(), ...this.#held.map(({ draft }) => draft));
    this.#calls.clear();
    this.#held = [];
    this.#heldSize = 0;
    this.#dropped = { bytes: 0, entries: 0 };
    return given;
  }
}

/** A call without what it holds. */
const shortCall = ({ toolCallId, title, kind, status }: Tool): Tool => ({
  type: 'tool',
  toolCallId,
  ...(title === undefined ? {} : { title: title.slice(0, 200) }),
  ...(kind === undefined ? {} : { kind }),
  ...(status === undefined ? {} : { status }),
});

const isText = (draft: TranscriptDraft): draft is Text => draft.type === 'text' || draft.type === 'output';

const sizeOf = (draft: TranscriptDraft): number => Buffer.byteLength(isText(draft) ? draft.text : JSON.stringify(draft));

/** The part of a text that has room, and the rest; anything else is whole. */
function split(draft: TranscriptDraft, room: number): [TranscriptDraft | undefined, TranscriptDraft] {
  if (!isText(draft) || room < 1) return [undefined, draft];
  const text = firstBytes(draft.text, room);
  return text === ''
    ? [undefined, draft]
    : [
        { ...draft, text },
        { ...draft, text: draft.text.slice(text.length) },
      ];
}

/** As much of the beginning as has room, without cutting a character. */
function firstBytes(text: string, room: number): string {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(room));
  return text.slice(0, read);
}

/** As much of the end as has room, without cutting a character. */
function lastBytes(draft: Text, room: number): Text {
  const bytes = Buffer.from(draft.text);
  let from = bytes.length - room;
  while (from < bytes.length && ((bytes[from] as number) & 0xc0) === 0x80) from += 1;
  return { ...draft, text: bytes.toString('utf8', from) };
}
