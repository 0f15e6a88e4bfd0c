/** A conversation as the blocks that are shown: entries of a transcript, folded. Pure, and grown entry by entry. */
import type { TranscriptEntry } from '../model/transcript.ts';

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

/** Longest text of one block: what comes after it begins another, so that no block grows for ever. */
const longest = 100_000;

export class Conversation {
  readonly blocks: Block[] = [];
  readonly #tools = new Map<string, number>();
  readonly #permissions = new Map<string, number>();
  #plan: { turnId: string; index: number } | undefined;
  #usage: { turnId: string; index: number } | undefined;
  /** The last entry that was taken in; one that comes again is left out. */
  seq = 0;

  /** Returns true when an entry is missing before this one. */
  add(entry: TranscriptEntry): boolean {
    if (entry.seq <= this.seq) return false;
    if (this.seq > 0 && entry.seq > this.seq + 1) return true;
    this.seq = entry.seq;
    const key = String(entry.seq);
    const base = { key, seq: entry.seq };
    switch (entry.type) {
      case 'prompt':
        this.blocks.push({ ...base, type: 'prompt', entry });
        break;
      case 'text':
        if (entry.role !== 'user') this.#text(base, entry.role === 'thought' ? { type: 'thought' } : { type: 'text' }, entry.text);
        break;
      case 'output':
        this.#text(base, { type: 'output', stream: entry.stream }, entry.text);
        break;
      case 'tool':
        this.#tool(base, entry);
        break;
      case 'plan':
        if (this.#plan?.turnId === entry.turnId) this.#put(this.#plan.index, { type: 'plan', entries: entry.entries });
        else this.#plan = { turnId: entry.turnId, index: this.blocks.push({ ...base, type: 'plan', entries: entry.entries }) - 1 };
        break;
      case 'usage':
        if (this.#usage?.turnId === entry.turnId) this.#put(this.#usage.index, { type: 'usage', entry });
        else this.#usage = { turnId: entry.turnId, index: this.blocks.push({ ...base, type: 'usage', entry }) - 1 };
        break;
      case 'permission':
        this.#permissions.set(entry.permission.id, this.blocks.push({ ...base, type: 'permission', entry, answer: undefined }) - 1);
        break;
      case 'answer': {
        const index = this.#permissions.get(entry.permissionId);
        const block = index === undefined ? undefined : this.blocks[index];
        if (index !== undefined && block?.type === 'permission') {
          const name = block.entry.permission.options.find((option) => option.optionId === entry.optionId)?.name;
          this.#put(index, { type: 'permission', entry: block.entry, answer: name ?? entry.optionId ?? 'cancelled' });
        }
        break;
      }
      case 'notice':
        this.blocks.push({ ...base, type: 'notice', text: entry.text });
        break;
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
    this.blocks[index] = { ...this.blocks[index], ...change } as Block;
  }

  #text(base: { key: string; seq: number }, shape: { type: 'text' | 'thought' } | { type: 'output'; stream: 'stdout' | 'stderr' }, text: string): void {
    const last = this.blocks.at(-1);
    const same = last?.type === shape.type && (shape.type !== 'output' || (last.type === 'output' && last.stream === shape.stream));
    if (same && 'text' in last && last.text.length < longest) this.#put(this.blocks.length - 1, { text: last.text + text });
    else this.blocks.push({ ...base, ...shape, text } as Block);
  }

  #tool(base: { key: string; seq: number }, entry: Entry<'tool'>): void {
    const index = this.#tools.get(entry.toolCallId);
    const known = index === undefined ? undefined : this.blocks[index];
    const before = known?.type === 'tool' ? known.call : undefined;
    const call: ToolCall = {
      id: entry.toolCallId, title: entry.title ?? before?.title ?? 'Tool', kind: entry.kind ?? before?.kind ?? 'other',
      status: entry.status ?? before?.status ?? 'pending', content: entry.content ?? before?.content ?? [], locations: entry.locations ?? before?.locations ?? [],
    };
    if (index === undefined) this.#tools.set(entry.toolCallId, this.blocks.push({ ...base, type: 'tool', call }) - 1);
    else this.#put(index, { call });
  }
}
