import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StorageError } from '../../src/model/errors.ts';
import {
  startEngine,
  stopEngine,
  testAgent,
  type TestEngine,
  type TestSettings,
  turnState,
  until,
  untilEnded,
} from '../support/engines.ts';
import { FaultyDisk } from '../support/faultyDisk.ts';
import { report } from '../support/report.ts';
import { makeRepository } from '../support/repositories.ts';
import { SmallDisk } from '../support/smallDisk.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporaryFolder.ts';

describe('A disk in trouble', () => {
  let folder: string;
  let repository: string;
  let small: SmallDisk | undefined;
  const running: TestEngine[] = [];
  let rounds = 0;
  beforeEach(() => {
    folder = temporaryFolder();
    repository = makeRepository(folder);
  });
  afterEach(async () => {
    for (const one of running.splice(0)) await stopEngine(one);
    small?.unmount();
    small = undefined;
    removeTemporaryFolders();
    rounds += 1;
  });
  after(() => report('disk', { rounds }));
  const start = (disk: FaultyDisk | undefined, patch: Partial<TestSettings> = {}, storage = folder) => {
    const started = startEngine(
      storage,
      repository,
      { agents: { test: testAgent }, defaultAgent: 'test', ...patch },
      disk ? { files: disk.files } : {},
    );
    running.push(started);
    return started;
  };
  const note = async ({ engine }: TestEngine, prompt: string, branch = 'b') =>
    (await engine.owner()).queue.enqueue({ branch, kind: 'note', prompt });

  for (const [code, words] of [
    ['ENOSPC', /disk is full.*Free some space/],
    ['EIO', /could not be saved.*Check the disk/],
    ['EROFS', /not writable.*Check its permissions/],
  ] as const) {
    it(`with ${code} refuses with what to do, keeps what there is, and everything goes on by itself when it is over`, async () => {
      const disk = new FaultyDisk();
      const one = start(disk);
      const first = await note(one, 'wait ../go\nsay done');
      const second = await note(one, 'say next');
      await until(one.engine, () => turnState(one.engine, first.turnId) === 'running', 'it runs');
      disk.trouble = code;
      disk.isDead = code === 'EIO';
      await assert.rejects(
        note(one, 'say refused'),
        (error: unknown) => error instanceof StorageError && words.test(error.message),
      );
      await assert.rejects(
        (await one.engine.owner()).queue.enqueue({
          branch: 'b',
          prompt: 'x',
          attachments: [{ name: 'a', mimeType: 'text/plain', base64: 'YQ==' }],
        }),
        StorageError,
      );
      assert.equal(one.engine.state.counts.turns, 2);
      // The turn ends while nothing can be written; nobody hears of it before it is written.
      writeFileSync(join(folder, 'repo.worktrees', 'go'), '');
      const hostOf = () => one.engine.ownerNow?.hosts.connected(one.engine.state.turn(first.turnId)?.hostId ?? '');
      await until(one.engine, () => hostOf()?.status?.state === 'ended', 'the agent is done');
      const { store } = await one.engine.owner();
      assert.equal(store.mode, code === 'EIO' ? 'readOnly' : 'open');
      if (store.mode === 'open') {
        // After a failed write that could not be taken back it is the next window that goes on.
        assert.equal(turnState(one.engine, first.turnId), 'running');
        disk.trouble = undefined;
        await untilEnded(one.engine, first.turnId, second.turnId);
        await untilEnded(one.engine, (await note(one, 'say accepted')).turnId);
      } else {
        disk.trouble = undefined;
        await one.engine.dispose();
        const again = start(disk);
        await again.engine.ready;
        await untilEnded(again.engine, first.turnId, second.turnId);
        assert.equal(again.engine.state.counts.turns, 2);
      }
    });
  }

  it('while a worktree is made: each step is written when it can be, and the queue drains', async () => {
    const disk = new FaultyDisk();
    const one = start(disk, {
      worktrees: { setup: [{ command: 'while ! test -e ../../go; do sleep 0.02; done', wait: true, timeoutSeconds: 60 }] },
    });
    const { turnId, branchId } = await note(one, 'say hello');
    await until(one.engine, () => one.engine.state.branch(branchId)?.worktreeStep === 'runSetup', 'setup runs');
    disk.trouble = 'ENOSPC';
    writeFileSync(join(folder, 'go'), '');
    await until(
      one.engine,
      () => one.log.some((line) => /Provisioning b: The disk is full/.test(line)),
      'the step could not be written',
    );
    assert.equal(one.engine.state.branch(branchId)?.worktreeStep, 'runSetup');
    disk.trouble = undefined;
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'completed');
  });

  it('that is slow holds up nobody but who waits for it: commits share a sync, and nothing shows before it is durable', async () => {
    const disk = new FaultyDisk();
    const { engine } = start(disk);
    const { queue } = await engine.owner();
    await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'wait ../never' });
    let release: () => void = () => undefined;
    disk.hold = new Promise((resolve) => {
      release = resolve;
    });
    disk.syncs = 0;
    const before = engine.state.counts.turns;
    const asked = Array.from({ length: 50 }, (_, n) => queue.enqueue({ branch: `c${n % 5}`, kind: 'note', prompt: `say ${n}` }));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(engine.state.counts.turns, before);
    release();
    disk.hold = undefined;
    await Promise.all(asked);
    assert.equal(engine.state.counts.turns, before + 50);
    assert.ok(disk.syncs <= 4, `${disk.syncs} syncs`);
  });

  it('that is really full: refuses what does not fit, still cancels and shows all there is, and opens by itself when there is room', async () => {
    small = SmallDisk.mount(folder, 12);
    // Without the right to mount one, the store's own writes fail in the same way.
    const disk = new FaultyDisk();
    const fill = () => {
      if (small) small.fill();
      else disk.trouble = 'ENOSPC';
    };
    const clear = () => {
      if (small) small.clear();
      else disk.trouble = undefined;
    };
    const one = start(disk, {}, small?.folder ?? folder);
    const first = await note(one, 'say one');
    await untilEnded(one.engine, first.turnId);
    const { queue } = await one.engine.owner();
    await queue.pause(first.branchId);
    const waiting = await note(one, 'say two');
    const kept = await note(one, 'say three');
    fill();
    await assert.rejects(note(one, `say ${'x'.repeat(900_000)}`), /disk is full.*Free some space/);
    if (small) {
      await queue.cancel(waiting.turnId);
      assert.equal(turnState(one.engine, waiting.turnId), 'cancelled');
      // Another window opens on the full disk: it shows and holds all there is.
      await one.engine.dispose();
      running.splice(0);
      fill();
      const looking = start(disk, {}, small.folder);
      await looking.engine.opened;
      assert.equal(looking.engine.state.turn(kept.turnId)?.state, 'queued');
      await assert.rejects(note(looking, 'say refused'), /only shown for now.*disk is full.*opens by itself/);
      small.clear();
      await until(looking.engine, () => looking.engine.isOwner, 'it opens by itself');
      await looking.engine.dispose();
      running.splice(0);
    } else await one.engine.dispose();
    clear();
    const again = start(disk, {}, small?.folder ?? folder);
    await again.engine.ready;
    await (await again.engine.owner()).queue.resume(first.branchId);
    await untilEnded(again.engine, kept.turnId);
    assert.equal(turnState(again.engine, kept.turnId), 'completed');
  });

  it('that is full when a turn starts: it waits, says why, and goes on by itself', async () => {
    small = SmallDisk.mount(folder, 8);
    if (!small) return; // Only a real disk fills under another process.
    const one = start(undefined, {}, small.folder);
    const { queue } = await one.engine.owner();
    const { turnId, branchId } = await note(one, 'say hello');
    await queue.pause(branchId);
    await until(
      one.engine,
      () => one.engine.state.branch(branchId)?.worktreeState === 'ready' || turnState(one.engine, turnId) === 'completed',
      'the worktree is ready',
    );
    const next = await note(one, 'say next');
    small.fill();
    await queue.resume(branchId);
    await until(
      one.engine,
      () => one.problems.some((problem) => /The queue waits: .*The disk is full.*Free some space/.test(problem)),
      'the user is told',
    );
    assert.notEqual(turnState(one.engine, next.turnId), 'failed');
    small.clear();
    await untilEnded(one.engine, turnId, next.turnId);
    assert.deepEqual([turnState(one.engine, turnId), turnState(one.engine, next.turnId)], ['completed', 'completed']);
  });

  it('that fills up under a running agent: the turn ends when its transcript can be written, whole', async () => {
    small = SmallDisk.mount(folder, 8);
    if (!small) return; // Only a real disk fills under another process.
    const one = start(undefined, {}, small.folder);
    const { turnId, sessionId } = await note(one, 'say begun\nwait ../go\nburst 200');
    await until(one.engine, () => turnState(one.engine, turnId) === 'running', 'it runs');
    small.fill();
    writeFileSync(join(folder, 'repo.worktrees', 'go'), '');
    const { readTranscript, transcriptPath } = await import('../../src/store/transcripts.ts');
    small.clear();
    await untilEnded(one.engine, turnId);
    const entries = await readTranscript(transcriptPath(join(small.folder, 'storage'), sessionId));
    assert.deepEqual(
      entries.map(({ seq }) => seq),
      entries.map((_, index) => index + 1),
    );
    assert.equal(
      entries.map((entry) => (entry.type === 'text' ? entry.text : '')).join(''),
      `begun\n${Array.from({ length: 200 }, (_, n) => `line ${n}\n`).join('')}`,
    );
    assert.equal(entries.at(-1)?.type, 'ended');
  });
});
