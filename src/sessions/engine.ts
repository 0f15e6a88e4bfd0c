/**
 * The whole of Branchline without VS Code: the composition that the extension and the tests in plain Node share.
 *
 * One window owns a storage at a time. An engine that finds it owned is a `viewer`: it shows what is there, refuses changes
 * with the reason, and becomes the owner when the first window is gone. Calls that come before an owner has recovered wait
 * for it, in order (requirement 54).
 */
import { existsSync, type FSWatcher, watch } from 'node:fs';
import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Catalog, makeCatalog, shellAgentId } from '../agents/catalog.ts';
import type { AgentSetting } from '../agents/catalog.ts';
import { programsHere } from '../agents/programLookup.ts';
import { type AgentHosts, Hosts, type HostsOptions } from '../agents/hosts.ts';
import { defaultTimeLimits, type PermissionPolicy, type TimeLimits } from '../agentHost/protocol.ts';
import { messageOf, RefusedError } from '../model/errors.ts';
import { type Clock, type IdSource, randomId } from '../model/ids.ts';
import type { TranscriptEntry } from '../model/transcript.ts';
import { acquire, type Exclusive, released } from '../platform/exclusive.ts';
import type { Log } from '../platform/log.ts';
import type { Database } from '../store/database.ts';
import { isDiskTrouble, nodeFileSystem, type StoreFileSystem, storageMessage } from '../store/fileSystem.ts';
import { manifestPath } from '../store/manifest.ts';
import { emptyChange, Projection, type Change } from '../store/projection.ts';
import { recover } from '../store/recovery.ts';
import { Store } from '../store/store.ts';
import { Provisioner, type ProvisionerOptions } from '../worktrees/provisioner.ts';
import { reviewedTip } from '../worktrees/reviewedTip.ts';
import type { WorktreeSettings } from '../worktrees/settings.ts';
import { askForStorage, forgetAll, forgetRequest, isForAnother, meanFor, OwnerDesk } from './handover.ts';
import { BranchRemoval, type BranchRemovalOptions } from './branchRemoval.ts';
import { Dispatcher } from './dispatcher.ts';
import { type RecoveryOptions, TurnRecovery } from './recovery.ts';
import { type Committing, WorkActions } from './workActions.ts';
import { Queue } from './queue.ts';
import { renameRepositories } from './repositoryNames.ts';
import { type QueueSnapshot, queueSnapshot } from './nextTurn.ts';

/** Settings as the engine reads them, anew each time it needs one. */
export interface EngineSettings {
  agents: () => Readonly<Record<string, AgentSetting>>;
  defaultAgent: () => string;
  maxConcurrentTurns: () => number;
  onFailure: () => 'pause' | 'continue';
  /** What a branch does whose agent can't work now. */
  onLimit: () => 'wait' | 'pause';
  worktrees: (repository: string) => WorktreeSettings;
  permissions: () => PermissionPolicy;
  autoReview: () => boolean;
  keepRunning: () => boolean;
  /** Template of commit messages. */
  commitTemplate: () => string;
}

export interface EngineOptions {
  /** Storage folder. */
  folder: string;
  /** Folder of the bundles `agentHost.js` and `shellAgent.js`. */
  programs: string;
  /** Loads what makes databases (`loadSql`). */
  loadDatabase: () => Promise<(image?: Uint8Array) => Database>;
  settings: EngineSettings;
  openFolders: () => string[];
  ownCheckouts: () => string[];
  trusted: () => boolean;
  log: Log;
  /** Told of what a person has to know: damage that was found, a disk that failed. */
  onProblem: (message: string) => void;
  files?: StoreFileSystem;
  /** Of agents; the defaults unless a test can't wait for them. */
  timeLimits?: TimeLimits;
  /** Whether this process's window answers: one that nobody sees hands the queue over to a window that asks. */
  isSeen?: () => Promise<boolean>;
  /** Stand-ins for what is outside (processes, git), so that a test can run thousands of histories. */
  outside?: Outside;
  now?: Clock;
  newId?: IdSource;
}

/** The agent hosts as the engine keeps them. */
export interface EngineHosts extends AgentHosts {
  setPolicy(policy: PermissionPolicy): void;
  dispose(): void;
}

export interface Outside {
  makeHosts: (options: HostsOptions) => EngineHosts;
  steps: NonNullable<ProvisionerOptions['steps']>;
  removeWorktree: NonNullable<BranchRemovalOptions['removeWorktree']>;
  atRisk: NonNullable<BranchRemovalOptions['atRisk']>;
  tipOf: typeof reviewedTip;
  concludeTurn: NonNullable<RecoveryOptions['concludeTurn']>;
  committing: Committing;
}

