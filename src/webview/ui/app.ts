/** The timeline: rows of a branch or of all, a conversation beside or in place of them, and the composer. */
import { html, LitElement, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { createRef, type Ref, ref } from 'lit/directives/ref.js';
import { visible } from '../../model/visibleText.ts';
import { clockTime } from '../../sessions/words.ts';
import {
  type BranchInfo,
  firstScope,
  type Meta,
  type Request,
  type Row,
  type Scope,
  timelineVersion,
  type ToView,
  type turnActions,
} from '../protocol.ts';
import type { ComposerElement, ComposerTarget } from './composer.ts';
import { keepState, onMessage, readState, request, send } from './connection.ts';
import type { ConversationElement } from './conversation.ts';
import { icon, iconButton, statsOf } from './parts.ts';
import { bannerView, isFiltered, type OverviewContext, toolbarView, welcomeView } from './overview.ts';
import { keepDraft, pendingDrafts } from './pendingDrafts.ts';
import { type PreparationContext, provisioningView, type RowContext, rowView } from './rows.ts';

interface Kept {
  scope: Scope;
  sessionId: string | undefined;
  scroll: number;
  filters: boolean;
  editing: Editing | undefined;
}

/** A prompt that is being edited. It is kept, so that a page that is hidden or made anew loses nothing of it. */
interface Editing {
  turnId: string;
  text: string;
  /** It was begun in the tree, to which the focus goes back. */
  fromTree: boolean;
}

const more = 200;
const undoTime = 10_000;
const searchTime = 200;
const restoreTime = 3_000;
/** As many as a scope may ask for. */
const mostQueued = 5_000;
/** The state is sent as a whole at each key. */
const longestKept = 200_000;

export class TimelineElement extends LitElement {
  static override properties = {
    rows: { state: true },
    branches: { state: true },
    meta: { state: true },
    scope: { state: true },
    sessionId: { state: true },
    filters: { state: true },
    editing: { state: true },
    message: { state: true },
    undo: { state: true },
    announcement: { state: true },
    newBelow: { state: true },
    logs: { state: true },
    now: { state: true },
  };
  declare rows: Row[];
  declare branches: BranchInfo[];
  declare meta: Meta | undefined;
  declare scope: Scope;
  /** The session whose conversation is open. */
  declare sessionId: string | undefined;
  declare filters: boolean;
  declare editing: Editing | undefined;
  declare message: string | undefined;
  declare undo: { token: number; title: string } | undefined;
  declare announcement: string;
  declare newBelow: boolean;
  /** Setup logs that are shown, by branch. */
  declare logs: Record<string, string>;
  declare now: number;
  #number = 0;
  #drafts: Record<string, string> = {};
  #left = 0;
  #opened: string | undefined;
  #earlier = 0;
  #scrollToRestore: number | undefined;
  #listTop: number;
  #undoTimer: number | undefined;
  #searchTimer: number | undefined;
  #dragged: string | undefined;
  #wanted: string | undefined;
  /** A turn whose prompt is to be edited as soon as it is among the rows. */
  #wantedEdit: string | undefined;
  /** Texts of edits that another one came before. */
  readonly #setAside = new Map<string, string>();
  readonly #conversation: Ref<ConversationElement> = createRef();
  readonly #composer: Ref<ComposerElement> = createRef();

  constructor() {
    super();
    const kept = readState<Partial<Kept>>();
    Object.assign(this, {
      rows: [],
      branches: [],
      scope: { ...firstScope, ...kept?.scope },
      sessionId: kept?.sessionId,
      filters: kept?.filters ?? false,
      editing: kept?.editing,
      announcement: '',
      newBelow: false,
      logs: {},
      now: Date.now(),
    });
    this.#listTop = kept?.scroll ?? 0;
    this.#scrollToRestore = this.#listTop;
    onMessage((message) => this.#receive(message));
    this.addEventListener('tell', (event) => {
      this.message = (event as CustomEvent<string>).detail;
    });
    this.addEventListener('accepted', (event) => this.#accepted((event as CustomEvent<{ turnId: string }>).detail));
    setInterval(() => {
      this.now = Date.now();
    }, clockTime);
    send({ type: 'ready', version: timelineVersion, scope: this.scope });
  }

  protected override createRenderRoot(): this {
    return this;
  }

  #keep(): void {
    keepState({
      scope: this.scope,
      sessionId: this.sessionId,
      scroll: this.#scrollToRestore ?? this.#listTop,
      filters: this.filters,
      editing: this.editing && this.editing.text.length <= longestKept ? this.editing : undefined,
    } satisfies Kept);
  }

  #receive(message: Exclude<ToView, { type: 'result' }>): void {
    switch (message.type) {
      case 'snapshot':
        this.#number = message.number;
        this.#drafts = { ...message.drafts, ...pendingDrafts };
        for (const [key, text] of Object.entries(pendingDrafts)) void keepDraft(key, text);
        this.#announceChanges(message.rows);
        Object.assign(this, { rows: message.rows, branches: message.branches, meta: message.meta });
        this.#showWanted();
        if (this.scope.branchId !== null && !message.branches.some(({ id }) => id === this.scope.branchId))
          this.#setScope({ branchId: null });
        this.#openConversation();
        return;
      case 'delta':
        if (message.number !== this.#number + 1) send({ type: 'resync' });
        else {
          this.#number = message.number;
          this.#apply(message);
        }
        return;
      case 'conversation':
        if (message.sessionId !== this.sessionId) return;
        this.#left = message.left;
        this.#conversation.value?.reset();
        if (this.#conversation.value) this.#conversation.value.loading = false;
        this.#conversation.value?.take(message.entries);
        this.requestUpdate();
        return;
      case 'entries':
        if (message.sessionId === this.sessionId) this.#conversation.value?.take(message.entries);
        return;
      case 'reveal':
        if (message.edit && message.turnId !== null) this.#revealEdit(message.branchId, message.turnId);
        else this.#reveal(message.branchId, message.turnId, message.compose);
    }
  }

  #apply(message: Extract<ToView, { type: 'delta' }>): void {
    this.#announceChanges(message.rows);
    const rows = new Map([...this.rows, ...message.rows].map((row) => [row.id, row]));
    const branches = new Map([...this.branches, ...message.branches].map((branch) => [branch.id, branch]));
    this.rows = message.order.flatMap((id) => rows.get(id) ?? []);
    this.branches = message.branchOrder.flatMap((id) => branches.get(id) ?? []);
    if (message.meta) this.meta = message.meta;
    if (this.sessionId && document.hasFocus() && message.rows.some((row) => row.unread && row.sessionId === this.sessionId))
      send({ type: 'seen', sessionId: this.sessionId });
    this.#showWanted();
    if (this.rows.length !== message.order.length || this.branches.length !== message.branchOrder.length)
      send({ type: 'resync' });
  }

  /** Screen readers are told what ends and what needs the user, not each step. */
  #announceChanges(rows: readonly Row[]): void {
    const before = new Map(this.rows.map((row) => [row.id, row]));
    for (const row of rows) {
      const old = before.get(row.id);
      if (!old) continue;
      if (row.permission && row.permission.id !== old.permission?.id)
        this.announcement = visible(`${row.title} asks: ${row.permission.title}`);
      else if (row.state !== old.state && ['completed', 'failed', 'interrupted'].includes(row.state))
        this.announcement = visible(`${row.title}: ${row.state}`);
    }
  }

  #setScope(patch: Partial<Scope>): void {
    this.scope = { ...this.scope, ...patch };
    this.#keep();
    send({ type: 'scope', scope: this.scope });
  }

  #reveal(branchId: string | null, turnId: string | null, compose: boolean): void {
    // A click on a row and F2 on it may come in any order: the editor stays.
    const isEdited = this.editing?.turnId === turnId && this.rows.some(({ id, state }) => id === turnId && state === 'queued');
    if (turnId !== null && (this.#wantedEdit === turnId || isEdited)) {
      this.#revealEdit(branchId, turnId);
      return;
    }
    if (branchId !== null && this.scope.branchId !== branchId) this.#setScope({ ...firstScope, branchId });
    this.#wantedEdit = undefined;
    this.#wanted = turnId ?? undefined;
    if (turnId === null) this.#show(undefined);
    this.#showWanted();
    if (compose) void this.updateComplete.then(() => this.#composer.value?.focus());
  }

  /** Opens the editor of a turn's prompt, with as many rows as it takes to have it among them. */
  #revealEdit(branchId: string | null, turnId: string): void {
    this.#show(undefined);
    this.#wanted = undefined;
    this.#wantedEdit = turnId;
    if (!this.rows.some(({ id }) => id === turnId)) this.#setScope({ ...firstScope, branchId, queued: mostQueued });
    this.#showWanted();
  }

  /** Opens the turn that was asked for, as soon as it is among the rows. */
  #showWanted(): void {
    const toEdit = this.rows.find(({ id }) => id === this.#wantedEdit);
    if (toEdit) {
      this.#wantedEdit = undefined;
      if (toEdit.state === 'queued') void this.#edit(toEdit, true).catch((error: Error) => this.#tell(error));
      else this.message = 'This turn does not wait any more, so its prompt stays as it is. Queue a follow-up instead.';
    }
    const row = this.rows.find(({ id }) => id === this.#wanted);
    if (!row) return;
    this.#wanted = undefined;
    this.#show(row.sessionId);
  }

  #show(sessionId: string | undefined): void {
    this.#noteListTop(); // A scroll of this very frame has not been told as an event yet.
    if (sessionId === undefined && this.sessionId !== undefined) this.#scrollToRestore = this.#listTop;
    this.sessionId = sessionId;
    this.newBelow = false;
    this.#keep();
    this.#openConversation();
  }

  #openConversation(): void {
    if (this.#opened === this.sessionId && this.#conversation.value && !this.#conversation.value.loading) return;
    this.#opened = this.sessionId;
    this.#earlier = 0;
    const { sessionId } = this;
    if (!sessionId) {
      send({ type: 'close' });
      return;
    }
    void this.updateComplete.then(() => {
      const conversation = this.#conversation.value;
      if (!conversation) return;
      conversation.reset();
      conversation.onGap = () => send({ type: 'open', sessionId, earlier: this.#earlier });
      conversation.onEarlier = () => {
        this.#earlier += 1_000;
        send({ type: 'open', sessionId, earlier: this.#earlier });
      };
      conversation.onAtEnd = (atEnd) => {
        const row = this.rows.find((one) => one.sessionId === sessionId && (one.state === 'running' || one.state === 'starting'));
        this.newBelow = !atEnd && row !== undefined;
      };
      send({ type: 'open', sessionId, earlier: 0 });
      send({ type: 'seen', sessionId });
    });
  }

  #accepted({ turnId }: { turnId: string }): void {
    this.announcement = 'Queued';
    void this.updateComplete.then(() =>
      this.querySelector(`[data-turn="${CSS.escape(turnId)}"]`)?.scrollIntoView({ block: 'nearest' }),
    );
  }

  #tell(error: Error): void {
    this.message = error.message;
  }

  /** `done` is told to screen readers when it is. */
  #ask(message: Request, done?: string): void {
    request(message).then(
      () => {
        if (done) this.announcement = done;
      },
      (error: Error) => {
        this.message = error.message;
      },
    );
  }

  #turn(action: (typeof turnActions)[number], row: Row): void {
    if (action === 'remove') {
      void this.#remove(row);
      return;
    }
    const moved = action === 'moveUp' ? 'up' : action === 'moveDown' ? 'down' : undefined;
    this.#ask({ type: 'turn', action, turnId: row.id }, moved && `${row.title} moved ${moved}`);
  }

  async #remove(row: Row): Promise<void> {
    const at = this.rows.findIndex(({ id }) => id === row.id);
    const next = this.rows[at + 1] ?? this.rows[at - 1];
    try {
      const { token } = await request<{ token: number }>({ type: 'turn', action: 'remove', turnId: row.id });
      this.undo = { token, title: row.title };
      clearTimeout(this.#undoTimer);
      this.#undoTimer = window.setTimeout(() => {
        this.undo = undefined;
      }, undoTime);
      if (next) this.#focusRow(next.id);
    } catch (error) {
      this.message = (error as Error).message;
    }
  }

  #focusRow(turnId: string): void {
    this.querySelector<HTMLElement>(`[data-turn="${CSS.escape(turnId)}"] .row-title`)?.focus();
  }

  async #edit(row: Row, fromTree = false): Promise<void> {
    if (this.editing?.turnId !== row.id) {
      if (this.editing) this.#setAside.set(this.editing.turnId, this.editing.text);
      const text = this.#setAside.get(row.id) ?? (await request<string>({ type: 'fullPrompt', turnId: row.id }));
      this.#setAside.delete(row.id);
      this.editing = { turnId: row.id, text, fromTree };
      this.#keep();
    }
    await this.updateComplete;
    const area = this.querySelector<HTMLElement>('.edit textarea');
    area?.scrollIntoView({ block: 'nearest' });
    area?.focus();
  }

  /** Leaves the editor; the focus goes back to where it came from. */
  async #leaveEdit({ turnId, fromTree }: Editing): Promise<void> {
    this.editing = undefined;
    this.#keep();
    await this.updateComplete;
    this.#focusRow(turnId);
    if (fromTree) this.#ask({ type: 'command', command: 'focusBranches' });
  }

  async #saveEdit(): Promise<void> {
    const { editing } = this;
    if (!editing) return;
    try {
      await request({ type: 'edit', turnId: editing.turnId, prompt: editing.text });
      await this.#leaveEdit(editing);
    } catch (error) {
      this.message = (error as Error).message;
    }
  }

  readonly #rowKey = (event: KeyboardEvent, row: Row): void => {
    if (this.editing) return;
    const at = this.rows.findIndex(({ id }) => id === row.id);
    const target =
      event.key === 'ArrowDown'
        ? this.rows[at + 1]
        : event.key === 'ArrowUp'
          ? this.rows[at - 1]
          : event.key === 'Home'
            ? this.rows[0]
            : event.key === 'End'
              ? this.rows.at(-1)
              : undefined;
    const does =
      event.altKey && event.key === 'ArrowUp' && row.up
        ? () => this.#turn('moveUp', row)
        : event.altKey && event.key === 'ArrowDown' && row.down
          ? () => this.#turn('moveDown', row)
          : !event.altKey && target
            ? () => this.#focusRow(target.id)
            : event.key === 'Delete' && row.state === 'queued'
              ? () => this.#turn('remove', row)
              : event.key === 'F2' && row.state === 'queued'
                ? () => void this.#edit(row).catch((error: Error) => this.#tell(error))
                : undefined;
    if (!does) return;
    event.preventDefault();
    does();
  };

  readonly #listScrolled = (): void => {
    this.#noteListTop();
    this.#keep();
  };

  /** Behind a conversation the list may have another height, and its place is not the reader's doing. */
  #noteListTop(): void {
    const list = this.querySelector('.list');
    if (list?.checkVisibility({ visibilityProperty: true }) && this.#scrollToRestore === undefined)
      this.#listTop = list.scrollTop;
  }

  readonly #readerMoves = (): void => {
    this.#scrollToRestore = undefined;
  };

  /** Rows that come into view may turn out taller than they were thought to be, so the place is sought for a while. */
  #restoreScroll(deadline = performance.now() + restoreTime): void {
    const list = this.querySelector('.list');
    if (!list || this.#scrollToRestore === undefined || this.rows.length === 0) return;
    list.scrollTop = this.#scrollToRestore;
    if (Math.abs(list.scrollTop - this.#scrollToRestore) < 1 || performance.now() > deadline) this.#scrollToRestore = undefined;
    else requestAnimationFrame(() => this.#restoreScroll(deadline));
  }

  protected override updated(): void {
    if (this.#scrollToRestore !== undefined) this.#restoreScroll();
  }

  protected override render(): TemplateResult {
    const { meta } = this;
    const open = this.sessionId === undefined ? undefined : this.rows.findLast((row) => row.sessionId === this.sessionId);
    const branch = this.branches.find(({ id }) => id === this.scope.branchId);
    return html`
      <div class="visually-hidden" role="status" aria-live="polite">${this.announcement}</div>
      <main class="page ${open ? 'with-conversation' : ''}">
        <section class="overview" aria-label="Timeline">
          ${toolbarView(branch, this.#overview)}
          ${bannerView(branch, this.#overview)}
          <div class="list" tabindex="-1" @scroll=${this.#listScrolled} @wheel=${this.#readerMoves} @pointerdown=${this.#readerMoves} @keydown=${this.#readerMoves}>
            ${meta === undefined ? html`<p class="hint">${icon('loading', 'codicon-modifier-spin')} Opening the queue…</p>` : this.#list(branch)}
          </div>
          ${meta && !open ? this.#composerFor({ type: 'branch', branch }) : nothing}
        </section>
        ${open ? this.#detail(open) : nothing}
      </main>
      ${
        this.message
          ? html`<div class="bar" role="alert">${icon('error')} <span>${visible(this.message)}</span> ${iconButton(
              'close',
              'Dismiss',
              () => {
                this.message = undefined;
              },
            )}</div>`
          : nothing
      }
      ${this.undo ? html`<div class="bar" role="status"><span>Removed “${visible(this.undo.title)}”.</span> <button type="button" class="link-button" @click=${() => this.#undoNow()}>Undo</button></div>` : nothing}`;
  }

  #undoNow(): void {
    if (this.undo) this.#ask({ type: 'undo', token: this.undo.token });
    this.undo = undefined;
  }

  #composerFor(target: ComposerTarget): TemplateResult {
    return html`<branchline-composer ${ref(this.#composer)} .target=${target} .branches=${this.branches} .meta=${this.meta} .drafts=${this.#drafts}></branchline-composer>`;
  }

  #chooseScope(value: string): void {
    this.#show(undefined);
    this.#setScope({ branchId: value === '' ? null : value, ended: firstScope.ended, queued: firstScope.queued });
    if (value !== '') send({ type: 'seen', branchId: value });
  }

  get #overview(): OverviewContext {
    return {
      scope: this.scope,
      branches: this.branches,
      meta: this.meta,
      filters: this.filters,
      ask: (message) => this.#ask(message),
      choose: (branchId) => this.#chooseScope(branchId),
      filter: (patch) => this.#setScope(patch),
      search: (query) => {
        clearTimeout(this.#searchTimer);
        this.#searchTimer = window.setTimeout(() => this.#setScope({ query }), searchTime);
      },
      toggleFilters: () => {
        this.filters = !this.filters;
        this.#keep();
      },
    };
  }

  #list(branch: BranchInfo | undefined): TemplateResult {
    const meta = this.meta as Meta;
    if (this.branches.length === 0) return welcomeView(meta, this.#overview);
    const shown = branch ? [branch] : this.branches;
    const provisioning = shown.filter((one) => one.words !== null);
    return html`
      ${provisioning.map((one) => provisioningView(one, this.#preparation))}
      ${meta.moreEnded > 0 ? html`<button type="button" class="link-button earlier" @click=${() => this.#setScope({ ended: this.scope.ended + more })}>Show ${Math.min(more, meta.moreEnded)} earlier</button>` : nothing}
      ${this.rows.length === 0 ? html`<p class="hint">${isFiltered(this.scope) ? 'Nothing fits the filter.' : branch && provisioning.length > 0 ? 'Write what should be done; it is queued until the worktree is ready.' : 'Nothing has been queued here yet. Write what should be done.'}</p>` : nothing}
      ${
        branch
          ? this.#rowList(this.rows, branch.name)
          : this.branches.map((one) => {
              const rows = this.rows.filter((row) => row.branchId === one.id);
              return rows.length === 0
                ? nothing
                : html`<h2 class="group"><button type="button" class="link-button" @click=${() => this.#chooseScope(one.id)}>${icon('git-branch')} ${one.name}</button>
          <span class="dim">${[one.running > 0 ? `${one.running} running` : '', one.queued > 0 ? `${one.queued} queued` : '', one.paused === 'no' ? '' : 'paused'].filter(Boolean).join(' · ')}</span></h2>${this.#rowList(rows, one.name)}`;
            })
      }
      ${meta.moreQueued > 0 ? html`<button type="button" class="link-button earlier" @click=${() => this.#setScope({ queued: this.scope.queued + more })}>Show ${Math.min(more, meta.moreQueued)} more that are queued</button>` : nothing}`;
  }

  #rowList(rows: readonly Row[], branch: string): TemplateResult {
    return html`<ul class="rows" aria-label="Turns on ${branch}">${repeat(
      rows,
      (row) => row.id,
      (row) => rowView(row, this.#rowContext),
    )}</ul>`;
  }

  get #rowContext(): RowContext {
    return {
      now: this.now,
      readOnly: this.meta?.readOnly !== null,
      selected: this.sessionId,
      editing: this.editing,
      open: (row) => this.#show(row.sessionId),
      act: (action, row) => this.#turn(action, row),
      edit: (row) => void this.#edit(row).catch((error: Error) => this.#tell(error)),
      typed: (text) => {
        if (!this.editing) return;
        this.editing.text = text;
        this.#keep();
      },
      endEdit: (keep) => {
        if (keep) void this.#saveEdit();
        else if (this.editing) void this.#leaveEdit(this.editing);
      },
      key: this.#rowKey,
      drag: (row) => {
        this.#dragged = row.id;
      },
      mayDrop: (row) =>
        this.#dragged !== undefined &&
        this.#dragged !== row.id &&
        row.branchId === this.rows.find(({ id }) => id === this.#dragged)?.branchId,
      drop: (row) => this.#drop(row),
    };
  }

  get #preparation(): PreparationContext {
    return {
      readOnly: this.meta?.readOnly !== null,
      logs: this.logs,
      act: (action, branchId) => this.#ask({ type: 'branch', action, branchId }),
      toggleLog: (branchId) => void this.#toggleLog(branchId),
    };
  }

  async #toggleLog(branchId: string): Promise<void> {
    const { [branchId]: shown, ...others } = this.logs;
    if (shown !== undefined) {
      this.logs = others;
      return;
    }
    try {
      this.logs = { ...others, [branchId]: await request<string>({ type: 'log', branchId }) };
    } catch (error) {
      this.message = (error as Error).message;
    }
  }

  #drop(row: Row): void {
    const turnId = this.#dragged;
    this.#dragged = undefined;
    if (turnId && turnId !== row.id) this.#ask({ type: 'move', turnId, before: row.id });
  }

  #detail(row: Row): TemplateResult {
    const branch = this.branches.find(({ id }) => id === row.branchId);
    const first = this.rows.find((one) => one.sessionId === row.sessionId) ?? row;
    const asking = this.rows.find((one) => one.sessionId === row.sessionId && one.permission)?.permission ?? null;
    const active = this.rows.find(
      (one) => one.sessionId === row.sessionId && (one.state === 'running' || one.state === 'starting'),
    );
    return html`<section class="detail" aria-label="Conversation: ${visible(first.title)}">
      <div class="toolbar">
        ${iconButton('arrow-left', 'Back to the timeline', () => {
          this.#show(undefined);
          void this.updateComplete.then(() => this.#focusRow(row.id));
        })}
        <h1 title=${visible(first.title)}>${visible(first.title)}</h1>
        ${active && !this.meta?.readOnly ? iconButton('debug-stop', 'Cancel', () => this.#turn('cancel', active)) : nothing}
        ${row.hasChanges ? iconButton('diff-multiple', 'Open changes of the session', () => this.#ask({ type: 'session', action: 'openChanges', sessionId: row.sessionId })) : nothing}
        ${iconButton('copy', 'Copy as Markdown', () => this.#ask({ type: 'session', action: 'copyMarkdown', sessionId: row.sessionId }, 'Copied'))}
        ${iconButton('go-to-file', 'Open transcript as a document', () => this.#ask({ type: 'session', action: 'openTranscript', sessionId: row.sessionId }))}
      </div>
      <p class="detail-about"><span>${row.branch}</span><span>${row.kind}</span><span>${row.agent}</span><span class="words">${row.words}</span>${statsOf(row)}</p>
      <div class="conversation-scroller" tabindex="-1">
        ${row.state === 'queued' && branch?.words ? provisioningView(branch, this.#preparation) : nothing}
        <branchline-conversation ${ref(this.#conversation)} .sessionId=${row.sessionId} .branchId=${row.branchId} .permission=${asking} .left=${this.#left}></branchline-conversation>
      </div>
      <div class="new-below-place">${this.newBelow ? html`<button type="button" class="new-below" @click=${() => this.#conversation.value?.toEnd()}>${icon('arrow-down')} New below</button>` : nothing}</div>
      ${row.canFollowUp ? this.#composerFor({ type: 'session', sessionId: row.sessionId, title: first.title, branch }) : html`<p class="hint">This conversation is over. Queue a new session to go on; the transcript is kept.</p>`}
    </section>`;
  }
}
customElements.define('branchline-timeline', TimelineElement);
