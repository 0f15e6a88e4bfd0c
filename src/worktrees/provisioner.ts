/**
 * Makes worktrees ready, step by step, in the background. A level-triggered reconciler: it looks at the store, asks
 * `nextStep`, does it, writes the result. Calling `reconcile` once too often does nothing, once too rarely loses nothing.
 *
 * Work on one branch is serialised; of one repository, one branch at a time talks to git (they contend for its locks), also
 * where several windows have it open; and a few repositories beside each other (requirement 46). Copying and setup run beside each other.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Mutex, Semaphore } from 'async-mutex';
import { isMissingProgram } from '../git/git.ts';
import { LostBranchError, messageOf, StorageError, WorktreeError } from '../model/errors.ts';
import { worktreeTransition } from '../model/transitions.ts';
import type { Branch, ProvisioningStep } from '../model/types.ts';
import { Backoff } from '../platform/backoff.ts';
import { claim, repositoryClaim, worktreeClaim } from '../platform/claims.ts';
import { isMounted } from '../platform/mounts.ts';
import type { Exclusive } from '../platform/exclusive.ts';
import type { Log } from '../platform/log.ts';
import type { Store, Transaction } from '../store/store.ts';
import { nextStep, stepAfter } from './nextStep.ts';
import type { WorktreeSettings } from './settings.ts';
import { copyFiles } from './steps/copyFiles.ts';
import { createWorktree } from './steps/createWorktree.ts';
import { resolveBase } from './steps/resolveBase.ts';
import { runBackgroundSetup, runSetup } from './steps/runSetup.ts';
import type { Step } from './steps/step.ts';

export interface ProvisionerOptions {
  store: Store;
  /** Folder for the output of setup commands. */
  logs: string;
  now: () => number;
  settings: (repository: string) => WorktreeSettings;
  ownCheckouts: () => string[];
  /** False in an untrusted workspace: nothing of the repository runs. */
  trusted: () => boolean;
  log: Log;
  /** Ends the turn at the head of a branch's line, which can't run any more. Part of the transaction that says why. */
  failHead: (tx: Transaction, branchId: string, message: string) => void;
  /** What the steps do; a parameter, so that a test can run histories without git. */
  steps?: Readonly<Record<ProvisioningStep, Step>>;
}

const repositoriesBesideEachOther = 3;

const realSteps: Readonly<Record<ProvisioningStep, Step>> = { resolveBase, createWorktree, copyFiles, runSetup };
const gitSteps: ReadonlySet<ProvisioningStep> = new Set(['resolveBase', 'createWorktree']);
/** Milliseconds between two looks for a disk that is away. */
const diskTime = 5_000;

/** Steps that a person stops end with this. */
class Stopped extends Error {
  override message = 'Stopped. "Retry Provisioning" goes on with this step.';
}

export class Provisioner {
  readonly #options: ProvisionerOptions;
  readonly #work = new Map<string, { done: Promise<void>; stop: AbortController }>();
  readonly #background = new Map<string, AbortController>();
  readonly #repositories = new Map<string, Mutex>();
  readonly #several = new Semaphore(repositoriesBesideEachOther);
  readonly #again = new Backoff(() => this.reconcile());
  #disk: NodeJS.Timeout | undefined;
  #disposed = false;

  constructor(options: ProvisionerOptions) {
    this.#options = options;
  }

  /** Looks at every branch and starts what is to be done. Returns at once. */
  reconcile(): void {
    const { store, trusted } = this.#options;
    if (this.#disposed || !trusted() || store.mode !== 'open') return;
    for (const branch of store.state.branches()) this.#look(branch);
  }

  #look(branch: Branch): void {
    if (branch.worktreeState === 'ready') this.#lookAtBackground(branch);
    if (branch.worktreeState === 'unreachable') this.#lookForDisk(branch);
    if (this.#work.has(branch.id) || !nextStep(branch)) return;
    // Nothing waits for it: a branch whose turns were all removed is not made for nobody.
    if (branch.worktreeState !== 'provisioning' && this.#options.store.state.line(branch.id).length === 0) return;
    const stop = new AbortController();
    const done = this.#provision(branch.id, stop.signal)
      .finally(() => this.#work.delete(branch.id))
      .then(
        () => {
          this.#again.succeeded();
          this.reconcile();
        },
        (error) => this.#failed(`Provisioning ${branch.name}`, error),
      );
    this.#work.set(branch.id, { done, stop });
  }

  /** What a step found could not be written; it runs again when it can. */
  #failed(doing: string, error: unknown): void {
    this.#options.log(`${doing}: ${messageOf(error)}`, 'error');
    if (!this.#disposed) this.#again.failed();
  }

  async #provision(branchId: string, signal: AbortSignal): Promise<void> {
    const held = { release: undefined as (() => void) | undefined };
    try {
      for (;;) {
        const branch = this.#options.store.state.branch(branchId);
        const step = branch && nextStep(branch);
        if (!branch || !step) return;
        if (signal.aborted) return await this.#stoppedBefore(branch, step, signal);
        if (gitSteps.has(step) && !held.release) {
          held.release = await this.#takeRepository(branch.repository, signal);
          continue; // Things may have changed while it waited its turn.
        }
        if (!gitSteps.has(step)) {
          held.release?.();
          held.release = undefined;
        }
        if (!(await this.#run(branch, step, signal))) return;
      }
    } finally {
      held.release?.();
    }
  }

  /** A person stopped it while it waited for its turn: it shows as stopped at the step that it waited for. */
  async #stoppedBefore(branch: Branch, step: ProvisioningStep, signal: AbortSignal): Promise<void> {
    if (!(signal.reason instanceof Stopped)) return;
    if (branch.worktreeState !== 'provisioning')
      await this.#change(branch.id, (row) => ({
        worktreeState: worktreeTransition(row.worktreeState, 'provisioning'),
        worktreeStep: step,
      }));
    await this.#fail(branch.id, step, step, signal.reason);
  }

