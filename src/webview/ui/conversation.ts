/** A session's conversation: blocks as they come, the end followed while the reader is at the end. */
import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { unsafeHTML } from 'lit/directives/unsafe-html.js';
import { guard } from 'lit/directives/guard.js';
import { repeat } from 'lit/directives/repeat.js';
import type { Permission } from '../../model/types.ts';
import type { TranscriptEntry } from '../../model/transcript.ts';
import { shortened } from '../../model/inertText.ts';
import { visible } from '../../model/visibleText.ts';
import { type Block, Conversation, type ToolCall } from '../blocks.ts';
import { request } from './connection.ts';
import { htmlOf, plainOf } from './markdown.ts';
import { icon } from './parts.ts';

const longestToolTitle = 300;
const toolIcons: Record<string, string> = {
  read: 'file',
  edit: 'edit',
  delete: 'trash',
  move: 'arrow-right',
  search: 'search',
  execute: 'terminal',
  think: 'lightbulb',
  fetch: 'globe',
  other: 'tools',
};
/** Blocks that are in the page at once; earlier ones come when they are asked for. */
const shownAtFirst = 150;

export class ConversationElement extends LitElement {
  static override properties = {
    sessionId: {},
    branchId: {},
    permission: {},
    left: { type: Number },
    loading: { type: Boolean },
    shown: { state: true },
  };
  declare sessionId: string;
  declare branchId: string;
  /** The request that waits for an answer now. */
  declare permission: Permission | null;
  /** Entries that are on disk only. */
  declare left: number;
  declare loading: boolean;
  declare shown: number;
  #conversation = new Conversation();
  #atEnd = true;
  #lastTop = 0;
  readonly #sizes = new ResizeObserver(() => {
    if (this.#atEnd) this.toEnd();
  });
  #images = new Map<string, string | null>();
  /** Called when an entry is missing. */
  onGap: () => void = () => undefined;
  onEarlier: () => void = () => undefined;
  onAtEnd: (atEnd: boolean) => void = () => undefined;

  constructor() {
    super();
    this.left = 0;
    this.loading = true;
    this.permission = null;
    this.shown = shownAtFirst;
  }

  protected override createRenderRoot(): this {
    return this;
  }

  reset(): void {
    this.#conversation = new Conversation();
    this.#atEnd = true;
    this.loading = true;
    this.shown = shownAtFirst;
  }

  take(entries: readonly TranscriptEntry[]): void {
    for (const entry of entries) {
      if (!this.#conversation.add(entry)) continue;
      this.onGap();
      return;
    }
    this.requestUpdate();
  }

  get #scroller(): HTMLElement | null {
    return this.closest('.conversation-scroller');
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#scroller?.addEventListener('scroll', this.#scrolled, { passive: true });
    this.#sizes.observe(this);
  }
  override disconnectedCallback(): void {
    this.#scroller?.removeEventListener('scroll', this.#scrolled);
    this.#sizes.disconnect();
    super.disconnectedCallback();
  }

  /** Only a reader who scrolls up leaves the end; content that grows does not. */
  readonly #scrolled = (): void => {
    const scroller = this.#scroller;
    if (!scroller) return;
    const { scrollTop } = scroller;
    const nearEnd = scroller.scrollHeight - scrollTop - scroller.clientHeight < 24;
    const atEnd = nearEnd || (this.#atEnd && scrollTop >= this.#lastTop);
    this.#lastTop = scrollTop;
    if (atEnd !== this.#atEnd) this.onAtEnd(atEnd);
    this.#atEnd = atEnd;
  };

  toEnd(): void {
    const scroller = this.#scroller;
    if (scroller) scroller.scrollTop = scroller.scrollHeight;
    this.#lastTop = scroller?.scrollTop ?? 0;
    this.#atEnd = true;
    this.onAtEnd(true);
  }

  get atEnd(): boolean {
    return this.#atEnd;
  }

  protected override updated(_: PropertyValues): void {
    if (this.#atEnd) this.toEnd();
    else this.onAtEnd(false);
  }

  protected override render(): TemplateResult {
    const { blocks } = this.#conversation;
    const first = Math.max(0, blocks.length - this.shown);
    return html`
      ${this.left > 0 || first > 0 || this.#conversation.gone > 0 ? html`<button type="button" class="link-button earlier" @click=${() => this.#earlier(first)}>Show earlier</button>` : nothing}
      ${this.loading && blocks.length === 0 ? html`<p class="hint">${icon('loading', 'codicon-modifier-spin')} Opening the conversation…</p>` : nothing}
      ${!this.loading && blocks.length === 0 ? html`<p class="hint">Nothing has been said yet. The conversation appears here when the turn starts.</p>` : nothing}
      <div role="log" aria-label="Conversation" aria-live="off">
        ${repeat(
          blocks.slice(first),
          (block) => block.key,
          (block) =>
            html`<div class="block block-${block.type}">${guard([block, this.permission, block.type === 'prompt' ? this.#images.size : 0], () => this.#block(block))}</div>`,
        )}
      </div>`;
  }

  #earlier(first: number): void {
    this.shown += shownAtFirst * 2;
    if (first === 0) this.onEarlier();
  }

  #block(block: Block): TemplateResult | typeof nothing {
    switch (block.type) {
      case 'prompt':
        return html`<div class="who">${icon('account')} You${block.entry.attempt > 1 ? html` <span class="dim">attempt ${block.entry.attempt}</span>` : nothing}</div>
          <div class="prompt-text">${visible(block.entry.text)}</div>
          ${block.entry.attachments.length > 0 ? html`<div class="thumbnails">${block.entry.attachments.map((one) => this.#attachment(one))}</div>` : nothing}`;
      case 'text': {
        const rendered = htmlOf(block.text);
        return rendered === undefined
          ? html`<pre class="plain" tabindex="0">${plainOf(block.text)}</pre>`
          : html`<div class="markdown" @click=${this.#follow}>${unsafeHTML(rendered)}</div>`;
      }
      case 'thought':
        return html`<details class="thought"><summary>${icon('lightbulb')} Thinking</summary><div class="prompt-text">${visible(block.text)}</div></details>`;
      case 'output':
        return html`<pre class="output ${block.stream}" tabindex="0" aria-label=${block.stream === 'stderr' ? 'Standard error' : 'Output'}>${plainOf(block.text)}</pre>`;
      case 'tool':
        return this.#tool(block.call);
      case 'plan':
        return html`<ul class="plan" aria-label="Plan">${block.entries.map(
          (
            entry,
          ) => html`<li class=${entry.status}>${icon(entry.status === 'completed' ? 'pass' : entry.status === 'in_progress' ? 'circle-large-filled' : 'circle-large')}
          <span>${visible(entry.content)}</span><span class="visually-hidden">${entry.status.replace('_', ' ')}</span></li>`,
        )}</ul>`;
      case 'permission':
        return this.#permission(block.entry.permission, block.answer);
      case 'notice':
        return html`<p class="notice">${icon('info')} ${visible(block.text)}</p>`;
      case 'commit':
        return html`<p class="notice">${icon('git-commit')} Committed ${block.entry.files === 1 ? '1 file' : `${block.entry.files} files`} as <code>${block.entry.sha.slice(0, 10)}</code></p>`;
      case 'usage':
        return html`<p class="notice dim">${block.entry.used.toLocaleString('en')} of ${block.entry.size.toLocaleString('en')} tokens${block.entry.cost ? `, ${block.entry.cost.amount.toFixed(2)} ${block.entry.cost.currency}` : ''}</p>`;
      case 'ended':
        return html`<p class="ended ${block.entry.outcome}">${icon(block.entry.outcome === 'completed' ? 'pass' : block.entry.outcome === 'cancelled' ? 'circle-slash' : 'error')}
          Turn ${block.entry.outcome}${block.entry.message ? html`: ${visible(block.entry.message)}` : nothing}</p>`;
    }
  }

  #attachment({ name, mimeType, sha256 }: { name: string; mimeType: string; sha256: string }): TemplateResult {
    const known = this.#images.get(sha256);
    if (known === undefined && mimeType.startsWith('image/')) {
      this.#images.set(sha256, null);
      void request<string | null>({ type: 'image', sha256, mimeType }).then(
        (url) => {
          this.#images.set(sha256, url);
          if (url) this.#images.set(`${sha256}!`, url);
          this.requestUpdate();
        },
        () => undefined,
      );
    }
    return known
      ? html`<img src=${known} alt=${visible(name)} title=${visible(name)}>`
      : html`<span class="chip">${icon('file')} ${visible(name)}</span>`;
  }

  #tool(call: ToolCall): TemplateResult {
    const statuses: Record<string, string> = {
      pending: 'circle-large',
      in_progress: 'loading codicon-modifier-spin',
      completed: 'pass',
      failed: 'error',
    };
    const [location] = call.locations as { path?: unknown; line?: unknown }[];
    const path = typeof location?.path === 'string' ? location.path : undefined;
    const details = call.content.map((one) => this.#content(one)).filter((one) => one !== nothing);
    const head = html`${icon(toolIcons[call.kind] ?? 'tools')} <span class="tool-title">${shortened(visible(call.title), longestToolTitle)}</span>
      <span class="codicon codicon-${statuses[call.status] ?? 'circle-large'} tool-${call.status}" aria-hidden="true"></span><span class="visually-hidden">${call.status.replace('_', ' ')}</span>`;
    return html`<div class="tool">
      ${details.length > 0 ? html`<details><summary>${icon('chevron-right', 'chevron')} ${head}</summary>${details}</details>` : html`<div class="tool-head">${head}</div>`}
      ${path === undefined ? nothing : html`<button type="button" class="link-button tool-path" @click=${() => this.#open(path, typeof location?.line === 'number' ? location.line : undefined)}>${visible(path.split('/').slice(-2).join('/'))}</button>`}
    </div>`;
  }

  #content(raw: unknown): TemplateResult | typeof nothing {
    const one = raw as {
      type?: unknown;
      path?: unknown;
      oldText?: unknown;
      newText?: unknown;
      content?: { type?: unknown; text?: unknown };
    };
    if (one?.type === 'diff' && typeof one.newText === 'string') {
      const before = typeof one.oldText === 'string' ? one.oldText : '';
      return html`<pre class="diff" tabindex="0" aria-label="Changes">${diffOf(before, one.newText).map(([sign, line]) => html`<span class=${sign === '+' ? 'added' : sign === '-' ? 'removed' : ''}>${sign} ${visible(line)}\n</span>`)}</pre>`;
    }
    if (one?.type === 'content' && one.content?.type === 'text' && typeof one.content.text === 'string')
      return html`<pre class="output" tabindex="0">${plainOf(one.content.text)}</pre>`;
    return nothing;
  }

  #permission(permission: Permission, answer: string | undefined): TemplateResult {
    const open = this.permission?.id === permission.id;
    return html`<div class="permission ${open ? 'open' : ''}" role=${open ? 'group' : nothing} aria-label=${open ? `The agent asks: ${visible(permission.title)}` : nothing}>
      <p>${icon('shield')} ${visible(permission.title)}</p>
      ${open ? permissionButtons(permission) : html`<p class="dim">${answer === undefined ? 'Not answered' : `Answered: ${visible(answer)}`}</p>`}
    </div>`;
  }

  readonly #follow = (event: Event): void => {
    const link = (event.target as HTMLElement).closest('a');
    if (!link) return;
    event.preventDefault();
    event.stopPropagation(); // VS Code's own page would open it, too, and in a trusted workspace without a question.
    const href = link.getAttribute('href') ?? '';
    if (/^[a-z][a-z0-9+.-]*:/i.test(href)) void request({ type: 'openLink', href }).catch(this.#tell);
    else if (href !== '' && !href.startsWith('#'))
      void this.#open(unescaped(href.split('#')[0] ?? ''), Number(/#L(\d+)/.exec(href)?.[1] ?? 1));
  };

  #open(path: string, line: number | undefined): Promise<void> {
    return request({ type: 'openFile', branchId: this.branchId, path, ...(line === undefined ? {} : { line }) }).then(
      () => undefined,
      this.#tell,
    );
  }

  readonly #tell = (error: Error): void => {
    this.dispatchEvent(new CustomEvent('tell', { detail: error.message, bubbles: true }));
  };
}
customElements.define('branchline-conversation', ConversationElement);

export function permissionButtons(permission: Permission): TemplateResult {
  const answer = (event: Event, optionId: string) => {
    const target = event.currentTarget as HTMLElement;
    void request({ type: 'respond', permissionId: permission.id, optionId }).catch((error: Error) =>
      target.dispatchEvent(new CustomEvent('tell', { detail: error.message, bubbles: true })),
    );
  };
  return html`<div class="permission-options">${permission.options.map(
    (option, index) => html`<vscode-button ?secondary=${index > 0 || option.kind.startsWith('reject')}
    @click=${(event: Event) => answer(event, option.optionId)}>${visible(option.name)}</vscode-button>`,
  )}</div>`;
}

function unescaped(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}

const longestDiff = 400;

/** Lines that went and came, with what both begin and end with left out but for two lines. */
export function diffOf(before: string, after: string): [' ' | '+' | '-', string][] {
  const a = before === '' ? [] : before.split('\n');
  const b = after.split('\n');
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const around = (line: string | undefined): [' ', string][] => (line === undefined || line === '' ? [] : [[' ', line]]);
  const rows: [' ' | '+' | '-', string][] = [
    ...(start > 1 ? around(a[start - 2]) : []),
    ...(start > 0 ? around(a[start - 1]) : []),
    ...a.slice(start, a.length - end).map((line): ['-', string] => ['-', line]),
    ...b.slice(start, b.length - end).map((line): ['+', string] => ['+', line]),
    ...around(b[b.length - end]),
  ];
  return rows.length > longestDiff ? [...rows.slice(0, longestDiff), [' ', `… ${rows.length - longestDiff} more lines`]] : rows;
}