/** What only an owner has. */
export interface Owner {
  store: Store;
  queue: Queue;
  dispatcher: Dispatcher;
  provisioner: Provisioner;
  hosts: EngineHosts;
  removal: BranchRemoval;
  recovery: TurnRecovery;
  work: WorkActions;
}

/** How long a window that was asked may take to hand the queue over, and how long it then stands back; in milliseconds. */
const takeOverTime = 15_000;
const askAgainTime = 1_500;
const handoverTime = 3_000;
/** How long a window waits for its turns to be found again before it takes orders, in milliseconds. */
const recoveryTime = 2_000;
/** Milliseconds from a change of another window's queue until it is read. */
const refreshTime = 150;
/** How long another window that holds the storage may be on its way out, in milliseconds. */
const closingTime = 400;
/** Longest wait before a storage on a full disk is tried again, in milliseconds. */
const longestWait = 15_000;

type Listener<T> = (value: T) => void;

export class Engine {
  readonly #options: EngineOptions;
  readonly #files: StoreFileSystem;
  readonly #now: Clock;
  readonly #newId: IdSource;
  readonly #changed = new Set<Listener<Change>>();
  readonly #entries = new Set<Listener<{ sessionId: string; entries: readonly TranscriptEntry[] }>>();
  #lock: Exclusive | undefined;
  #desk: OwnerDesk | undefined;
  readonly #windowId: string;
  #owner: Owner | undefined;
  #view: Projection = new Projection();
  #watcher: FSWatcher | undefined;
  #isRefreshing = false;
  #isStale = false;
  readonly #stop = new AbortController();
  #ready: Promise<void> = Promise.resolve();
  readonly #opened = Promise.withResolvers<void>();
  /** True while another window owns the queue, so that it can be taken over here. */
  canTakeOver = false;
  #handing: Promise<void> = Promise.resolve();
  #patience = new AbortController();
  #isTakingOver = false;
  /** Why changes are refused now, or undefined for an owner. */
  readOnlyReason: string | undefined;
  #catalog: { key: string; catalog: Catalog } | undefined;
  /** An agent that is found, or not any more, changes what may start. */
  readonly #programs = programsHere.onDidChange(() => this.reconcile());

  private constructor(options: EngineOptions) {
    this.#options = options;
    this.hasStorage = existsSync(manifestPath(options.folder));
    this.#files = options.files ?? nodeFileSystem;
    this.#now = options.now ?? Date.now;
    this.#newId = options.newId ?? randomId;
    this.#windowId = randomId();
  }

  /** Returns at once; `ready` settles when what is stored can be shown and, for an owner, is recovered. */
  static start(options: EngineOptions): Engine {
    const engine = new Engine(options);
    engine.#ready = engine.#open();
    engine.#ready.catch(() => undefined).finally(() => engine.#opened.resolve());
    return engine;
  }

  get ready(): Promise<void> {
    return this.#ready;
  }
  /** Settles as soon as what is stored can be shown. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  /** Committed state: the owner's, or what a viewer last read. */
  get state(): Projection {
    return this.#owner?.store.state ?? this.#view;
  }
  get isOwner(): boolean {
    return this.#owner !== undefined;
  }
  /** True when an earlier window has stored something here. */
  readonly hasStorage: boolean;
  get folder(): string {
    return this.#options.folder;
  }

