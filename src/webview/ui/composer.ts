/** Where people write: accepted text leaves it only when it is durable; a rejected one stays, with the reason. */
import { html, LitElement, nothing, type TemplateResult } from 'lit';
import type { SessionKind, WaitingReason } from '../../model/types.ts';
import type { BranchInfo, Meta, NewImage } from '../protocol.ts';
import { request, send } from './connection.ts';
import { icon, iconButton } from './parts.ts';
import { draftTyped, keepDraft } from './pendingDrafts.ts';

export type ComposerTarget =
  | { type: 'session'; sessionId: string; title: string; branch: BranchInfo | undefined }
  | { type: 'branch'; branch: BranchInfo | undefined };

const draftTime = 300;
const largestFile = 20 * 1024 * 1024;
/** As many as the host takes. */
const mostFiles = 20;
const waits: Record<WaitingReason, string> = {
  worktree: 'waits for the worktree',
  turn: 'waits for the turns ahead',
  capacity: 'waits for a free place',
  paused: 'waits: the queue is paused',
  agent: 'waits: the agent is not installed',
  trust: 'waits: the workspace is not trusted',
  limit: 'waits: the agent can’t work now',
  signIn: 'waits: the agent needs a sign-in',
};
const newBranch = '+';

export class ComposerElement extends LitElement {
  static override properties = {
    target: { attribute: false },
    branches: { attribute: false },
    meta: { attribute: false },
    drafts: { attribute: false },
    text: { state: true },
    kind: { state: true },
    agent: { state: true },
    branchName: { state: true },
    files: { state: true },
    problem: { state: true },
    busy: { state: true },
    mentions: { state: true },
    mentionIndex: { state: true },
  };
  declare target: ComposerTarget;
  declare branches: BranchInfo[];
  declare meta: Meta;
  declare drafts: Record<string, string>;
  declare text: string;
  declare kind: SessionKind;
  declare agent: string | undefined;
  /** A name for a new branch, or what `newBranch` means; undefined: the target's branch, or one from the prompt. */
  declare branchName: string | undefined;
  declare files: NewImage[];
  declare problem: string | undefined;
  declare busy: boolean;
  declare mentions: string[];
  declare mentionIndex: number;
  #key = '';
  #draftTimer: number | undefined;
  #historyAt = -1;
  #mentionAsk = 0;

  constructor() {
    super();
    Object.assign(this, {
      text: '',
      kind: 'commit',
      files: [],
      busy: false,
      mentions: [],
      mentionIndex: 0,
      drafts: {},
      branches: [],
    });
  }

  protected override createRenderRoot(): this {
    return this;
  }

