/** The host side of one timeline page: sends what its scope shows, does what it asks for. Sends a hidden page nothing. */
import * as vscode from 'vscode';
import { messageOf, RefusedError } from '../model/errors.ts';
import type { OpenRepositories } from '../openRepositories.ts';
import { Batch } from '../platform/batch.ts';
import type { Engine } from '../sessions/engine.ts';
import { ConversationFeed } from './conversationFeed.ts';
import type { Drafts } from './drafts.ts';
import { type Model, modelOf } from './model.ts';
import { firstScope, type Row, type Scope, timelineVersion, type ToHost, toHostSchema, type ToView } from './protocol.ts';
import { answer, type RequestContext } from './requests.ts';
import { RowStatsCache } from './rowStats.ts';
import { searchTranscripts } from './search.ts';

const batchTime = 50;

export interface TimelineHostOptions {
  engine: Engine | undefined;
  repositories: OpenRepositories;
  /** Empty where nobody has chosen yet. */
  chosenAgent: () => string;
  /** A person has queued for this agent. */
  onChose: (agent: string) => void;
  drafts: Drafts | undefined;
  log: (message: string) => void;
  requests: Pick<RequestContext, 'changes' | 'transcripts' | 'openInEditor'>;
}

export class TimelineHost implements vscode.Disposable {
  readonly #webview: vscode.Webview;
  readonly #options: TimelineHostOptions;
  readonly #feed: ConversationFeed | undefined;
  readonly #stats: RowStatsCache | undefined;
  readonly #disposables: { dispose(): void }[] = [];
  readonly #undo = new Map<number, () => Promise<void>>();
  #scope: Scope = firstScope;
  #isReady = false;
  #visible = true;
  #number = 0;
  #sent:
    | { rows: Map<string, string>; order: string; branches: Map<string, string>; branchOrder: string; meta: string }
    | undefined;
  readonly #pushing = new Batch(batchTime, () => this.#push());
  #found: ReadonlySet<string> = new Set();
  #search = new AbortController();
  #waitingReveal: ToView | undefined;

  constructor(webview: vscode.Webview, options: TimelineHostOptions) {
    this.#webview = webview;
    this.#options = options;
    const { engine } = options;
    this.#disposables.push(
      webview.onDidReceiveMessage((message: unknown) => this.#receive(message)),
      options.repositories.onDidChange(() => this.#pushing.schedule()),
    );
    if (!engine) return;
    this.#feed = new ConversationFeed(engine, (message) => this.#send(message));
    this.#stats = new RowStatsCache(
      engine.folder,
      (turn) => engine.state.branch(turn.branchId)?.repository,
      () => this.#pushing.schedule(),
    );
    this.#disposables.push(
      this.#feed,
      engine.onDidChange(() => {
        this.#feed?.refresh();
        this.#pushing.schedule();
      }),
    );
    void engine.opened.then(() => this.#pushing.schedule());
  }

  /** A page that is shown again has been made anew: it says `ready` itself. */
  setVisible(visible: boolean): void {
    this.#visible = visible;
    if (!visible) this.#isReady = false;
  }

  reveal(target: { branchId?: string | undefined; turnId?: string | undefined; compose?: boolean; edit?: boolean }): void {
    const message: ToView = {
      type: 'reveal',
      branchId: target.branchId ?? null,
      turnId: target.turnId ?? null,
      compose: target.compose ?? false,
      edit: target.edit ?? false,
    };
    if (this.#isReady) this.#send(message);
    else this.#waitingReveal = message;
  }

  #send(message: ToView): void {
    if (this.#visible && this.#isReady) void this.#webview.postMessage(message);
  }

  #receive(raw: unknown): void {
    const parsed = toHostSchema.safeParse(raw);
    if (!parsed.success) {
      this.#options.log(`The timeline said something that is not understood: ${parsed.error.message}`);
      return;
    }
    const message = parsed.data;
    switch (message.type) {
      case 'ready':
        this.#isReady = message.version === timelineVersion;
        this.#visible = true;
        this.#setScope(message.scope);
        return;
      case 'resync':
        this.#sent = undefined;
        this.#push();
        return;
      case 'scope':
        this.#setScope(message.scope);
        return;
      case 'open':
        void this.#feed
          ?.open(message.sessionId, message.earlier)
          .catch((error) => this.#options.log(`Reading a transcript: ${messageOf(error)}`));
        return;
      case 'close':
        this.#feed?.close();
        return;
      case 'draftFiles':
        this.#options.drafts?.setFiles(message.key, message.files);
        return;
      case 'seen':
        void this.#options.engine?.ownerNow?.queue.markSeen(message).catch(() => undefined); // The mark stays; nothing is lost.
        return;
      default:
        void this.#answer(message);
    }
  }

  async #answer(message: Extract<ToHost, { requestId: number }>): Promise<void> {
    const { engine, requests } = this.#options;
    const result = { type: 'result' as const, requestId: message.requestId };
    try {
      if (message.type !== 'command' && !engine) throw new RefusedError('Open a folder that is a git repository first.');
      const value = await answer(message, {
        ...requests,
        engine: engine as Engine,
        undo: this.#undo,
        drafts: this.#options.drafts,
      });
      if (message.type === 'enqueue' && !('sessionId' in message.target)) this.#options.onChose(message.agent);
      this.#send({ ...result, error: null, value: value ?? null });
    } catch (error) {
      this.#send({ ...result, error: messageOf(error), value: null });
    }
  }