  /** Other windows may work on the same repository from storages of their own, so it is taken from them, too. Undefined when it was stopped meanwhile. */
  async #takeRepository(repository: string, signal: AbortSignal): Promise<(() => void) | undefined> {
    let mutex = this.#repositories.get(repository);
    if (!mutex) {
      mutex = new Mutex();
      this.#repositories.set(repository, mutex);
    }
    const releaseOne = await unlessAborted(mutex.acquire(), signal);
    const releaseSeveral =
      releaseOne &&
      (await unlessAborted(
        this.#several.acquire().then(([, release]) => release),
        signal,
      ));
    const taken = releaseSeveral && (await claim(repositoryClaim(repository), signal).catch(() => undefined));
    const release = () => {
      void taken?.release();
      releaseSeveral?.();
      releaseOne?.();
    };
    if (taken) return release;
    release();
    return undefined;
  }

  /** Runs one step and writes its result; false when the branch is not to be gone on with. */
  async #run(branch: Branch, step: ProvisioningStep, signal: AbortSignal): Promise<boolean> {
    const { ownCheckouts, settings, now } = this.#options;
    if (branch.worktreeState !== 'provisioning' || branch.worktreeStep !== step) {
      const entered = await this.#change(
        branch.id,
        (row) => ({
          worktreeState: worktreeTransition(row.worktreeState, 'provisioning'),
          worktreeStep: step,
          worktreeError: null,
          changedAt: now(),
        }),
        `worktree:${step}`,
      );
      if (!entered) return false;
    }
    const gone = branch.worktreePath !== null && !gitSteps.has(step) && !existsSync(branch.worktreePath);
    const away = branch.worktreePath !== null && !isMounted(branch.preparation?.mount ?? null);
    let held: Exclusive | undefined;
    try {
      signal.throwIfAborted();
      if (away) throw new WorktreeError(`The disk of ${branch.worktreePath} is not there now. Connect it, then retry.`);
      if (gone) throw new Error(`The folder ${branch.worktreePath} is gone. Retry to make it again.`);
      const patch = await (this.#options.steps ?? realSteps)[step]({
        branch,
        signal,
        settings: settings(branch.repository),
        ownCheckouts: ownCheckouts(),
        hasRun: this.#hasRun(branch.id),
        names: this.#otherNames(branch),
        claim: async () => {
          held ??= await claim(worktreeClaim(branch.worktreePath as string), signal, () =>
            this.#options.log(`Preparing ${branch.name} waits: something else writes in its worktree.`),
          );
          signal.throwIfAborted();
        },
        log: this.logOf(branch.id),
        save: (part) => this.#options.store.commit((tx) => tx.update('branch', branch.id, part)),
      });
      signal.throwIfAborted();
      const next = stepAfter(step);
      await this.#change(
        branch.id,
        (row) => ({
          ...patch,
          worktreeState: worktreeTransition(row.worktreeState, next ? 'provisioning' : 'ready'),
          worktreeStep: next ?? null,
          changedAt: now(),
        }),
        next ? `worktree:${next}` : 'worktree:ready',
      );
      return next !== undefined;
    } catch (error) {
      if (error instanceof StorageError) throw error; // The step did not fail: its result could not be written, and it runs again.
      if (signal.aborted && !(signal.reason instanceof Stopped)) return false; // Shutting down: it goes on at the next start.
      await this.#fail(branch.id, step, gone ? 'createWorktree' : step, signal.aborted ? signal.reason : error);
      return false;
    } finally {
      await held?.release();
    }
  }

  #otherNames(branch: Branch): ReadonlySet<string> {
    const names = new Set<string>();
    for (const other of this.#options.store.state.branches())
      if (other.repository === branch.repository && other.id !== branch.id) names.add(other.name.toLowerCase());
    return names;
  }

  /** A worktree whose disk was away is ready again when it is back, or missing when it is not on it any more. */
  #lookForDisk(branch: Branch): void {
    if (!isMounted(branch.preparation?.mount ?? null)) {
      this.#disk ??= setTimeout(() => {
        this.#disk = undefined;
        this.reconcile();
      }, diskTime).unref();
      return;
    }
    const state = branch.worktreePath !== null && existsSync(branch.worktreePath) ? 'ready' : 'missing';
    this.#change(
      branch.id,
      (row) => ({
        worktreeState: row.worktreeState === 'unreachable' ? worktreeTransition(row.worktreeState, state) : row.worktreeState,
        changedAt: this.#options.now(),
      }),
      `worktree:${state}`,
    ).catch((error) => this.#failed(`Looking for the disk of ${branch.name}`, error));
  }

  #hasRun(branchId: string): boolean {
    const { state } = this.#options.store;
    return state
      .sessionsOf(branchId)
      .some((session) => !session.closed && state.turnsOf(session.id).some((turn) => turn.startSha !== null));
  }

  async #fail(branchId: string, step: ProvisioningStep, resumeAt: ProvisioningStep, error: unknown): Promise<void> {
    const message = isMissingProgram(error)
      ? 'git was not found. Install git, or mend PATH, and retry.'
      : messageOf(error).trim();
    this.#options.log(`Provisioning failed at ${step}: ${message}`, 'warn');
    await this.#change(
      branchId,
      (row) => ({
        worktreeState: worktreeTransition(row.worktreeState, 'failed'),
        worktreeStep: resumeAt,
        worktreeError: { message, step },
        unread: true,
        changedAt: this.#options.now(),
      }),
      'worktree:failed',
      error instanceof LostBranchError ? message : undefined,
    );
  }

  /** False when the branch was taken away, or is being removed: its state is not the provisioner's to write any more. */
  #change(branchId: string, patch: (row: Branch) => Partial<Branch>, event?: string, headFails?: string): Promise<boolean> {
    return this.#options.store.commit((tx: Transaction) => {
      const row = tx.get('branch', branchId);
      if (!row || row.worktreeState === 'removing' || row.worktreeState === 'removed') return false;
      tx.update('branch', branchId, patch(row));
      if (event) tx.event(event, branchId);
      if (headFails) this.#options.failHead(tx, branchId, headFails);
      return true;
    });
  }

  /** Setup that nothing waits for: it runs while the branch is in use, and again after a restart that cut it short. */
  #lookAtBackground(branch: Branch): void {
    if (branch.backgroundSetup !== 'pending' && branch.backgroundSetup !== 'running') return;
    if (this.#background.has(branch.id)) return;
    const stop = new AbortController();
    this.#background.set(branch.id, stop);
    const run = async () => {
      await this.#change(branch.id, () => ({ backgroundSetup: 'running' }));
      try {
        await runBackgroundSetup(branch, this.#options.settings(branch.repository).setup, this.logOf(branch.id), stop.signal);
        await this.#change(branch.id, () => ({ backgroundSetup: 'done' }));
      } catch (error) {
        if (stop.signal.aborted) return;
        await this.#change(branch.id, () => ({
          backgroundSetup: 'failed',
          worktreeError: { message: messageOf(error), step: 'runSetup' },
          unread: true,
        }));
      }
    };
    run()
      .finally(() => this.#background.delete(branch.id))
      .catch((error) => this.#failed(`Setup of ${branch.name}`, error));
  }

  /** Where the output of a branch's setup commands goes. */
  logOf(branchId: string): string {
    return join(this.#options.logs, `${branchId}.log`);
  }

  /** Ends the step under way; it shows as failed and can be retried. */
  async stop(branchId: string): Promise<void> {
    const work = this.#work.get(branchId);
    work?.stop.abort(new Stopped());
    await work?.done;
  }

  /** True while a step of the branch is under way. */
  isAtWork(branchId: string): boolean {
    return this.#work.has(branchId);
  }

  /** Ends everything that runs for a branch, so that it can be removed. */
  async settle(branchId: string): Promise<void> {
    this.#background.get(branchId)?.abort();
    await this.stop(branchId);
  }

  /** Ends the steps under way without a trace: they go on at the next start. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    clearTimeout(this.#disk);
    this.#again.dispose();
    for (const stop of this.#background.values()) stop.abort();
    for (const { stop } of this.#work.values()) stop.abort();
    await Promise.allSettled([...this.#work.values()].map(({ done }) => done));
  }
}

/** What is waited for, or undefined as soon as the signal comes; what comes after that is released at once. */
async function unlessAborted(waiting: Promise<() => void>, signal: AbortSignal): Promise<(() => void) | undefined> {
  const aborted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  const release = await Promise.race([waiting, aborted]);
  if (!release) void waiting.then((late) => late());
  return release;
}
