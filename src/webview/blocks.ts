/** A conversation as the blocks that are shown: entries of a transcript, folded. Pure, and grown entry by entry. */
import type { TranscriptEntry } from '../model/transcript.ts';
import { heldInWords } from '../sessions/words.ts';

type Entry<T extends TranscriptEntry['type']> = Extract<TranscriptEntry, { type: T }>;

export interface ToolCall {
  id: string;
  title: string;
  kind: string;
  status: string;
  content: unknown[];
  locations: unknown[];
}

export type Block = { key: string; seq: number } & (
  | { type: 'prompt'; entry: Entry<'prompt'> }
  | { type: 'text'; text: string }
  | { type: 'thought'; text: string }
  | { type: 'output'; stream: 'stdout' | 'stderr'; text: string }
  | { type: 'tool'; call: ToolCall }
  | { type: 'plan'; entries: Entry<'plan'>['entries'] }
  | { type: 'permission'; entry: Entry<'permission'>; answer: string | undefined }
  | { type: 'notice'; text: string }
  | { type: 'commit'; entry: Entry<'commit'> }
  | { type: 'usage'; entry: Entry<'usage'> }
  | { type: 'ended'; entry: Entry<'ended'> }
);

/** A text that is longer than this goes on in another block at its next paragraph, so that no block grows for ever. */
const longEnough = 8_000;
/** Where no paragraph ends, a block is cut here. */
const longest = 24_000;
/** Blocks kept in the page; older ones are read again when they are asked for. */
const kept = 1_200;
const dropped = 400;
/** Characters of text that were taken in after which the older half of the blocks is dropped. */
const keptText = 1_000_000;

export class Conversation {
  readonly blocks: Block[] = [];
  /** Blocks that were dropped from the beginning. */
  #gone = 0;
  #taken = 0;
  get gone(): number {
    return this.#gone;
  }
  readonly #tools = new Map<string, number>();
  readonly #permissions = new Map<string, number>();
  #plan: { turnId: string; index: number } | undefined;
  #usage: { turnId: string; index: number } | undefined;
  #isLate = false;
  /** The last entry that was taken in; one that comes again is left out. */
  seq = 0;

