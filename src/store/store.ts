/**
 * The durable state of Branchline: one writer, committed reads.
 *
 * A commit goes: BEGIN, apply in memory (a refused change rolls back and writes nothing), append the record, sync,
 * check that the storage is still ours, COMMIT, acknowledge. Commits that arrive while a sync is under way share the
 * next batch and its sync. Readers see `state`, which changes only after a batch is durable.
 *
 * States of the store: `open` -> `readOnly` (a failed append could not be taken back, or another owner took over) or
 * `closed`. Only `open` accepts commits.
 */
import { join } from 'node:path';
import { messageOf, StorageError } from '../model/errors.ts';
import type { Database } from './database.ts';
import { type StoreFileSystem, storageMessage, syncFiles } from './fileSystem.ts';
import { type Generation, writeGeneration } from './generations.ts';
import { Journal, journalName } from './journal.ts';
import { manifestFormat, manifestPath, readManifest, writeManifest } from './manifest.ts';
import { schemaVersion } from './migrations/index.ts';
import { type Change, emptyChange, Projection } from './projection.ts';
import { encodeRecord, journalFormat } from './record.ts';
import { type Recovered, recover } from './recovery.ts';
import { keepReserve, withReserve } from './reserve.ts';
import { type Mutation, type TableName, type Tables, type Value, withoutFallbacks } from './schema.ts';

/** What a change may do, inside its transaction. Reads see the changes made so far. */
export interface Transaction {
  get<T extends Exclude<TableName, 'event'>>(table: T, id: string): Tables[T] | undefined;
  select<T extends TableName>(table: T, where: string, values: Value[]): Tables[T][];
  insert<T extends TableName>(table: T, row: Tables[T]): void;
  update<T extends TableName>(table: T, id: string, patch: Partial<Tables[T]>): void;
  remove(table: TableName, id: string): void;
  /** Records a step in the life of a turn or worktree (requirement 15); returns its number, higher than all before. */
  event(kind: string, branchId: string, turnId?: string): number;
  /** The number that the next event will have. */
  nextEvent(): number;
}

export interface StoreOptions {
  files: StoreFileSystem;
  folder: string;
  makeDatabase: (image?: Uint8Array) => Database;
  /** Names this owner in the manifest. */
  owner: string;
  now: () => number;
  /** Told once of each thing that was damaged or went wrong in the background. */
  onProblem: (message: string) => void;
}

interface Waiting {
  change: (tx: Transaction) => unknown;
  essential: boolean;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

const checkpointRecords = 500;
const checkpointBytes = 256 * 1024;
const idleCheckpointDelay = 30_000;
const eventsKept = 5_000;

export class Store {
  readonly state: Projection;
  readonly #options: StoreOptions;
  readonly #database: Database;
  readonly #listeners = new Set<(change: Change) => void>();
  #journal: Journal;
  #mode: 'open' | 'readOnly' | 'closed' = 'open';
  #why = '';
  #seq: number;
  #batch: number;
  #eventId: number;
  #epoch: number;
  #identity: string | undefined;
  #generations: Generation[];
  #journals: { number: number; firstSeq: number }[];
  #records = 0;
  #checkpointHasFailed = false;
  #queue: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #idle: NodeJS.Timeout | undefined;
  #isClosing = false;
  /** Incremented with each announced change; a reader that missed one can tell. */
  version = 0;

  private constructor(
    options: StoreOptions,
    parts: {
      state: Projection;
      database: Database;
      journal: Journal;
      seq: number;
      batch: number;
      epoch: number;
      generations: Generation[];
      journals: { number: number; firstSeq: number }[];
      records: number;
    },
  ) {
    this.#options = options;
    this.#database = parts.database;
    this.#journal = parts.journal;
    this.#seq = parts.seq;
    this.#batch = parts.batch;
    this.#epoch = parts.epoch;
    this.#generations = parts.generations;
    this.#journals = parts.journals;
    this.#records = parts.records;
    this.#identity = options.files.identity(manifestPath(options.folder));
    this.state = parts.state;
    this.#eventId = Number(this.#database.select('event', '1 ORDER BY id DESC LIMIT 1')[0]?.id ?? 0);
  }