  #setScope(scope: Scope): void {
    const { engine } = this.#options;
    const queryChanged = scope.query !== this.#scope.query;
    this.#scope = scope;
    this.#sent = undefined;
    if (queryChanged) {
      this.#search.abort();
      this.#search = new AbortController();
      this.#found = new Set();
      if (engine && scope.query.trim().length >= 2) {
        void searchTranscripts(
          engine.folder,
          Array.from(engine.state.sessions(), ({ id }) => id),
          scope.query,
          this.#search.signal,
          (found) => {
            this.#found = found;
            this.#pushing.schedule();
          },
        );
      }
    }
    this.#push();
    if (this.#waitingReveal) this.#send(this.#waitingReveal);
    this.#waitingReveal = undefined;
  }

  #model(): Model {
    const { engine, chosenAgent } = this.#options;
    if (!engine) {
      return {
        branches: [],
        rows: [],
        meta: {
          agents: [],
          waitingAgents: [],
          defaultAgent: '',
          trusted: vscode.workspace.isTrusted,
          readOnly: null,
          canTakeOver: false,
          hasRepository: this.#options.repositories.found,
          history: [],
          moreEnded: 0,
          moreQueued: 0,
        },
      };
    }
    return modelOf(this.#scope, {
      state: engine.state,
      queue: engine.queueSnapshot(),
      catalog: engine.catalog,
      defaultAgent: chosenAgent(),
      now: Date.now(),
      readOnly: engine.readOnlyReason ?? null,
      canTakeOver: engine.canTakeOver,
      hasRepository: this.#options.repositories.found,
      found: this.#found,
      stats: (turn) => this.#stats?.of(turn),
    });
  }

  /** Sends a snapshot, or what has changed since the last message. */
  #push(): void {
    if (!this.#isReady || !this.#visible) return;
    const model = this.#model();
    const before = this.#sent;
    const now = {
      rows: new Map(model.rows.map((row) => [row.id, JSON.stringify(row)])),
      order: model.rows.map((row) => row.id).join(),
      branches: new Map(model.branches.map((branch) => [branch.id, JSON.stringify(branch)])),
      branchOrder: model.branches.map((branch) => branch.id).join(),
      meta: JSON.stringify(model.meta),
    };
    this.#sent = now;
    if (!before) {
      this.#number += 1;
      const drafts = { ...this.#options.drafts?.all };
      this.#send({ type: 'snapshot', version: timelineVersion, number: this.#number, scope: this.#scope, ...model, drafts });
      return;
    }
    const rows = model.rows.filter((row: Row) => before.rows.get(row.id) !== now.rows.get(row.id));
    const branches = model.branches.filter((branch) => before.branches.get(branch.id) !== now.branches.get(branch.id));
    const metaChanged = before.meta !== now.meta;
    if (
      rows.length === 0 &&
      branches.length === 0 &&
      !metaChanged &&
      before.order === now.order &&
      before.branchOrder === now.branchOrder
    )
      return;
    this.#number += 1;
    this.#send({
      type: 'delta',
      number: this.#number,
      rows,
      branches,
      order: model.rows.map((row) => row.id),
      branchOrder: model.branches.map((branch) => branch.id),
      ...(metaChanged ? { meta: model.meta } : {}),
    });
  }

  dispose(): void {
    this.#pushing.dispose();
    this.#search.abort();
    for (const one of this.#disposables) one.dispose();
  }
}