  /** Returns true when an entry is missing before this one. */
  add(entry: TranscriptEntry): boolean {
    if (entry.seq <= this.seq) return false;
    if (this.seq > 0 && entry.seq > this.seq + 1) return true;
    this.seq = entry.seq;
    if ('text' in entry) this.#taken += entry.text.length;
    if (this.blocks.length > kept) this.#gone += this.blocks.splice(0, dropped).length;
    else if (this.#taken > keptText && this.blocks.length > 2) {
      this.#gone += this.blocks.splice(0, this.blocks.length >> 1).length;
      this.#taken /= 2;
    }
    const key = String(entry.seq);
    const base = { key, seq: entry.seq };
    if (entry.late && !this.#isLate)
      this.blocks.push({ ...base, key: `${key}.late`, type: 'notice', text: 'After its turn the agent went on:' });
    this.#isLate = entry.late === true;
    switch (entry.type) {
      case 'prompt':
        this.blocks.push({ ...base, type: 'prompt', entry });
        break;
      case 'text':
        if (entry.role !== 'user')
          this.#text(base, entry.role === 'thought' ? { type: 'thought' } : { type: 'text' }, entry.text);
        break;
      case 'output':
        this.#text(base, { type: 'output', stream: entry.stream }, entry.text);
        break;
      case 'tool':
        this.#tool(base, entry);
        break;
      case 'plan':
        if (this.#plan?.turnId === entry.turnId) this.#put(this.#plan.index, { type: 'plan', entries: entry.entries });
        else this.#plan = { turnId: entry.turnId, index: this.#push({ ...base, type: 'plan', entries: entry.entries }) };
        break;
      case 'usage':
        if (this.#usage?.turnId === entry.turnId) this.#put(this.#usage.index, { type: 'usage', entry });
        else this.#usage = { turnId: entry.turnId, index: this.#push({ ...base, type: 'usage', entry }) };
        break;
      case 'permission':
        this.#permissions.set(entry.permission.id, this.#push({ ...base, type: 'permission', entry, answer: undefined }));
        break;
      case 'answer': {
        const index = this.#permissions.get(entry.permissionId);
        const block = index === undefined ? undefined : this.blocks[index - this.#gone];
        if (index !== undefined && block?.type === 'permission') {
          const name = block.entry.permission.options.find((option) => option.optionId === entry.optionId)?.name;
          this.#put(index, { type: 'permission', entry: block.entry, answer: name ?? entry.optionId ?? 'cancelled' });
        }
        break;
      }
      case 'notice':
        this.blocks.push({ ...base, type: 'notice', text: entry.text });
        break;
      case 'held': {
        const text = heldInWords(entry.commit, 'of this conversation');
        if (text) this.blocks.push({ ...base, type: 'notice', text });
        break;
      }
      case 'commit':
        this.blocks.push({ ...base, type: 'commit', entry });
        break;
      case 'ended':
        this.blocks.push({ ...base, type: 'ended', entry });
        break;
      default:
        break;
    }
    return false;
  }

  /** Blocks are replaced, never changed: a block that is the same object looks the same. */
  #put(index: number, change: object): void {
    const place = index - this.#gone;
    if (place >= 0) this.blocks[place] = { ...this.blocks[place], ...change } as Block;
  }

  /** Returns the block's number, counted from the first that ever was. */
  #push(block: Block): number {
    return this.blocks.push(block) - 1 + this.#gone;
  }

  #text(
    base: { key: string; seq: number },
    shape: { type: 'text' | 'thought' } | { type: 'output'; stream: 'stdout' | 'stderr' },
    text: string,
  ): void {
    const last = this.blocks.at(-1);
    const same =
      last?.type === shape.type && (shape.type !== 'output' || (last.type === 'output' && last.stream === shape.stream));
    const goesOn = same && 'text' in last;
    let rest = goesOn ? last.text + text : text;
    for (let part = goesOn ? -1 : 0, first = part; part === first || rest !== ''; part += 1) {
      const cut = rest.length < longEnough ? -1 : cutOf(rest);
      const taken = cut < 0 ? rest : rest.slice(0, cut);
      rest = cut < 0 ? '' : rest.slice(cut);
      if (part < 0) this.#put(this.blocks.length - 1 + this.#gone, { text: taken });
      else this.#push({ ...base, key: part === 0 ? base.key : `${base.key}.${part}`, ...shape, text: taken } as Block);
    }
  }

  #tool(base: { key: string; seq: number }, entry: Entry<'tool'>): void {
    const index = this.#tools.get(entry.toolCallId);
    const known = index === undefined ? undefined : this.blocks[index - this.#gone];
    const before = known?.type === 'tool' ? known.call : undefined;
    const call: ToolCall = {
      id: entry.toolCallId,
      title: entry.title ?? before?.title ?? 'Tool',
      kind: entry.kind ?? before?.kind ?? 'other',
      status: entry.status ?? before?.status ?? 'pending',
      content: entry.content ?? before?.content ?? [],
      locations: entry.locations ?? before?.locations ?? [],
    };
    if (index === undefined) this.#tools.set(entry.toolCallId, this.#push({ ...base, type: 'tool', call }));
    else this.#put(index, { call });
  }
}

/** Where a long text may go on in another block: after a paragraph that is not in a code fence; -1 for nowhere yet. */
function cutOf(text: string): number {
  const paragraph = text.lastIndexOf('\n\n', Math.min(text.length - 3, longest));
  if (paragraph > longEnough / 2 && (text.slice(0, paragraph).match(/^ {0,3}(?:```|~~~)/gm)?.length ?? 0) % 2 === 0)
    return paragraph + 2;
  if (text.length < longest) return -1;
  const first = text.charCodeAt(longest - 1);
  return first >= 0xd800 && first <= 0xdbff ? longest - 1 : longest; // Not between the halves of one character.
}
