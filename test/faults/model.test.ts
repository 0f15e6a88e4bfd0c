/**
 * Histories of the queue as properties: everything that a person, an agent, git, a crash or a power cut can do to it, in any
 * order, with the invariants checked after each step, and an end that every history has to come to.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { noRisk } from '../../src/git/risk.ts';
import { StorageError, WorktreeError } from '../../src/model/errors.ts';
import { compareTurns } from '../../src/model/order.ts';
import { isActive, isEnded } from '../../src/model/transitions.ts';
import { provisioningSteps, type Turn } from '../../src/model/types.ts';
import { Engine, type Owner } from '../../src/sessions/engine.ts';
import type { Step } from '../../src/worktrees/steps/step.ts';
import { patience } from '../support/patience.ts';
import { PretendWorld } from '../support/pretendHosts.ts';
import { report } from '../support/report.ts';
import { randomFrom, SeveredDisk, SimulatedDisk } from '../support/simulatedDisk.ts';
import { engineSettings, type TestSettings, testSettings } from '../support/engines.ts';
import { makeDatabase } from '../support/stores.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporaryFolder.ts';
import { rounds, seed } from './rounds.ts';

const names = ['one', 'two', 'three'];
const limits = [1, 2, 4];

const n = fc.nat({ max: 40 });
const actions = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constant('enqueue' as const),
      branch: fc.constantFrom(...names),
      kind: fc.constantFrom('commit' as const, 'commit' as const, 'note' as const, 'review' as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'followUp' as const,
        'edit' as const,
        'remove' as const,
        'cancel' as const,
        'retry' as const,
        'sendNow' as const,
      ),
      n,
    }),
  },
  {
    weight: 24,
    arbitrary: fc.record({
      do: fc.constant('turn' as const),
      n,
      writes: fc.boolean(),
      ends: fc.constantFrom(
        'completed' as const,
        'completed' as const,
        'failed' as const,
        'answered' as const,
        'committed' as const,
        'concluded' as const,
        'cancel' as const,
      ),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('retryHeld' as const, 'mend' as const), n }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('worktree' as const),
      branch: fc.constantFrom(...names),
      is: fc.constantFrom('refusing' as const, 'refusing' as const, 'willing' as const, 'merging' as const, 'dirty' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('move' as const), n, before: fc.option(n) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('moveBy' as const), n, steps: fc.constantFrom(-1, 1, 3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('restore' as const, 'loseEvent' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'pause' as const,
        'resume' as const,
        'retryProvisioning' as const,
        'deleteWorktree' as const,
        'removeBranch' as const,
      ),
      branch: fc.constantFrom(...names),
    }),
  },
  {
    weight: 9,
    arbitrary: fc.record({ do: fc.constant('step' as const), n, fails: fc.constantFrom(false, false, false, false, true) }),
  },
  {
    weight: 18,
    arbitrary: fc.record({
      do: fc.constant('host' as const),
      n,
      what: fc.constantFrom(
        'handOver' as const,
        'handOver' as const,
        'ask' as const,
        'answer' as const,
        'completed' as const,
        'completed' as const,
        'failed' as const,
        'die' as const,
        'write' as const,
        'write' as const,
        'write' as const,
        'merge' as const,
        'solve' as const,
        'late' as const,
        'late' as const,
        'diesAnswered' as const,
        'diesCommitted' as const,
        'diesConcluded' as const,
        'limit' as const,
        'limit' as const,
        'diesOfLimit' as const,
      ),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('tryAgents' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('setting' as const),
      limit: fc.constantFrom(...limits),
      onFailure: fc.constantFrom('pause' as const, 'continue' as const),
      trusted: fc.constantFrom(true, true, false),
      autoReview: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('restart' as const),
      how: fc.constantFrom('close' as const, 'kill' as const, 'kill' as const, 'powerCut' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('killSoon' as const), after: fc.nat({ max: 12 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('checkpoint' as const) }) },
);
type Action = typeof actions extends fc.Arbitrary<infer T> ? T : never;

class History {
  readonly folder = temporaryFolder();
  readonly world = new PretendWorld();
  readonly settings: TestSettings = testSettings({ defaultAgent: 'shell' });
  #disk: SimulatedDisk;
  #severed!: SeveredDisk;
  #engine!: Engine;
  #owner!: Owner;
  readonly #steps: { branch: string; resolve: (fails: boolean) => void }[] = [];
  /** Prompts that a turn may have: the last that was acknowledged, and those begun since. */
  readonly #prompts = new Map<string, Set<string>>();
  /** Turns that somebody began to remove. */
  readonly #mayBeGone = new Set<string>();
  readonly #retries = new Map<string, number>();
  #restore: (() => Promise<void>) | undefined;
  #states = new Map<string, Turn>();
  #prompt = 0;
  #log: string[] = [];
  #paused = new Map<string, string>();
  /** Turns that have asked. */
  readonly #asked = new Set<string>();
  counts = { restarts: 0, held: 0, commits: 0, late: 0, waits: 0 };

  constructor(random: () => number) {
    this.#disk = new SimulatedDisk(random);
    const git = join(this.folder, 'repo', '.git');
    for (const name of ['objects', 'refs']) mkdirSync(join(git, name), { recursive: true });
    mkdirSync(join(git, 'HEAD')); // Looked for, never read: there is no git here.
  }

  async begin(): Promise<this> {
    this.#severed = new SeveredDisk(this.#disk);
    const files = this.#severed;
    this.#steps.splice(0);
    this.#engine = Engine.start({
      folder: join(this.folder, 'storage'),
      programs: '/nowhere',
      loadDatabase: async () => makeDatabase,
      settings: engineSettings(this.settings),
      openFolders: () => [join(this.folder, 'repo')],
      ownCheckouts: () => [join(this.folder, 'repo')],
      trusted: () => this.settings.trusted,
      log: (message, level) => {
        if (level === 'error' && !files.isSevered) this.#log.push(message);
      },
      onProblem: (message) => {
        if (!files.isSevered) this.#log.push(message);
      },
      files,
      outside: {
        makeHosts: this.world.makeHosts,
        steps: Object.fromEntries(provisioningSteps.map((step) => [step, this.#step(step)])) as Record<
          (typeof provisioningSteps)[number],
          Step
        >,
        removeWorktree: async ({ worktreePath }) => this.#wipe(worktreePath ?? '/nowhere'),
        atRisk: async () => noRisk,
        concludeTurn: async ({ turn, branch, beginning, commits, held }) =>
          branch.worktreePath !== null && existsSync(branch.worktreePath)
            ? this.world.work.conclude(branch.worktreePath, { beginning, commits, held, mends: turn.mends })
            : null,
        committing: this.world.work.committing,
        tipOf: async () => ({ tipSha: 'a'.repeat(40), mergeBaseSha: 'b'.repeat(40) }),
      },
    });
    this.#owner = await this.#engine.owner();
    this.#followEnds();
    this.#states = new Map(Array.from(this.#engine.state.turns(), (turn) => [turn.id, turn]));
    this.#engine.onDidChange(() => this.#follow());
    return this;
  }

  #wipe(worktree: string): void {
    rmSync(worktree, { recursive: true, force: true });
    this.world.work.wipe(worktree);
  }

  #step(step: (typeof provisioningSteps)[number]): Step {
    return ({ branch, signal }) =>
      new Promise((resolve, reject) => {
        const settle = (fails: boolean) => {
          if (fails) return reject(new WorktreeError('It failed.'));
          const path = join(this.folder, 'worktrees', branch.name);
          if (step === 'createWorktree') mkdirSync(path, { recursive: true });
          return resolve(
            step === 'createWorktree' ? { worktreePath: path } : step === 'resolveBase' ? { baseSha: 'b'.repeat(40) } : {},
          );
        };
        this.#steps.push({ branch: branch.id, resolve: settle });
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
  }

  #lastEvent(turnId: string, kind?: string): number {
    return this.#owner.store.eventsOf(turnId).findLast((event) => kind === undefined || event.kind === kind)?.id ?? 0;
  }

  /** A held commit pauses its branch as a failure does, if that is what the settings say. */
  #followEnds(): void {
    const { state } = this.#engine;
    for (const turn of state.turns()) {
      const before = this.#states.get(turn.id);
      const { paused, worktreeState } = state.branch(turn.branchId) ?? {};
      if (worktreeState === 'removing' || worktreeState === 'removed') continue;
      if (!before || !isActive(before.state) || turn.commit?.state !== 'held') continue;
      this.counts.held += 1;
      if (this.settings.onFailure === 'pause') assert.notEqual(paused, 'no', 'a held commit did not pause its branch');
      else assert.ok(paused !== 'failure' || this.#paused.get(turn.branchId) === 'failure', 'a held commit paused its branch');
    }
    this.#paused = new Map(Array.from(state.branches(), ({ id, paused }) => [id, paused]));
  }

  /** Looks at each change of a turn as it is announced. */
  #follow(): void {
    this.#followEnds();
    const { state } = this.#engine;
    const now = new Map(Array.from(state.turns(), (turn) => [turn.id, turn]));
    for (const turn of now.values()) {
      const before = this.#states.get(turn.id);
      if (before?.state !== 'queued' || turn.state !== 'starting') continue;
      // One that was put ahead after this one was taken is no matter (requirement 19).
      const taken = this.#lastEvent(turn.id, 'starting');
      const passed = state
        .line(turn.branchId)
        .find(
          (other) =>
            other.state === 'queued' &&
            compareTurns(other, { ...turn, state: 'queued' }) < 0 &&
            this.#lastEvent(other.id) < taken,
        );
      assert.equal(passed, undefined, 'a turn started before one that was ahead of it');
      // One that asks has no place, and goes on over the limit when it is answered.
      const placed = Array.from(state.active()).filter(({ id, permission }) => permission === null && !this.#asked.has(id));
      assert.ok(placed.length <= this.settings.maxConcurrentTurns, 'more run than the limit allows');
      assert.equal(state.branch(turn.branchId)?.worktreeState, 'ready', 'a turn started without its worktree');
    }
    this.#states = now;
    for (const { id } of state.asking()) this.#asked.add(id);
  }

  /** Everything that has to hold after every step (invariants 1, 2, 3, 7; requirements 16, 19, 35). */
  check(): void {
    const { state } = this.#engine;
    assert.deepEqual(this.world.violations, []);
    assert.deepEqual(this.#log, []);
    for (const [id, prompts] of this.#prompts) {
      const turn = state.turn(id);
      if (!turn) assert.ok(this.#mayBeGone.has(id), 'an accepted turn is gone');
      else assert.ok(prompts.has(turn.prompt), 'a prompt changed by itself');
    }
    for (const branch of state.branches()) {
      const line = state.line(branch.id);
      assert.deepEqual(
        line.map(({ id }) => id),
        Array.from(state.turns())
          .filter((turn) => turn.branchId === branch.id && !isEnded(turn.state))
          .sort(compareTurns)
          .map(({ id }) => id),
      );
      assert.ok(line.filter((turn) => isActive(turn.state)).length <= 1, 'two turns run on one branch');
    }
    this.#checkWork();
    for (const [turnId, times] of this.world.handovers)
      assert.ok(
        times <= 1 + (this.#retries.get(turnId) ?? 0) + (this.world.refused.get(turnId) ?? 0),
        'a prompt was handed over twice',
      );
  }

  /** What became of work is told as it is (invariants 11, 12). */
  #checkWork(): void {
    const { state } = this.#engine;
    const { work, hosts } = this.world;
    assert.deepEqual(work.violations, []);
    for (const turn of state.turns()) {
      const { commit, startTree, endTree } = turn;
      const { worktreePath } = state.branch(turn.branchId) ?? {};
      if (commit?.state === 'made') {
        assert.ok(work.commits.has(commit.sha), 'a commit is told that nobody made');
        if (startTree && endTree && worktreePath)
          assert.deepEqual(work.waiting(worktreePath, startTree, endTree), [], 'work is told as committed, and is not');
      }
      if (commit?.state === 'held') assert.ok(isEnded(turn.state), 'a commit is held of a turn that has not ended');
    }
    const held = (branchId?: string) =>
      Array.from(state.turns())
        .filter((turn) => turn.commit?.state === 'held' && !state.session(turn.sessionId)?.closed)
        .filter((turn) => branchId === undefined || turn.branchId === branchId)
        .map(({ id }) => id)
        .sort();
    assert.deepEqual(
      state
        .held()
        .map(({ id }) => id)
        .sort(),
      held(),
    );
    for (const { job, isActive: isAtWork } of hosts) {
      const turn = job && state.turn(job.turnId);
      if (!isAtWork || !turn || turn.attempt !== job.attempt) continue;
      assert.equal(job.mends, turn.mends);
      assert.deepEqual(job.held.map(({ turnId }) => turnId).sort(), held(turn.branchId), 'a host was told of other held turns');
    }
  }

  /** What an agent did after its turn is known, though the word of it was lost. */
  #checkLate(): void {
    for (const { id, alive, client, status } of this.world.hosts) {
      const turn = status?.late && this.#engine.state.turn(status.late.turnId);
      if (!alive || !client || client.closed || !turn || !status.late) continue;
      if (!isEnded(turn.state) || turn.hostId !== id || turn.attempt !== status.late.attempt) continue;
      this.counts.late += 1;
      assert.equal(turn.endTree, status.late.conclusion.tree, 'late work is not known');
    }
  }

  /** Waits until nothing more happens by itself. */
  async settle(): Promise<void> {
    for (let quiet = 0, version = -1; quiet < 4; quiet += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#owner.store.version !== version) quiet = 0;
      version = this.#owner.store.version;
    }
    if (this.#severed.isSevered) await this.#restart('kill');
  }

  async #restart(how: 'close' | 'kill' | 'powerCut'): Promise<void> {
    this.counts.restarts += 1;
    if (how !== 'close') {
      this.#severed.sever();
      this.world.sever();
    }
    await this.#engine.dispose();
    this.world.sever();
    this.#restore = undefined;
    if (how === 'powerCut') {
      for (const host of this.world.hosts) host.die();
      this.#disk = this.#disk.afterCut();
    }
    await this.begin();
  }

  #turn(at: number, fits: (turn: Turn) => boolean = () => true): Turn | undefined {
    const turns = Array.from(this.#engine.state.turns())
      .filter(fits)
      .sort((a, b) => (a.id < b.id ? -1 : 1));
    return turns[at % Math.max(1, turns.length)];
  }

  /** Nobody is told of what was refused, or of what a cut took. */
  async #ask<T>(call: Promise<T>): Promise<T | undefined> {
    const severed = this.#severed;
    try {
      return await call;
    } catch (error) {
      if (!/^(RefusedError|StorageError)$/.test((error as Error).name)) throw error;
      if (error instanceof StorageError && !severed.isSevered && !/shutting down/.test(error.message)) throw error;
      return undefined;
    }
  }

  async do(action: Action): Promise<void> {
    const { queue, removal, store, dispatcher, work } = this.#owner;
    const branchId =
      'branch' in action ? this.#engine.state.branchNamed(join(this.folder, 'repo'), action.branch)?.id : undefined;
    switch (action.do) {
      case 'enqueue': {
        this.#prompt += 1;
        const prompt = `prompt ${this.#prompt}`;
        const ids = await this.#ask(queue.enqueue({ branch: action.branch, kind: action.kind, prompt }));
        if (ids) this.#prompts.set(ids.turnId, new Set([prompt]));
        break;
      }
      case 'followUp': {
        this.#prompt += 1;
        const prompt = `prompt ${this.#prompt}`;
        const session = this.#turn(action.n)?.sessionId;
        const ids = session && (await this.#ask(queue.enqueueTurn(session, { prompt })));
        if (ids) this.#prompts.set(ids.turnId, new Set([prompt]));
        break;
      }
      case 'edit': {
        const turn = this.#turn(action.n, ({ state }) => state === 'queued');
        if (!turn) break;
        this.#prompt += 1;
        const prompt = `edited ${this.#prompt}`;
        const known = this.#prompts.get(turn.id) ?? new Set([turn.prompt]);
        this.#prompts.set(turn.id, known.add(prompt));
        if (await this.#ask(queue.edit(turn.id, prompt).then(() => true))) this.#prompts.set(turn.id, new Set([prompt]));
        break;
      }
      case 'remove': {
        const turn = this.#turn(action.n);
        if (!turn) break;
        this.#mayBeGone.add(turn.id);
        this.#restore = (await this.#ask(queue.remove(turn.id)))?.restore ?? this.#restore;
        break;
      }
      case 'restore':
        if (this.#restore) await this.#ask(this.#restore());
        this.#restore = undefined;
        break;
      case 'cancel': {
        const turn = this.#turn(action.n);
        if (turn) await this.#ask(queue.cancel(turn.id));
        break;
      }
      case 'retry':
      case 'retryHeld': {
        const isHeld = (turn: Turn) => turn.commit?.state === 'held';
        const turn = this.#turn(action.n, (one) => isEnded(one.state) && (action.do === 'retry' || isHeld(one)));
        if (!turn) break;
        // Of an agent that is done it makes the commit, and sends nothing.
        if (!isHeld(turn)) this.#retries.set(turn.id, (this.#retries.get(turn.id) ?? 0) + 1);
        await this.#ask(work.retry(turn.id));
        break;
      }
      case 'mend': {
        const turn = this.#turn(action.n, ({ commit }) => commit?.state === 'held');
        const ids = turn && (await this.#ask(work.mend(turn.id)));
        if (ids) this.#prompts.set(ids.turnId, new Set([this.#engine.state.turn(ids.turnId)?.prompt ?? '']));
        break;
      }
      case 'worktree': {
        const path = join(this.folder, 'worktrees', action.branch);
        const at = this.world.work.at(path);
        if (action.is === 'refusing' || action.is === 'willing') at.refuses = action.is === 'refusing';
        else if (existsSync(path) && !this.world.hosts.some((host) => host.isActive && host.job?.worktree === path)) {
          this.#prompt += 1;
          if (action.is === 'merging') this.world.work.merge(path);
          else at.dirty.add(`left by a person ${this.#prompt}`);
        }
        break;
      }
      case 'sendNow': {
        const turn = this.#turn(action.n, ({ state }) => state === 'queued');
        if (turn) await this.#ask(queue.sendNow(turn.id));
        break;
      }
      case 'move': {
        const turn = this.#turn(action.n);
        const before = action.before === null ? null : (this.#turn(action.before)?.id ?? null);
        if (turn) await this.#ask(queue.move(turn.id, { before }));
        break;
      }
      case 'moveBy': {
        const turn = this.#turn(action.n);
        if (turn) await this.#ask(queue.moveBy(turn.id, action.steps));
        break;
      }
      case 'pause':
      case 'resume':
      case 'retryProvisioning':
        if (branchId) await this.#ask(queue[action.do](branchId));
        break;
      case 'deleteWorktree': {
        const busy = this.world.hosts.some((host) => host.isActive && host.job?.branch === action.branch);
        if (!busy) this.#wipe(join(this.folder, 'worktrees', action.branch));
        break;
      }
      case 'removeBranch':
        // It waits for turns to end, which later actions may let them do.
        if (branchId && this.#engine.state.branch(branchId)?.worktreeState !== 'removing')
          this.#ask(removal.remove(branchId, true)).catch((error: unknown) => this.#log.push(String(error)));
        break;
      case 'step': {
        const step = this.#steps.splice(action.n % Math.max(1, this.#steps.length), 1)[0];
        step?.resolve(action.fails);
        break;
      }
      case 'host': {
        const isLate = action.what === 'late';
        const hosts = this.world.hosts.filter((host) => (isLate ? host.alive && !host.isActive : host.isActive));
        const host = hosts[action.n % Math.max(1, hosts.length)];
        if (!host) break;
        switch (action.what) {
          case 'answer': {
            const permission = host.status?.permission;
            if (permission) await this.#ask((async () => dispatcher.respond(permission.id, 'yes'))());
            break;
          }
          case 'completed':
          case 'failed':
            host.end(action.what);
            break;
          case 'diesAnswered':
            host.end('completed', 'answered');
            break;
          case 'diesCommitted':
            host.end('completed', 'committed');
            break;
          case 'diesConcluded':
            host.end('completed', 'concluded');
            break;
          case 'diesOfLimit':
            host.limit('answered');
            break;
          case 'limit':
            host.limit();
            break;
          default:
            host[action.what]();
        }
        break;
      }
      case 'turn': {
        // All that a turn needs, in one go: histories of single steps come to few ends.
        for (let round = 0; round < provisioningSteps.length; round += 1) {
          for (const step of this.#steps.splice(0)) step.resolve(false);
          await this.settle();
        }
        const hosts = this.world.hosts.filter((one) => one.isActive);
        const host = hosts[action.n % Math.max(1, hosts.length)];
        if (!host?.job) break;
        host.handOver();
        if (action.writes) host.write();
        if (action.ends === 'cancel') await this.#ask(this.#owner.queue.cancel(host.job.turnId));
        else if (action.ends === 'completed' || action.ends === 'failed') host.end(action.ends);
        else host.end('completed', action.ends);
        break;
      }
      case 'tryAgents':
        await this.#tryAgents();
        break;
      case 'setting':
        Object.assign(this.settings, {
          maxConcurrentTurns: action.limit,
          onFailure: action.onFailure,
          trusted: action.trusted,
          autoReview: action.autoReview,
        });
        this.#engine.reconcile();
        break;
      case 'loseEvent':
        this.world.lostEvents += 1;
        break;
      case 'restart':
        await this.#restart(action.how);
        break;
      case 'killSoon':
        this.#severed.severAfter(action.after);
        break;
      case 'checkpoint':
        await this.#ask(
          store.checkpoint().catch((error: unknown) => {
            if (!this.#severed.isSevered) throw error;
          }),
        );
        break;
    }
    await this.settle();
  }

  async #tryAgents(): Promise<void> {
    for (const { id } of [...this.#engine.state.agentWaits()]) {
      this.counts.waits += 1;
      await this.#ask(this.#owner.queue.tryAgent(id));
    }
  }

  /** Every held commit can be made without an agent, as soon as what held it is gone. */
  async #commitWhatIsHeld(): Promise<void> {
    const { state } = this.#engine;
    const sent = new Map(this.world.handovers);
    for (const { id, branchId } of state.held()) {
      const { worktreeState, worktreePath } = state.branch(branchId) ?? {};
      if (worktreeState !== 'ready' || !worktreePath || !existsSync(worktreePath) || state.turn(id)?.commit?.state !== 'held')
        continue;
      await this.#owner.work
        .retry(id)
        .catch((error: Error) => assert.match(error.message, /Nothing of this turn is left to commit/));
      await this.settle();
      this.check();
    }
    assert.deepEqual(this.world.handovers, sent, 'a held commit was made, and a prompt sent for it');
  }

  /** Nobody stands in the way any more: everything has to end by itself, and no host may be left at work. */
  async finish(): Promise<void> {
    Object.assign(this.settings, { maxConcurrentTurns: 4, onFailure: 'continue', trusted: true, autoReview: false });
    this.world.lostEvents = 0;
    this.#engine.reconcile();
    await this.settle();
    this.#checkLate();
    await this.#restart('close');
    for (let round = 0; ; round += 1) {
      const { state } = this.#engine;
      for (const branch of state.branches()) {
        if (branch.worktreeState === 'removed') continue;
        if (branch.paused !== 'no') await this.#ask(this.#owner.queue.resume(branch.id)); // It may be gone in this moment.
        if (branch.worktreeState === 'failed') await this.#ask(this.#owner.queue.retryProvisioning(branch.id));
      }
      await this.#tryAgents();
      for (const step of this.#steps.splice(0)) step.resolve(false);
      for (const at of this.world.work.all()) {
        at.refuses = false;
        if (at.operation) at.operation.isSolved = true;
      }
      for (const host of this.world.hosts) {
        if (!host.isActive) continue;
        if (host.status?.permission) host.answer(host.status.permission.id);
        host.handOver();
        host.end('completed');
      }
      await this.settle();
      this.check();
      if (
        Array.from(state.turns()).every((turn) => isEnded(turn.state)) &&
        !Array.from(state.branches()).some(({ worktreeState }) => worktreeState === 'removing')
      )
        break;
      assert.ok(
        round < 400,
        `the queue stands still: ${JSON.stringify(Array.from(state.turns(), ({ state: of, hostId }) => [of, hostId]))} ${JSON.stringify(Array.from(state.branches(), ({ worktreeState, worktreeStep, paused }) => [worktreeState, worktreeStep, paused]))}`,
      );
    }
    assert.equal(this.world.hosts.filter((host) => host.isActive).length, 0, 'a host is left at work');
    await this.#commitWhatIsHeld();
    this.counts.commits = this.world.work.commits.size;
    await this.#engine.dispose();
  }
}

/** BRANCHLINE_SHRINK=1 looks for the shortest history that fails; BRANCHLINE_PATH, with the seed, goes to the one that was printed. */
describe('Any history of the queue', function () {
  this.timeout(0);
  after(removeTemporaryFolders);

  it('keeps what was accepted, in order, hands over once, and comes to its end (invariants 1, 2, 3, 7, 9)', async () => {
    const counts = { rounds: 0, steps: 0, restarts: 0, held: 0, commits: 0, late: 0, waits: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(actions, { minLength: 20, maxLength: 80, size: 'max' }), fc.nat(), async (history, random) => {
        const one = await new History(randomFrom(random)).begin();
        try {
          for (const action of history) {
            await one.do(action);
            one.check();
          }
          await one.finish();
        } finally {
          removeTemporaryFolders();
        }
        counts.rounds += 1;
        counts.steps += history.length;
        for (const what of ['restarts', 'held', 'commits', 'late', 'waits'] as const) counts[what] += one.counts[what];
      }),
      {
        seed,
        numRuns: rounds(100),
        timeout: patience,
        endOnFailure: process.env.BRANCHLINE_SHRINK === undefined,
        ...(process.env.BRANCHLINE_PATH ? { path: process.env.BRANCHLINE_PATH } : {}),
      },
    );
    report('model histories', counts);
  });
});