  get #draftKey(): string {
    return this.target.type === 'session'
      ? `session:${this.target.sessionId}`
      : this.target.branch
        ? `branch:${this.target.branch.id}`
        : 'new';
  }

  protected override willUpdate(): void {
    if (this.#key === this.#draftKey) return;
    this.#keepDraftNow();
    this.#key = this.#draftKey;
    this.text = this.drafts[this.#key] ?? '';
    this.files = [];
    void this.#bringBackFiles(this.#key);
    this.problem = undefined;
    this.branchName = undefined;
    this.#historyAt = -1;
  }

  async #bringBackFiles(key: string): Promise<void> {
    const files = await request<NewImage[]>({ type: 'filesOfDraft', key }).catch(() => []);
    if (key !== this.#key || files.length === 0) return;
    if (this.files.length === 0) this.files = files;
    else this.#setFiles([...files, ...this.files]); // Some were added meanwhile.
  }

  #setFiles(files: NewImage[]): void {
    this.files = files.slice(0, mostFiles);
    if (files.length > mostFiles)
      this.problem = `A prompt takes ${mostFiles} files; the others were left out. Name their paths in the prompt.`;
    send({ type: 'draftFiles', key: this.#key, files: this.files });
  }

  /** Adds files to the draft that they were meant for, whichever is in view by now. */
  async #addFiles(key: string, files: NewImage[]): Promise<void> {
    if (key === this.#key) this.#setFiles([...this.files, ...files]);
    else
      send({
        type: 'draftFiles',
        key,
        files: [...(await request<NewImage[]>({ type: 'filesOfDraft', key })), ...files].slice(0, mostFiles),
      });
  }

  get #area(): HTMLTextAreaElement | null {
    return this.querySelector('textarea');
  }

  override focus(): void {
    this.#area?.focus();
  }

  protected override updated(): void {
    const area = this.#area;
    if (!area) return;
    if (area.value !== this.text) area.value = this.text;
    area.rows = Math.min(12, Math.max(2, this.text.split('\n').length + 1));
  }

  #setText(text: string): void {
    this.text = text;
    this.problem = undefined;
    this.drafts[this.#key] = text;
    draftTyped(this.#key, text);
    clearTimeout(this.#draftTimer);
    this.#draftTimer = window.setTimeout(() => this.#keepDraftNow(), draftTime);
  }

  #keepDraftNow(): void {
    if (this.#key === '') return;
    clearTimeout(this.#draftTimer);
    void keepDraft(this.#key, this.drafts[this.#key] ?? '');
  }

  /** Why it would wait, in words; undefined when it starts at once (requirement 13). */
  get #waits(): string | undefined {
    const agent = this.meta.agents.find((one) => one.id === this.#agentId);
    if (this.target.type === 'branch' && agent && !agent.installed) return waits.agent;
    const branch = this.branchName === undefined ? this.target.branch : undefined;
    const reason = branch ? branch.nextWaits : this.meta.trusted ? 'worktree' : 'trust';
    return reason ? waits[reason] : undefined;
  }

  get #agentId(): string {
    return this.agent ?? this.meta.defaultAgent;
  }

  async #submit(): Promise<void> {
    const prompt = this.text;
    const key = this.#key;
    if (this.busy || (prompt.trim() === '' && this.files.length === 0)) return;
    if (this.target.type === 'branch' && this.#agentId === '') {
      this.problem = 'Choose who should do it: an agent, or the shell, which runs what you write as a script. It is asked once.';
      this.querySelector<HTMLElement>('select[aria-label="Agent"]')?.focus();
      return;
    }
    this.busy = true;
    this.#keepDraftNow();
    try {
      const known =
        this.branches.find((one) => one.name === this.branchName) ??
        (this.branchName === undefined && this.target.type === 'branch' ? this.target.branch : undefined);
      const target =
        this.target.type === 'session'
          ? { sessionId: this.target.sessionId }
          : known
            ? { branchId: known.id }
            : this.branchName && this.branchName !== newBranch
              ? { branch: this.branchName }
              : { fromPrompt: true as const };
      const ids = await request<{ branchId: string; turnId: string }>({
        type: 'enqueue',
        target,
        kind: this.kind,
        agent: this.#agentId,
        prompt,
        attachments: this.files,
      });
      if (key === this.#key) {
        if (this.text === prompt) this.#setText('');
        this.#keepDraftNow();
        this.#setFiles([]);
        this.branchName = undefined;
        this.problem = undefined;
        this.#historyAt = -1;
      } else {
        // Another draft is in view by now, and stays as it is.
        this.drafts[key] = '';
        draftTyped(key, '');
        void keepDraft(key, '');
        send({ type: 'draftFiles', key, files: [] });
      }
      this.dispatchEvent(new CustomEvent('accepted', { detail: ids, bubbles: true }));
    } catch (error) {
      this.problem = (error as Error).message;
    } finally {
      this.busy = false;
      this.focus();
    }
  }

  readonly #keydown = (event: KeyboardEvent): void => {
    const area = event.target as HTMLTextAreaElement;
    if (this.mentions.length > 0) {
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        event.preventDefault();
        this.mentionIndex =
          (this.mentionIndex + (event.key === 'ArrowDown' ? 1 : -1) + this.mentions.length) % this.mentions.length;
        return;
      }
      if (event.key === 'Enter' || event.key === 'Tab') {
        event.preventDefault();
        this.#mention(this.mentions[this.mentionIndex] ?? '');
        return;
      }
      if (event.key === 'Escape') {
        event.preventDefault();
        this.mentions = [];
        return;
      }
    }
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      void this.#submit();
      return;
    }
    const { history } = this.meta;
    if (
      event.key === 'ArrowUp' &&
      area.selectionStart === 0 &&
      area.selectionEnd === 0 &&
      this.#historyAt + 1 < history.length &&
      (this.text === '' || this.#historyAt >= 0)
    ) {
      event.preventDefault();
      this.#historyAt += 1;
      this.#setText(history[this.#historyAt] ?? '');
      void this.updateComplete.then(() => area.setSelectionRange(0, 0));
    } else if (event.key === 'ArrowDown' && this.#historyAt >= 0 && area.selectionStart === 0 && area.selectionEnd === 0) {
      event.preventDefault();
      this.#historyAt -= 1;
      this.#setText(this.#historyAt < 0 ? '' : (history[this.#historyAt] ?? ''));
      void this.updateComplete.then(() => area.setSelectionRange(0, 0));
    }
  };

  readonly #input = (event: Event): void => {
    const area = event.target as HTMLTextAreaElement;
    this.#setText(area.value);
    this.#historyAt = -1;
    void this.#askMentions(area);
  };

  async #askMentions(area: HTMLTextAreaElement): Promise<void> {
    this.#mentionAsk += 1;
    const ask = this.#mentionAsk;
    const query = /(?:^|\s)@([^\s@]*)$/.exec(area.value.slice(0, area.selectionStart))?.[1];
    if (query === undefined) {
      this.mentions = [];
      return;
    }
    const found = await request<string[]>({ type: 'files', query }).catch(() => []);
    if (ask !== this.#mentionAsk) return;
    this.mentions = found.slice(0, 8);
    this.mentionIndex = 0;
  }

  #mention(path: string): void {
    const area = this.#area;
    if (!area) return;
    const before = area.value.slice(0, area.selectionStart).replace(/@[^\s@]*$/, `@${path} `);
    const text = before + area.value.slice(area.selectionStart);
    this.mentions = [];
    this.#setText(text);
    void this.updateComplete.then(() => {
      area.focus();
      area.setSelectionRange(before.length, before.length);
    });
  }

  async #take(list: Iterable<File>): Promise<void> {
    const key = this.#key;
    for (const file of list) {
      if (file.size > largestFile) {
        this.problem = `"${file.name}" is larger than ${largestFile / 1024 / 1024} MB. Attach a smaller file, or name its path in the prompt.`;
        continue;
      }
      const url = await new Promise<string>((resolve, reject) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result as string);
        reader.onerror = () => reject(reader.error);
        reader.readAsDataURL(file);
      });
      await this.#addFiles(key, [
        {
          name: file.name || 'image.png',
          mimeType: file.type || 'application/octet-stream',
          base64: url.slice(url.indexOf(',') + 1),
        },
      ]);
    }
  }

  readonly #paste = (event: ClipboardEvent): void => {
    const files = Array.from(event.clipboardData?.files ?? []);
    if (files.length === 0) return;
    event.preventDefault();
    void this.#take(files);
  };

  readonly #drop = (event: DragEvent): void => {
    const files = Array.from(event.dataTransfer?.files ?? []);
    if (files.length === 0) return;
    event.preventDefault();
    void this.#take(files);
  };

  async #pick(): Promise<void> {
    const key = this.#key;
    try {
      await this.#addFiles(key, await request<NewImage[]>({ type: 'pickFiles' }));
    } catch (error) {
      this.problem = (error as Error).message;
    }
  }

  protected override render(): TemplateResult {
    const { target, meta } = this;
    const waiting = this.#waits;
    const readOnly = meta.readOnly !== null;
    const label =
      target.type === 'session'
        ? `Follow up: ${target.title}`
        : target.branch && this.branchName === undefined
          ? `What should be done on ${target.branch.name}?`
          : 'What should be done?';
    return html`<form class="composer" aria-label="Composer" @submit=${(event: Event) => event.preventDefault()} @dragover=${(event: Event) => event.preventDefault()} @drop=${this.#drop}>
      ${this.problem ? html`<p class="problem" role="alert">${icon('error')} ${this.problem}</p>` : nothing}
      ${
        this.files.length > 0
          ? html`<ul class="thumbnails" aria-label="Attachments">${this.files.map(
              (file, index) => html`<li>
        ${file.mimeType.startsWith('image/') && file.mimeType !== 'image/svg+xml' ? html`<img src="data:${file.mimeType};base64,${file.base64}" alt=${file.name}>` : html`<span class="chip">${icon('file')} ${file.name}</span>`}
        ${iconButton('close', `Remove ${file.name}`, () => this.#setFiles(this.files.filter((_, at) => at !== index)), { className: 'remove-file' })}</li>`,
            )}</ul>`
          : nothing
      }
      <div class="field">
        <textarea aria-label=${label} placeholder=${target.type === 'session' ? 'Follow up' : 'What should be done?'} ?readonly=${readOnly} .value=${this.text} @input=${this.#input} @keydown=${this.#keydown} @paste=${this.#paste}
          aria-autocomplete="list" aria-controls=${this.mentions.length > 0 ? 'mentions' : nothing} aria-activedescendant=${this.mentions.length > 0 ? `mention-${this.mentionIndex}` : nothing}></textarea>
        ${
          this.mentions.length > 0
            ? html`<ul id="mentions" role="listbox" aria-label="Files">${this.mentions.map(
                (path, index) => html`<li id="mention-${index}" role="option" aria-selected=${index === this.mentionIndex}
          @mousedown=${(event: Event) => {
            event.preventDefault();
            this.#mention(path);
          }}>${path}</li>`,
              )}</ul>`
            : nothing
        }
      </div>
      <div class="controls">
        ${target.type === 'branch' ? this.#pickers() : nothing}
        ${iconButton('attach', 'Attach files', () => void this.#pick(), { disabled: readOnly })}
        <vscode-button class="submit" ?disabled=${readOnly || this.busy || (this.text.trim() === '' && this.files.length === 0)} @click=${() => void this.#submit()}>
          ${waiting ? `Queue (${waiting})` : 'Start'}</vscode-button>
      </div>
    </form>`;
  }

  #pickers(): TemplateResult {
    const { target, meta } = this;
    const branch = target.type === 'branch' ? target.branch : undefined;
    return html`
      <select aria-label="Kind" .value=${this.kind} @change=${(event: Event) => {
        this.kind = (event.target as HTMLSelectElement).value as SessionKind;
      }}>
        ${(['commit', 'note', 'review'] as const).map((kind) => html`<option value=${kind} ?selected=${kind === this.kind}>${kind[0]?.toUpperCase()}${kind.slice(1)}</option>`)}
      </select>
      ${
        meta.agents.length > 1 || meta.defaultAgent === ''
          ? html`<select aria-label="Agent" @change=${(event: Event) => {
              this.agent = (event.target as HTMLSelectElement).value || undefined;
              this.problem = undefined;
            }}>
        ${this.#agentId === '' ? html`<option value="" selected>Choose an agent</option>` : nothing}
        ${meta.agents.map((agent) => html`<option value=${agent.id} ?selected=${agent.id === this.#agentId}>${agent.name}${agent.installed ? '' : ' (not installed)'}</option>`)}
      </select>`
          : nothing
      }
      <select aria-label="Branch" @change=${this.#chooseBranch}>
        ${branch ? html`<option value="" ?selected=${this.branchName === undefined}>${branch.name}</option>` : nothing}
        <option value=${newBranch} ?selected=${this.branchName === newBranch || (!branch && this.branchName === undefined)}>New branch from the prompt</option>
        ${this.branches.filter((one) => one.id !== branch?.id).map((one) => html`<option value="=${one.name}" ?selected=${this.branchName === one.name}>${one.name}</option>`)}
        <option value="?" ?selected=${this.branchName === ''}>New branch…</option>
      </select>
      ${
        this.branchName === '' ||
        (
          this.branchName !== undefined &&
            this.branchName !== newBranch &&
            !this.branches.some((one) => one.name === this.branchName)
        )
          ? html`<input class="branch-name" aria-label="Name of the new branch" placeholder="feature/name" .value=${this.branchName} @input=${(
              event: Event,
            ) => {
              this.branchName = (event.target as HTMLInputElement).value;
            }}>`
          : nothing
      }`;
  }

  readonly #chooseBranch = (event: Event): void => {
    const { value } = event.target as HTMLSelectElement;
    this.branchName = value === '' ? undefined : value === '?' ? '' : value === newBranch ? newBranch : value.slice(1);
  };
}
customElements.define('branchline-composer', ComposerElement);
