import assert from 'node:assert/strict';
import { noRisk } from '../../../src/git/risk.ts';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Outside } from '../../../src/sessions/engine.ts';
import { startEngine, stoppedAfterEach, type TestEngine, turnState, until } from '../../support/engines.ts';
import { PretendWorld } from '../../support/pretendHosts.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** A gate that a start goes through between the choice of a turn and its first durable step. */
class Gate {
  readonly #passes: (() => void)[] = [];
  get waiting(): number {
    return this.#passes.length;
  }
  pass(): Promise<void> {
    return new Promise((resolve) => this.#passes.push(resolve));
  }
  open(): void {
    for (const resolve of this.#passes.splice(0)) resolve();
  }
}

describe('A start that was decided on', () => {
  const running = stoppedAfterEach();
  const one = (): { engine: TestEngine; gate: Gate } => {
    const folder = temporaryFolder();
    const git = join(folder, 'repo', '.git');
    for (const name of ['objects', 'refs', 'HEAD']) mkdirSync(join(git, name), { recursive: true }); // Looked for, never read: there is no git here.
    const world = new PretendWorld();
    const gate = new Gate();
    const step: Outside['steps']['createWorktree'] = async ({ branch }) => {
      const worktreePath = join(folder, 'worktrees', branch.name);
      mkdirSync(worktreePath, { recursive: true });
      return { worktreePath };
    };
    const outside: Outside = {
      makeHosts: (options) => {
        const hosts = world.makeHosts(options);
        return {
          ...hosts,
          take: async (...args) => {
            await gate.pass();
            return hosts.take(...args);
          },
        };
      },
      steps: { resolveBase: async () => ({}), createWorktree: step, copyFiles: step, runSetup: step },
      removeWorktree: async () => undefined,
      atRisk: async () => noRisk,
      concludeTurn: async () => null,
      committing: world.work.committing,
      tipOf: async () => ({ tipSha: 'a'.repeat(40), mergeBaseSha: 'b'.repeat(40) }),
    };
    const engine = startEngine(folder, join(folder, 'repo'), { maxConcurrentTurns: 2 }, { outside });
    running.push(engine);
    return { engine, gate };
  };
  const queued = async ({ engine }: TestEngine, branch: string, prompt: string) =>
    (await engine.owner()).queue.enqueue({ branch, kind: 'note', prompt });
  const states = ({ engine }: TestEngine, ...turnIds: string[]) => turnIds.map((id) => turnState(engine, id));
  /** Lets those at the gate go on, until what they wanted to write is written or refused. */
  const passed = async ({ engine }: TestEngine, gate: Gate) => {
    const { store } = await engine.owner();
    gate.open();
    await new Promise((resolve) => setImmediate(resolve));
    await store.commit(() => undefined);
  };
  const atTheGate = ({ engine }: TestEngine, gate: Gate, count: number) =>
    until(engine, () => gate.waiting === count, `${count} wait at the gate`);

  it('gives way to a turn that is moved before it meanwhile (invariant 7)', async () => {
    const { engine, gate } = one();
    const first = await queued(engine, 'a', 'first');
    const second = await queued(engine, 'a', 'second');
    await atTheGate(engine, gate, 1);
    await (await engine.engine.owner()).queue.move(second.turnId, { before: first.turnId });
    gate.open();
    await atTheGate(engine, gate, 1);
    assert.deepEqual(states(engine, first.turnId, second.turnId), ['queued', 'queued']);
    gate.open();
    await until(engine.engine, () => turnState(engine.engine, second.turnId) === 'starting', 'the second one starts');
    assert.deepEqual(states(engine, first.turnId), ['queued']);
  });

  it('is given up when its branch is paused meanwhile, and made again on resume', async () => {
    const { engine, gate } = one();
    const { turnId, branchId } = await queued(engine, 'a', 'first');
    await atTheGate(engine, gate, 1);
    const { queue } = await engine.engine.owner();
    await queue.pause(branchId);
    await passed(engine, gate);
    await queue.resume(branchId);
    await atTheGate(engine, gate, 1);
    assert.deepEqual(states(engine, turnId), ['queued']);
    gate.open();
    await until(engine.engine, () => turnState(engine.engine, turnId) === 'starting', 'it starts');
  });

  it('keeps to a limit that was lowered meanwhile', async () => {
    const { engine, gate } = one();
    const ids = [await queued(engine, 'a', 'first'), await queued(engine, 'b', 'second')].map(({ turnId }) => turnId);
    await atTheGate(engine, gate, 2);
    engine.settings.maxConcurrentTurns = 1;
    await passed(engine, gate);
    assert.deepEqual(states(engine, ...ids).sort(), ['queued', 'starting']);
    engine.settings.maxConcurrentTurns = 2;
    engine.engine.reconcile();
    await atTheGate(engine, gate, 1);
  });

  it('waits for the worktree again when that is deleted meanwhile', async () => {
    const { engine, gate } = one();
    const { turnId, branchId } = await queued(engine, 'a', 'first');
    await atTheGate(engine, gate, 1);
    const path = engine.engine.state.branch(branchId)?.worktreePath as string;
    rmSync(path, { recursive: true });
    await passed(engine, gate);
    assert.deepEqual(states(engine, turnId), ['queued']);
    await atTheGate(engine, gate, 1);
    assert.ok(existsSync(path), 'it was made anew');
    gate.open();
    await until(engine.engine, () => turnState(engine.engine, turnId) === 'starting', 'it starts');
  });

  it('does not happen once the workspace is not trusted', async () => {
    const { engine, gate } = one();
    const { turnId } = await queued(engine, 'a', 'first');
    await atTheGate(engine, gate, 1);
    engine.settings.trusted = false;
    await passed(engine, gate);
    assert.deepEqual(states(engine, turnId), ['queued']);
  });
});