  /**
   * Opens the storage as its owner; the caller holds the lock of the folder. The epoch is raised before anything is
   * read, so an older owner that still runs can acknowledge nothing that this one does not see.
   */
  static async open(options: StoreOptions): Promise<Store> {
    const { files, folder } = options;
    await files.makeFolder(folder);
    const manifest = await readManifest(files, folder);
    const known = typeof manifest === 'object' ? manifest : undefined;
    if (known && (known.format > manifestFormat || known.schema > schemaVersion)) {
      throw new StorageError(
        'This workspace was last used with a newer version of Branchline. Update the extension to open its queue; nothing was changed.',
      );
    }
    if (manifest === 'damaged') {
      await files.rename(manifestPath(folder), `${manifestPath(folder)}.damaged-${options.now()}`);
      options.onProblem('The manifest of the storage was damaged; it was made anew from the other files.');
    }
    const preview = known ? undefined : await recover(files, folder, options.makeDatabase);
    const epoch = (known?.epoch ?? preview?.highestEpoch ?? 0) + 1;
    preview?.database.close();
    await withReserve(options, () =>
      writeManifest(files, folder, { format: manifestFormat, epoch, owner: options.owner, schema: schemaVersion }),
    );

    const found = await recover(files, folder, options.makeDatabase);
    try {
      return await Store.#openFound(options, found, epoch);
    } catch (error) {
      found.database.close(); // It may be tried again and again, on a full disk.
      throw error;
    }
  }

  static async #openFound(options: StoreOptions, found: Recovered, epoch: number): Promise<Store> {
    const { files, folder } = options;
    const schemaBefore = found.database.schemaVersion;
    const number = found.highestJournal + 1;
    const header = { format: journalFormat, schema: schemaVersion, number, epoch, firstSeq: found.seq + 1 };
    found.database.migrate();
    const creating = (async () => {
      // A killed owner may have left a record that only the system's cache holds; what is built on it must not outlast it.
      await syncFiles(
        files,
        found.unsynced.map((name) => join(folder, name)),
      );
      return withReserve(options, () => Journal.create(files, folder, header, found.lastCrc));
    })();
    creating.catch(() => undefined); // It is awaited below.
    const state = new Projection(); // Made while the disk is at work.
    state.load({
      branch: found.database.all('branch'),
      session: found.database.all('session'),
      turn: found.database.all('turn'),
      agentWait: found.database.all('agentWait'),
    });
    const store = new Store(options, {
      state,
      database: found.database,
      journal: await creating,
      seq: found.seq,
      batch: found.batch,
      epoch,
      generations: found.generations,
      journals: [...found.journals, { number, firstSeq: header.firstSeq }],
      records: 0,
    });
    for (const problem of found.problems) options.onProblem(problem);
    if (
      schemaBefore !== schemaVersion ||
      found.damaged.length > 0 ||
      found.replayed > checkpointBytes ||
      found.journals.length > 8
    ) {
      const sound = await store.checkpoint().then(
        () => true,
        (error: unknown) => store.#checkpointFailed(error),
      );
      // Without a sound generation the damaged files are all there is of some records, and are read again at the next start.
      for (const name of sound ? found.damaged : []) {
        const path = join(folder, name);
        await files.rename(path, `${path}.damaged-${options.now()}`).catch(() => undefined);
      }
    }
    await keepReserve(files, folder);
    return store;
  }

  get mode(): 'open' | 'readOnly' | 'closed' {
    return this.#mode;
  }

