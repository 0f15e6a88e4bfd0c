/** Removing a branch from Branchline: its turns, its agents, its worktree. The git branch and the transcripts stay. */
import type { AgentHosts } from '../agents/hosts.ts';
import { messageOf, RefusedError, StorageError } from '../model/errors.ts';
import { isActive, worktreeTransition } from '../model/transitions.ts';
import type { Branch } from '../model/types.ts';
import { Backoff } from '../platform/backoff.ts';
import type { Log } from '../platform/log.ts';
import type { Store } from '../store/store.ts';
import type { Provisioner } from '../worktrees/provisioner.ts';
import type { AtRisk } from '../git/risk.ts';
import { claimNow, worktreeClaim } from '../platform/claims.ts';
import { lossInWords, removeWorktree, worktreeAtRisk } from '../worktrees/removal.ts';
import type { Queue } from './queue.ts';

export interface BranchRemovalOptions {
  store: Store;
  queue: Queue;
  hosts: AgentHosts;
  provisioner: Provisioner;
  now: () => number;
  /** What takes a worktree away; a parameter, so that a test can run histories without git. */
  removeWorktree?: typeof removeWorktree;
  /** What counts what would be lost; a parameter for the same reason. */
  atRisk?: typeof worktreeAtRisk;
  log: Log;
}

export class BranchRemoval {
  readonly #options: BranchRemovalOptions;
  readonly #underWay = new Set<string>();
  readonly #again = new Backoff(() => this.reconcile());
  #disposed = false;
  readonly #stop = new AbortController();

  constructor(options: BranchRemovalOptions) {
    this.#options = options;
  }

  /** What would be lost. */
  atRisk(branchId: string): Promise<AtRisk> {
    return (this.#options.atRisk ?? worktreeAtRisk)(this.#branch(branchId));
  }

  /**
   * Ends what runs, cancels what waits, removes the worktree. Rejects with RefusedError, before anything is changed, when
   * work would be lost and `force` is not given, or somebody else is at work there; with WorktreeError when git can't remove it.
   */
  async remove(branchId: string, force: boolean): Promise<void> {
    const { store, now } = this.#options;
    const branch = this.#branch(branchId);
    if (!force) {
      const { text, lost } = lossInWords(branch.name, await this.atRisk(branchId));
      if (lost) throw new RefusedError(`${text} Commit or move what you need, or remove the branch with "force".`);
    }
    await this.#refuseOthers(branch);
    await store.commit(
      (tx) => {
        const row = tx.get('branch', branchId);
        if (!row) return;
        tx.update('branch', branchId, { worktreeState: worktreeTransition(row.worktreeState, 'removing'), changedAt: now() });
        tx.event('worktree:removing', branchId);
      },
      { essential: true },
    );
    await this.#finish(branchId, force);
  }

  /** Goes on with removals that a restart or a failing disk cut short, without force. Returns at once. */
  reconcile(): void {
    const { store, log } = this.#options;
    if (this.#disposed || store.mode !== 'open') return;
    for (const branch of store.state.branches()) {
      if (branch.worktreeState !== 'removing' || this.#underWay.has(branch.id)) continue;
      this.#finish(branch.id, false).then(
        () => this.#again.succeeded(),
        (error) => log(`Removing ${branch.name}: ${messageOf(error)}`, 'warn'),
      ); // The branch says what went wrong.
    }
  }

  async #finish(branchId: string, force: boolean): Promise<void> {
    this.#underWay.add(branchId);
    try {
      await this.#work(branchId, force);
    } catch (error) {
      if (error instanceof StorageError && !this.#disposed) this.#again.failed();
      throw error;
    } finally {
      this.#underWay.delete(branchId);
    }
  }

  dispose(): void {
    this.#disposed = true;
    this.#stop.abort();
    this.#again.dispose();
  }

  async #work(branchId: string, force: boolean): Promise<void> {
    const { store, queue, hosts, provisioner, now } = this.#options;
    try {
      await provisioner.settle(branchId);
      for (const turn of [...store.state.line(branchId)]) await queue.cancel(turn.id).catch(() => undefined);
      await this.#turnsEnded(branchId);
      for (const client of [...hosts.all()]) {
        const session = client.status && store.state.session(client.status.sessionId);
        if (session?.branchId === branchId) await hosts.end(client.hostId);
      }
      await (this.#options.removeWorktree ?? removeWorktree)(this.#branch(branchId), force);
    } catch (error) {
      if (this.#disposed) throw error; // It has not failed: whoever opens the queue next goes on with it.
      await store.commit((tx) => {
        tx.update('branch', branchId, {
          worktreeState: worktreeTransition('removing', 'removalFailed'),
          worktreeStep: null,
          worktreeError: { message: messageOf(error), step: 'remove' },
          unread: true,
          changedAt: now(),
        });
      });
      throw error;
    }
    await store.commit(
      (tx) => {
        tx.update('branch', branchId, {
          worktreeState: worktreeTransition('removing', 'removed'),
          worktreeStep: null,
          worktreeError: null,
          changedAt: now(),
        });
        for (const session of tx.select('session', 'branchId = ?', [branchId]))
          tx.update('session', session.id, { closed: true, unread: false });
        tx.event('worktree:removed', branchId);
      },
      { essential: true },
    );
  }

  /** Whoever writes in a worktree holds its claim: it is not removed under an agent of another window. */
  async #refuseOthers({ id, worktreePath }: Branch): Promise<void> {
    const isOurs =
      this.#options.store.state.line(id).some((turn) => isActive(turn.state)) || this.#options.provisioner.isAtWork(id);
    if (worktreePath === null || isOurs) return;
    const held = await claimNow(worktreeClaim(worktreePath));
    if (!held)
      throw new RefusedError(
        `Something else writes in ${worktreePath}: an agent of another window, or a command. End it there, then remove the branch.`,
      );
    await held.release();
  }

  /** Resolves when no turn of the branch is active any more: the dispatcher ends those that were cancelled. Rejects when this window lets go. */
  #turnsEnded(branchId: string): Promise<void> {
    const { store } = this.#options;
    const busy = () => store.state.line(branchId).some((turn) => isActive(turn.state));
    if (!busy()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const { signal } = this.#stop;
      const letGo = () => {
        listener.dispose();
        reject(new RefusedError('This window lets go of the queue; the branch is removed by the one that has it next.'));
      };
      const listener = store.onDidChange(() => {
        if (busy()) return;
        listener.dispose();
        signal.removeEventListener('abort', letGo);
        resolve();
      });
      if (signal.aborted) letGo();
      else signal.addEventListener('abort', letGo, { once: true });
    });
  }

  #branch(branchId: string): Branch {
    const branch = this.#options.store.state.branch(branchId);
    if (!branch || branch.worktreeState === 'removed') throw new RefusedError('This branch is not in Branchline any more.');
    return branch;
  }
}