  /** What an owner has, once it has recovered. Rejects with RefusedError for a viewer. */
  async owner(): Promise<Owner> {
    await this.#ready;
    if (!this.#owner) throw new RefusedError(this.readOnlyReason ?? 'Branchline is shutting down.');
    return this.#owner;
  }

  /** What an owner has if it has recovered by now. */
  get ownerNow(): Owner | undefined {
    return this.#owner;
  }

  onDidChange(listener: Listener<Change>): { dispose(): void } {
    this.#changed.add(listener);
    return { dispose: () => this.#changed.delete(listener) };
  }
  /** Told of transcript entries as agents write them, when this window runs them. */
  onDidWrite(listener: Listener<{ sessionId: string; entries: readonly TranscriptEntry[] }>): { dispose(): void } {
    this.#entries.add(listener);
    return { dispose: () => this.#entries.delete(listener) };
  }

  get catalog(): Catalog {
    const settings = this.#options.settings.agents();
    const key = JSON.stringify(settings);
    if (this.#catalog?.key !== key) {
      this.#catalog = { key, catalog: makeCatalog(settings, join(this.#options.programs, 'shellAgent.js')) };
    }
    return this.#catalog.catalog;
  }

  /** What decides which turns start and why the others wait; a viewer sees what it can. */
  queueSnapshot(): QueueSnapshot {
    const { settings, trusted } = this.#options;
    return (
      this.#owner?.dispatcher.snapshot() ??
      queueSnapshot(this.state, {
        catalog: this.catalog,
        limit: settings.maxConcurrentTurns(),
        trusted: trusted(),
        inFlight: [],
        now: Date.now(),
      })
    );
  }

  /** Looks again: settings, trust or the outside world may have changed. */
  reconcile(): void {
    this.#owner?.hosts.setPolicy(this.#options.settings.permissions());
    this.#owner?.provisioner.reconcile();
    this.#owner?.dispatcher.reconcile();
    this.#owner?.removal.reconcile();
    this.#emit(emptyChange());
  }

  #emit(change: Change): void {
    for (const listener of this.#changed) {
      try {
        listener(change);
      } catch (error) {
        this.#options.log(`A view failed to follow a change: ${messageOf(error)}`, 'error');
      }
    }
  }

  async #open(): Promise<void> {
    await mkdir(this.#options.folder, { recursive: true, mode: 0o700 });
    const name = `storage:${await realpath(this.#options.folder)}`;
    this.#lock = (await acquire(name)) ?? (await this.#acquireSoon(name));
    if (this.#lock) return this.#ownOrShow(name);
    this.#showOthers(name);
    return this.#refresh();
  }

  /** Another window owns the queue: it is shown, until that window is gone. */
  #showOthers(name: string): void {
    this.canTakeOver = true;
    this.readOnlyReason =
      "Another window has this workspace's queue open, so this one only shows it. Take it over here, use that window, or close it to work here.";
    this.#watch();
    void this.#waitForTurn(name);
    this.askForQueue();
  }

  /** For a window that only shows the queue and that a person looks at: takes it over from one that nobody sees. Returns at once. */
  askForQueue(): void {
    if (this.#owner || this.#stop.signal.aborted || this.#isTakingOver) return; // To insist is more than to ask.
    askForStorage(this.#options.folder, { by: this.#windowId, insists: false }).catch((error: unknown) =>
      this.#options.log(`Asking for the queue: ${messageOf(error)}`),
    );
  }

  /** Takes the queue over from whichever window has it. Rejects with RefusedError when that window does not let go. */
  async takeOver(): Promise<void> {
    const { folder } = this.#options;
    await this.#ready.catch(() => undefined);
    if (this.#owner) return;
    this.#isTakingOver = true;
    try {
      this.#patience.abort();
      const deadline = performance.now() + takeOverTime;
      for (let asked = Number.NEGATIVE_INFINITY; !this.#owner && performance.now() < deadline && !this.#stop.signal.aborted; ) {
        // Another window may ask, too, and the last one who does is heard.
        if (performance.now() - asked > askAgainTime) {
          await askForStorage(folder, { by: this.#windowId, insists: true });
          asked = performance.now();
        }
        await delay(20);
        await this.#ready.catch(() => undefined);
      }
    } finally {
      this.#isTakingOver = false;
    }
    if (this.#owner) return;
    await forgetRequest(folder).catch(() => undefined);
    throw new RefusedError(
      'The other window did not let go of the queue. Close it, or end its extension host (Developer: Restart Extension Host there), then try again.',
    );
  }

  /** What a close does, without the close; the window that asked is there to take it. */
  async #handOver(name: string, windowId: string): Promise<void> {
    this.#desk?.dispose();
    await meanFor(this.#options.folder, windowId).catch(() => undefined);
    this.readOnlyReason = 'The queue is being handed over to another window.';
    this.canTakeOver = true;
    await this.#letGo();
    if (this.#stop.signal.aborted) return;
    this.readOnlyReason =
      "Another window has taken over this workspace's queue, so this one only shows it. Take it over here to work here again.";
    this.#emit(emptyChange());
    this.#watch();
    void this.#waitForTurn(name);
  }

  /** Lets another window take what was let go for it, unless this one is asked for meanwhile. */
  async #standBack(): Promise<void> {
    this.#patience = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, this.#patience.signal]);
    await delay(handoverTime, undefined, { signal, ref: false }).catch(() => undefined);
  }

  /** Where the disk takes nothing, what is stored is shown, and opened as soon as the disk does. */
  async #ownOrShow(name: string): Promise<void> {
    try {
      await this.#own(name);
    } catch (error) {
      if (!isDiskTrouble(error)) throw error;
      this.canTakeOver = false; // Nobody has it.
      this.readOnlyReason = `The queue is only shown for now. ${storageMessage(error)} It opens by itself then.`;
      this.#options.onProblem(this.readOnlyReason);
      await this.#refresh();
      void this.#ownLater(name);
    }
  }

  async #ownLater(name: string): Promise<void> {
    for (let wait = 1_000; ; wait = Math.min(wait * 2, longestWait)) {
      await delay(wait, undefined, { signal: this.#stop.signal, ref: false }).catch(() => undefined);
      if (this.#stop.signal.aborted) return;
      this.#lock = await acquire(name).catch(() => undefined);
      if (!this.#lock) {
        this.#showOthers(name);
        return;
      }
      const opening = this.#own(name);
      try {
        await opening;
        this.#ready = opening;
        return;
      } catch (error) {
        if (!isDiskTrouble(error)) this.#options.onProblem(messageOf(error));
      }
    }
  }

  /** A window that is just closing lets go in a moment, and so does a killed one whose last child is not yet on its own. */
  async #acquireSoon(name: string): Promise<Exclusive | undefined> {
    await released(name, AbortSignal.any([this.#stop.signal, AbortSignal.timeout(closingTime)]));
    return acquire(name);
  }

  /** A viewer becomes the owner when the first window is gone. */
  async #waitForTurn(name: string): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await released(name, this.#stop.signal);
      if (await isForAnother(this.#options.folder, this.#windowId)) await this.#standBack();
      if (this.#stop.signal.aborted) return;
      this.#lock = await acquire(name).catch(() => undefined);
      if (!this.#lock) continue;
      if (this.#stop.signal.aborted) {
        await this.#lock.release();
        this.#lock = undefined;
        return;
      }
      this.#watcher?.close();
      this.#ready = this.#ownOrShow(name);
      await this.#ready.catch((error) => this.#options.onProblem(messageOf(error)));
      return;
    }
  }

  async #own(name: string): Promise<void> {
    const { folder, loadDatabase, onProblem } = this.#options;
    let store: Store | undefined;
    try {
      store = await Store.open({
        files: this.#files,
        folder,
        makeDatabase: await loadDatabase(),
        owner: this.#newId(),
        now: this.#now,
        onProblem,
      });
      await renameRepositories(store);
      await this.#recoverAsOwner(store, name);
    } catch (error) {
      await store?.close();
      this.readOnlyReason = messageOf(error);
      await this.#lock?.release();
      this.#lock = undefined;
      throw error;
    }
  }

  async #recoverAsOwner(store: Store, name: string): Promise<void> {
    const { folder, settings, log, onProblem, programs, trusted } = this.#options;
    const now = this.#now;
    const newId = this.#newId;
    this.#view = store.state;
    this.#opened.resolve();
    const { outside } = this.#options;
    const hostsOptions: HostsOptions = {
      folder: join(folder, 'hosts'),
      program: join(programs, 'agentHost.js'),
      epoch: store.epoch,
      newId,
      log,
      events: {
        onStatus: (client, status) => dispatcher.follow(client, status),
        onEntries: (sessionId, entries) => {
          for (const listener of this.#entries) listener({ sessionId, entries });
        },
        onClosed: (client) => dispatcher.lost(client),
      },
    };
    const hosts = outside?.makeHosts(hostsOptions) ?? new Hosts(hostsOptions);
    const endings = {
      store,
      hosts,
      folder,
      now,
      newId,
      log,
      commitTemplate: settings.commitTemplate,
      onFailure: settings.onFailure,
      onLimit: settings.onLimit,
      autoReview: settings.autoReview,
      canReview: (agent: string) => agent !== shellAgentId,
    };
    const recovery = new TurnRecovery({
      ...endings,
      applyStatus: (client, status) => dispatcher.applyStatus(client, status),
      ...(outside ? { concludeTurn: outside.concludeTurn } : {}),
    });
    const dispatcher = new Dispatcher({
      ...endings,
      recovery,
      onProblem,
      trusted,
      tipOf: outside?.tipOf ?? reviewedTip,
      catalog: () => this.catalog,
      maxConcurrentTurns: settings.maxConcurrentTurns,
      permissions: settings.permissions,
      keepRunning: settings.keepRunning,
      timeLimits: this.#options.timeLimits ?? defaultTimeLimits,
    });
    const provisioner = new Provisioner({
      store,
      logs: join(folder, 'logs'),
      now,
      log,
      trusted,
      settings: settings.worktrees,
      ownCheckouts: this.#options.ownCheckouts,
      failHead: (tx, branchId, message) => dispatcher.failHead(tx, branchId, message),
      ...(outside ? { steps: outside.steps } : {}),
    });
    const queue = new Queue({
      store,
      files: this.#files,
      folder,
      newId,
      now,
      openFolders: this.#options.openFolders,
      defaultAgent: settings.defaultAgent,
      agents: () => this.catalog.all().map(({ id }) => id),
    });
    const removal = new BranchRemoval({
      store,
      queue,
      hosts,
      provisioner,
      now,
      log,
      ...(outside ? { removeWorktree: outside.removeWorktree, atRisk: outside.atRisk } : {}),
    });
    store.onDidChange((change) => {
      provisioner.reconcile();
      dispatcher.reconcile();
      this.#emit(change);
    });
    // Most is known in a moment; what a host keeps back for longer holds up its own branch alone.
    await Promise.race([
      recovery.recoverAll(),
      delay(recoveryTime, undefined, { signal: this.#stop.signal, ref: false }).catch(() => undefined),
    ]);
    if (this.#stop.signal.aborted) {
      await store.close();
      return;
    }
    const work = new WorkActions({
      store,
      queue,
      commitTemplate: settings.commitTemplate,
      log,
      ...(outside ? { committing: outside.committing } : {}),
    });
    await forgetAll(folder).catch(() => undefined); // What was asked of the owner before us.
    this.#desk = new OwnerDesk({
      folder,
      windowId: this.#windowId,
      isSeen: this.#options.isSeen ?? (() => Promise.resolve(true)),
      handOver: (windowId) => {
        this.#handing = this.#handOver(name, windowId);
      },
    });
    this.#owner = { store, queue, dispatcher, provisioner, hosts, removal, recovery, work };
    this.readOnlyReason = undefined;
    this.canTakeOver = false;
    this.reconcile();
  }

  async #refresh(): Promise<void> {
    try {
      const { database } = await recover(this.#files, this.#options.folder, await this.#options.loadDatabase());
      const view = new Projection();
      view.load({
        branch: database.all('branch'),
        session: database.all('session'),
        turn: database.all('turn'),
        agentWait: database.all('agentWait'),
      });
      database.close();
      if (this.#owner) return; // It became ours meanwhile.
      this.#view = view;
      this.#emit(emptyChange());
    } catch (error) {
      this.#options.log(`Reading the other window's queue: ${messageOf(error)}`); // It was being written; the next change reads it again.
    }
  }

  /** One reading at a time, and the next one no sooner than that one took: what is read may be large. */
  #refreshSoon(): void {
    this.#isStale = true;
    if (this.#isRefreshing) return;
    this.#isRefreshing = true;
    const rest = (time: number) => delay(time, undefined, { signal: this.#stop.signal, ref: false }).catch(() => undefined);
    void (async () => {
      while (this.#isStale && !this.#owner && !this.#stop.signal.aborted) {
        await rest(refreshTime);
        this.#isStale = false;
        const start = performance.now();
        await this.#refresh();
        await rest(performance.now() - start);
      }
      this.#isRefreshing = false;
    })();
  }

  #watch(): void {
    try {
      this.#watcher = watch(this.#options.folder, () => this.#refreshSoon());
      this.#watcher.on('error', () => undefined);
    } catch (error) {
      this.#options.log(`Following the other window's queue: ${messageOf(error)}`);
    }
  }

  /** Lets go of everything; turns go on in their agent hosts. */
  async dispose(): Promise<void> {
    this.#stop.abort();
    this.#programs.dispose();
    this.#watcher?.close();
    await this.#ready.catch(() => undefined);
    await this.#handing;
    await this.#letGo();
  }

  /** Ends what an owner does. Calls that are under way are answered: accepted, or refused. */
  async #letGo(): Promise<void> {
    const owner = this.#owner;
    this.#desk?.dispose();
    this.#owner = undefined;
    if (owner) {
      owner.dispatcher.dispose();
      owner.recovery.dispose();
      owner.removal.dispose();
      await owner.provisioner.dispose();
      owner.hosts.dispose();
    }
    try {
      await owner?.store.close();
    } finally {
      await this.#lock?.release();
      this.#lock = undefined;
    }
  }
}