  /** Raised at each opening of the storage. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Called after each batch, with what it touched. Listeners must not throw. */
  onDidChange(listener: (change: Change) => void): { dispose(): void } {
    this.#listeners.add(listener);
    return { dispose: () => this.#listeners.delete(listener) };
  }

  /**
   * Runs `change` in a transaction and resolves with its result once it is durable. Rejects with what `change` threw
   * (nothing was changed) or with StorageError (nothing was changed, unless it says `outcomeUnknown`). `essential` may use
   * the space kept back for a full disk: cancelling and deleting.
   */
  commit<T>(change: (tx: Transaction) => T, options: { essential?: boolean } = {}): Promise<T> {
    if (this.#isClosing) return Promise.reject(this.#closedError());
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ change, essential: options.essential ?? false, resolve: resolve as (value: unknown) => void, reject });
      this.#writing ??= this.#write();
    });
  }

  async #write(): Promise<void> {
    await Promise.resolve(); // Calls made in one go share the first batch.
    try {
      while (this.#queue.length > 0) {
        await this.#writeBatch(this.#queue.splice(0));
        if (this.#mode === 'open' && (this.#records >= checkpointRecords || this.#journal.length >= checkpointBytes)) {
          await this.#checkpoint().catch((error) => this.#checkpointFailed(error));
        }
      }
    } finally {
      this.#writing = undefined;
      this.#scheduleIdleCheckpoint();
    }
  }

  async #writeBatch(waiting: Waiting[]): Promise<void> {
    if (this.#mode !== 'open') {
      for (const one of waiting) one.reject(this.#closedError());
      return;
    }
    const database = this.#database;
    const applied: { one: Waiting; result: unknown; mutations: Mutation[]; changes: number }[] = [];
    /** Changed nothing, but may have seen what others of the batch changed: answered when that is durable. */
    const unchanged: { one: Waiting; result: unknown }[] = [];
    const eventId = this.#eventId;
    const touched = new Set<unknown>();
    const several = waiting.length > 1; // One alone is taken back by the transaction itself.
    database.begin();
    for (const one of waiting) {
      const mutations: Mutation[] = [];
      const tally = { changes: 0 };
      if (several) database.savepoint();
      const before = this.#eventId;
      try {
        const result = one.change(this.#transaction(mutations, tally, touched));
        if (several) database.release();
        if (mutations.length === 0) unchanged.push({ one, result });
        else applied.push({ one, result, mutations, changes: tally.changes });
      } catch (error) {
        if (several) database.rollbackToSavepoint();
        this.#eventId = before;
        one.reject(error);
      }
    }
    if (applied.length === 0) {
      database.rollback();
      for (const { one, result } of unchanged) one.resolve(result);
      return;
    }
    let crc = this.#journal.lastCrc;
    const lines = applied.map(({ mutations, changes }, index) => {
      const encoded = encodeRecord(
        { seq: this.#seq + 1 + index, batch: this.#batch + 1, index, count: applied.length, mutations, changes },
        crc,
      );
      crc = encoded.crc;
      return encoded.line;
    });
    const failure = await this.#makeDurable(
      Buffer.from(lines.join('')),
      crc,
      applied.some(({ one }) => one.essential),
    );
    if (failure) {
      database.rollback();
      this.#eventId = eventId;
      for (const { one } of [...applied, ...unchanged]) one.reject(failure);
      return;
    }
    database.commit();
    this.#seq += applied.length;
    this.#batch += 1;
    this.#records += applied.length;
    const change = emptyChange();
    for (const { mutations } of applied) this.state.apply(mutations, change);
    for (const { one, result } of [...applied, ...unchanged]) one.resolve(result);
    this.version += 1;
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#options.onProblem(
          `Branchline could not follow a change (${messageOf(error)}). Reload the window; nothing is lost.`,
        );
      }
    }
  }

  /** Returns the error to reject with, or undefined when the lines are durable and the storage is still ours. */
  async #makeDurable(lines: Buffer, crc: string, essential: boolean): Promise<StorageError | undefined> {
    let fenced: boolean;
    try {
      await withReserve(this.#options, () => this.#journal.append(lines, crc), essential);
      fenced = await this.#isFenced();
    } catch (error) {
      try {
        await this.#journal.takeBack();
        return new StorageError(storageMessage(error), { cause: error });
      } catch {
        this.#stop(
          'The disk failed while saving, and the failed part could not be taken back. Reload the window to open the queue again.',
        );
        return new StorageError(`${storageMessage(error)} Whether it was saved is unknown; reload the window to see.`, {
          cause: error,
          outcomeUnknown: true,
        });
      }
    }
    if (fenced) {
      this.#stop("Another window has taken over this workspace's queue.");
      return new StorageError("Another window has taken over this workspace's queue. Your text is kept; send it again there.", {
        outcomeUnknown: true,
      });
    }
    return undefined;
  }

  /** True when another owner has opened the storage since. */
  async #isFenced(): Promise<boolean> {
    const { files, folder, owner } = this.#options;
    const identity = files.identity(manifestPath(folder));
    if (identity === this.#identity) return false;
    const manifest = await readManifest(files, folder);
    if (manifest === 'missing' || manifest === 'damaged') {
      // Somebody removed or broke the file; the storage is still ours. Put it back, so that the next owner sees the epoch.
      await writeManifest(files, folder, { format: manifestFormat, epoch: this.#epoch, owner, schema: schemaVersion });
    } else if (manifest.epoch !== this.#epoch || manifest.owner !== owner) return true;
    this.#identity = files.identity(manifestPath(folder));
    return false;
  }

  #stop(why: string): void {
    this.#mode = 'readOnly';
    this.#why = why;
    this.#options.onProblem(why);
  }

  #closedError(): StorageError {
    return new StorageError(
      this.#mode === 'closed' || this.#isClosing
        ? 'Branchline is shutting down; try again after the window has reloaded.'
        : this.#why,
    );
  }

  /** `touched` has the ids that the batch has changed: all others read the same from committed state, and faster. */
  #transaction(mutations: Mutation[], tally: { changes: number }, touched: Set<unknown>): Transaction {
    const database = this.#database;
    const apply = (mutation: Mutation) => {
      touched.add(mutation[0] === '+' ? mutation[2].id : mutation[2]);
      tally.changes += database.apply(mutation);
      mutations.push(mutation);
    };
    return {
      get: (table, id) => (touched.has(id) ? database.select(table, 'id = ?', [id])[0] : this.state.row(table, id)),
      select: (table, where, values) => database.select(table, where, values),
      insert: (table, row) => apply(['+', table, withoutFallbacks(table, row)]),
      update: (table, id, patch) => apply(['~', table, id, patch as Record<string, unknown>]),
      remove: (table, id) => apply(['-', table, id]),
      event: (kind, branchId, turnId) => {
        this.#eventId += 1;
        const id = this.#eventId;
        const at = this.#options.now();
        apply(['+', 'event', turnId ? { id, at, branchId, turnId, kind } : { id, at, branchId, kind }]);
        return id;
      },
      nextEvent: () => this.#eventId + 1,
    };
  }

  /** Steps in the life of a turn, oldest first; those of long ago may have been dropped. */
  eventsOf(turnId: string): Tables['event'][] {
    return this.#database.select('event', 'turnId = ? ORDER BY id', [turnId]);
  }

  /** The last steps of everything, oldest first. */
  recentEvents(limit: number): Tables['event'][] {
    return this.#database.select('event', '1 ORDER BY id DESC LIMIT ?', [limit]).reverse();
  }

  /** Writes a new generation and starts a new journal; resolves when it is durable. */
  async checkpoint(): Promise<void> {
    while (this.#writing) await this.#writing;
    if (this.#mode !== 'open') return;
    this.#writing = this.#checkpoint().finally(() => {
      this.#writing = undefined;
      if (this.#queue.length > 0) this.#writing = this.#write();
    });
    await this.#writing;
  }

  /** Runs between batches, so no transaction is open and the image holds exactly what the old journals say. */
  async #checkpoint(): Promise<void> {
    const { files, folder } = this.#options;
    if (await this.#isFenced()) {
      this.#stop("Another window has taken over this workspace's queue.");
      return;
    }
    if (this.#eventId > eventsKept * 2) this.#trimEvents();
    const image = this.#database.export();
    const seq = this.#seq;
    const number = this.#journal.number + 1;
    const next = await Journal.create(
      files,
      folder,
      { format: journalFormat, schema: schemaVersion, number, epoch: this.#epoch, firstSeq: seq + 1 },
      this.#journal.lastCrc,
    );
    const previous = this.#journal;
    this.#journal = next;
    this.#journals.push({ number, firstSeq: seq + 1 });
    this.#records = 0;
    await previous.close();
    const generation = await writeGeneration(files, folder, seq, image);
    const kept = [generation, ...this.#generations.filter((one) => one.name !== generation.name)];
    this.#generations = kept.slice(0, 2);
    this.#checkpointHasFailed = false;
    for (const old of kept.slice(2)) await files.remove(join(folder, old.name));
    await this.#dropJournals(this.#generations.at(-1)?.seq ?? 0);
  }

  /** Removes the journals whose records are all in the older of the two generations kept. */
  async #dropJournals(covered: number): Promise<void> {
    const { files, folder } = this.#options;
    if (this.#generations.length < 2) return;
    const kept: { number: number; firstSeq: number }[] = [];
    for (const [index, journal] of this.#journals.entries()) {
      const next = this.#journals[index + 1];
      if (next && next.firstSeq <= covered + 1) await files.remove(join(folder, journalName(journal.number)));
      else kept.push(journal);
    }
    this.#journals = kept;
  }

  /** Old steps are dropped in the image only: a replay of the older generation has them still, which does no harm. */
  #trimEvents(): void {
    this.#database.begin();
    this.#database.apply(['trim', this.#eventId - eventsKept]);
    this.#database.commit();
  }

  /** A full disk fails every checkpoint until it has room; that is told once. */
  #checkpointFailed(error: unknown): false {
    if (!this.#checkpointHasFailed)
      this.#options.onProblem(
        `The saved queue could not be tidied up; nothing is lost, and it will be tried again. ${storageMessage(error)}`,
      );
    this.#checkpointHasFailed = true;
    return false;
  }

  #scheduleIdleCheckpoint(): void {
    clearTimeout(this.#idle);
    if (this.#mode !== 'open' || this.#records === 0) return;
    this.#idle = setTimeout(() => {
      this.checkpoint().catch((error) => this.#checkpointFailed(error));
    }, idleCheckpointDelay);
    this.#idle.unref();
  }

  /** Takes a last checkpoint and lets go of the files. Commits that were under way are finished first; what comes now is refused. */
  async close(): Promise<void> {
    clearTimeout(this.#idle);
    if (this.#mode === 'closed') return;
    this.#isClosing = true;
    while (this.#writing) await this.#writing;
    if (this.#mode === 'open' && this.#records > 0) {
      await this.checkpoint().catch((error) =>
        this.#options.onProblem(`The last checkpoint failed; the journal has everything: ${messageOf(error)}`),
      );
    }
    clearTimeout(this.#idle);
    const isEmpty = this.#mode === 'open' && this.#journal.isEmpty;
    this.#mode = 'closed';
    this.#database.close();
    await this.#journal.close();
    // An opening that changed nothing leaves nothing to be read at the next one.
    if (isEmpty)
      await this.#options.files.remove(join(this.#options.folder, journalName(this.#journal.number))).catch(() => undefined);
  }
}
