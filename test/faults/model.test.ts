/**
 * Histories of the queue as properties: everything that a person, an agent, git, a crash or a power cut can do to it, in any
 * order, with the invariants checked after each step, and an end that every history has to come to.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
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
      kind: fc.constantFrom('note' as const, 'review' as const),
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
    weight: 12,
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
      ),
    }),
  },
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
  counts = { restarts: 0 };

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
        removeWorktree: async (branch) => rmSync(branch.worktreePath ?? '/nowhere', { recursive: true, force: true }),
        atRisk: async () => noRisk,
        concludeTurn: async () => null,
        tipOf: async () => ({ tipSha: 'a'.repeat(40), mergeBaseSha: 'b'.repeat(40) }),
      },
    });
    this.#owner = await this.#engine.owner();
    this.#states = new Map(Array.from(this.#engine.state.turns(), (turn) => [turn.id, turn]));
    this.#engine.onDidChange(() => this.#follow());
    return this;
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

  /** Looks at each change of a turn as it is announced. */
  #follow(): void {
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
      assert.ok(Array.from(state.active()).length <= this.settings.maxConcurrentTurns, 'more run than the limit allows');
      assert.equal(state.branch(turn.branchId)?.worktreeState, 'ready', 'a turn started without its worktree');
    }
    this.#states = now;
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
    for (const [turnId, times] of this.world.handovers)
      assert.ok(times <= 1 + (this.#retries.get(turnId) ?? 0), 'a prompt was handed over twice');
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
    const { queue, removal, store, dispatcher } = this.#owner;
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
      case 'retry': {
        const turn = this.#turn(action.n, ({ state }) => isEnded(state));
        if (!turn) break;
        this.#retries.set(turn.id, (this.#retries.get(turn.id) ?? 0) + 1);
        await this.#ask(queue.retry(turn.id));
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
        if (!busy) rmSync(join(this.folder, 'worktrees', action.branch), { recursive: true, force: true });
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
        const hosts = this.world.hosts.filter((host) => host.isActive);
        const host = hosts[action.n % Math.max(1, hosts.length)];
        if (!host) break;
        if (action.what === 'handOver' || action.what === 'ask' || action.what === 'die') host[action.what]();
        else if (action.what === 'answer') {
          const permission = host.status?.permission;
          if (permission) await this.#ask((async () => dispatcher.respond(permission.id, 'yes'))());
        } else host.end(action.what);
        break;
      }
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

  /** Nobody stands in the way any more: everything has to end by itself, and no host may be left at work. */
  async finish(): Promise<void> {
    Object.assign(this.settings, { maxConcurrentTurns: 4, onFailure: 'continue', trusted: true, autoReview: false });
    this.world.lostEvents = 0;
    await this.#restart('close');
    for (let round = 0; ; round += 1) {
      const { state } = this.#engine;
      for (const branch of state.branches()) {
        if (branch.worktreeState === 'removed') continue;
        if (branch.paused !== 'no') await this.#ask(this.#owner.queue.resume(branch.id)); // It may be gone in this moment.
        if (branch.worktreeState === 'failed') await this.#ask(this.#owner.queue.retryProvisioning(branch.id));
      }
      for (const step of this.#steps.splice(0)) step.resolve(false);
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
    await this.#engine.dispose();
  }
}

/** BRANCHLINE_SHRINK=1 looks for the shortest history that fails; BRANCHLINE_PATH, with the seed, goes to the one that was printed. */
describe('Any history of the queue', function () {
  this.timeout(0);
  after(removeTemporaryFolders);

  it('keeps what was accepted, in order, hands over once, and comes to its end (invariants 1, 2, 3, 7, 9)', async () => {
    const counts = { rounds: 0, steps: 0, restarts: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(actions, { minLength: 5, maxLength: 80, size: 'max' }), fc.nat(), async (history, random) => {
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
        counts.restarts += one.counts.restarts;
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
