import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StorageError } from '../../src/model/errors.ts';
import { acquire } from '../../src/platform/exclusive.ts';
import { isAlive, markVariable, startTimeOf } from '../../src/platform/processes.ts';
import type { EngineOptions } from '../../src/sessions/engine.ts';
import { askForStorage } from '../../src/sessions/handover.ts';
import { readTranscript, transcriptPath } from '../../src/store/transcripts.ts';
import {
  startEngine,
  stoppedAfterEach,
  testAgent,
  type TestEngine,
  type TestSettings,
  turnState,
  until,
  untilEnded,
} from '../support/engines.ts';
import { FaultyDisk } from '../support/faultyDisk.ts';
import { report } from '../support/report.ts';
import { rounds as moreRounds } from './rounds.ts';
import { git, makeRepository } from '../support/repositories.ts';
import { openStore, branchRow } from '../support/stores.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

describe('Several windows, and what is left of earlier ones', () => {
  let folder: string;
  let repository: string;
  let rounds = 0;
  let handovers = 0;
  const running = stoppedAfterEach();
  beforeEach(() => {
    folder = temporaryFolder();
    repository = makeRepository(folder);
  });
  afterEach(() => {
    rounds += 1;
  });
  after(() => report('windows', { rounds, handovers }));
  const start = (patch: Partial<TestSettings> = {}, storage = folder, options: Partial<EngineOptions> = {}) => {
    mkdirSync(storage, { recursive: true });
    const started = startEngine(storage, repository, { agents: { test: testAgent }, defaultAgent: 'test', ...patch }, options);
    running.push(started);
    return started;
  };
  const note = async ({ engine }: TestEngine, prompt: string, branch = 'b') =>
    (await engine.owner()).queue.enqueue({ branch, kind: 'note', prompt });

  it('on one storage: the second shows everything as it changes, refuses with the reason, and takes over with what was running (requirement 52)', async () => {
    const first = start();
    await first.engine.ready;
    const { turnId } = await note(first, 'wait ../go\nsay done');
    await until(first.engine, () => turnState(first.engine, turnId) === 'running', 'it runs');
    const second = start();
    await second.engine.ready;
    assert.equal(second.engine.isOwner, false);
    assert.equal(turnState(second.engine, turnId), 'running');
    await assert.rejects(note(second, 'say refused'), /Another window has this workspace's queue open.*close it to work here/);
    const later = await note(first, 'say later');
    await until(second.engine, () => second.engine.state.turn(later.turnId) !== undefined, 'the second shows it');
    await first.engine.dispose();
    await until(second.engine, () => second.engine.isOwner, 'it takes over');
    assert.equal(turnState(second.engine, turnId), 'running');
    writeFileSync(join(folder, 'repo.worktrees', 'go'), '');
    await untilEnded(second.engine, turnId, later.turnId);
    assert.deepEqual([turnState(second.engine, turnId), turnState(second.engine, later.turnId)], ['completed', 'completed']);
  });

  it('an owner that nobody sees hands over to a window that asks; one that is seen does not, until a person says so (W6)', async () => {
    let isSeen = true;
    const first = start({}, folder, { isSeen: () => Promise.resolve(isSeen) });
    const running = await note(first, 'wait ../go\nsay done');
    await until(first.engine, () => turnState(first.engine, running.turnId) === 'running', 'it runs');
    const asking = await note(first, 'ask Run it', 'c');
    await until(first.engine, () => first.engine.state.turn(asking.turnId)?.permission != null, 'another one asks');
    const second = start();
    await second.engine.ready;
    assert.deepEqual([second.engine.isOwner, second.engine.canTakeOver], [false, true]);
    mkdirSync(join(folder, 'storage', 'handover.json', 'in the way'), { recursive: true });
    await second.engine.takeOver();
    assert.deepEqual([second.engine.isOwner, first.engine.isOwner, first.engine.canTakeOver], [true, false, true]);
    await assert.rejects(note(first, 'say refused'), /Another window has taken over/);
    const { dispatcher } = await second.engine.owner();
    dispatcher.respond(second.engine.state.turn(asking.turnId)?.permission?.id ?? '', 'yes');
    await untilEnded(second.engine, asking.turnId);
    await first.engine.takeOver();
    assert.deepEqual([second.engine.isOwner, first.engine.isOwner], [false, true]);
    isSeen = false; // Its tab was closed without goodbye.
    const third = start();
    await until(third.engine, () => third.engine.isOwner, 'the third has it by itself');
    await note(third, 'say typed at once');
    writeFileSync(join(folder, 'repo.worktrees', 'go'), '');
    await untilEnded(third.engine, running.turnId);
    const said = await readTranscript(transcriptPath(join(folder, 'storage'), running.sessionId));
    assert.equal(said.filter(({ type }) => type === 'prompt').length, 1);
    assert.equal(turnState(third.engine, running.turnId), 'completed');
  });

  it('a queue that is handed over while the disk is full is opened by itself when there is room', async () => {
    const disk = new FaultyDisk();
    const windows = [start({}, folder, { files: disk.files }), start({}, folder, { files: disk.files })] as const;
    const [first, second] = windows;
    const { turnId } = await note(first, 'say one');
    await untilEnded(first.engine, turnId);
    await second.engine.ready;
    disk.trouble = 'ENOSPC';
    const taking = second.engine.takeOver().catch(() => undefined);
    await until(second.engine, () => second.problems.length > 0, 'the second can not open it');
    await assert.rejects(note(second, 'say refused'), /disk is full.*It opens by itself then/);
    disk.trouble = undefined;
    await taking;
    const owner = () => windows.find(({ engine }) => engine.isOwner);
    await until(second.engine, () => owner() !== undefined, 'one of them has it');
    const one = owner() as TestEngine;
    await untilEnded(one.engine, (await note(one, 'say accepted')).turnId);
  });

  it('one window may ask for the storage twice at once', async () => {
    const storage = join(folder, 'storage');
    const asks = Array.from({ length: 50 }, (_, n) => askForStorage(storage, { by: 'one', insists: n % 2 === 0 }));
    await Promise.all(asks);
    assert.deepEqual(readdirSync(storage), ['handover.json']);
  });

  it('a removal that waits for a turn is settled by a hand-over, and goes on in the other window', async () => {
    const first = start();
    const { turnId, branchId } = await note(first, 'deaf');
    await until(first.engine, () => turnState(first.engine, turnId) === 'running', 'it runs');
    const { removal } = await first.engine.owner();
    const removing = assert.rejects(removal.remove(branchId, true), /lets go of the queue/);
    await until(first.engine, () => first.engine.state.turn(turnId)?.cancelRequested === true, 'the removal waits for it');
    const second = start();
    await second.engine.ready;
    await second.engine.takeOver();
    await removing;
    await until(second.engine, () => second.engine.state.branch(branchId)?.worktreeState === 'removed', 'it is removed');
  });

  it('handed back and forth while prompts are queued lose none and double none, and never have two owners', async () => {
    const windows = [start(), start()];
    const accepted = new Set<string>();
    let refused = 0;
    let isOver = false;
    const writing = windows.map(async (one, index) => {
      for (let n = 0; !isOver; n += 1) {
        await note(one, `append ../../said ${index}-${n}`, `b${n % 3}`).then(
          ({ turnId }) => accepted.add(turnId),
          () => {
            refused += 1;
          },
        );
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
    });
    const times = moreRounds(6);
    for (let time = 0; time < times; time += 1) {
      const one = windows[time % 2] as TestEngine;
      await one.engine.ready;
      await one.engine.takeOver();
      assert.equal(windows.filter(({ engine }) => engine.isOwner).length, 1);
      handovers += 1;
    }
    isOver = true;
    await Promise.all(writing);
    const { engine } = windows.find((one) => one.engine.isOwner) as TestEngine;
    await untilEnded(engine, ...accepted);
    const lines = readFileSync(join(folder, 'said'), 'utf8').trim().split('\n');
    assert.equal(new Set(lines).size, lines.length, 'nothing is said twice');
    assert.equal(lines.length, accepted.size);
    assert.ok(refused > 0, 'a window that does not own the queue refuses');
  });

  it('with storages of their own on one repository: one worktree, one agent in it at a time, both queues drain (invariant 3, requirement 34)', async () => {
    const windows = [start({}, join(folder, 'w1')), start({}, join(folder, 'w2')), start({}, join(folder, 'w3'))];
    const trace = join(folder, 'trace');
    // Each says when it is in and when it is out; a file that is there already means that two are in.
    const script = `count ${join(folder, 'ran')}\nappend ${trace} in\nburst 40\nappend ${trace} out`;
    const asked = await Promise.all(
      windows.flatMap((one) =>
        [note(one, script), note(one, script), note(one, script)].map(async (ids) => ({ one, ...(await ids) })),
      ),
    );
    for (const { one, turnId } of asked) {
      await untilEnded(one.engine, turnId);
      assert.equal(turnState(one.engine, turnId), 'completed', one.engine.state.turn(turnId)?.error?.message);
    }
    assert.equal(readFileSync(trace, 'utf8'), 'in\nout\n'.repeat(asked.length));
    assert.equal(readFileSync(join(folder, 'ran'), 'utf8').length, asked.length * 2);
    assert.deepEqual(git(repository, 'worktree', 'list').split('\n').length, 2);
  });

  it("with storages of their own: a turn in the other's worktree waits for the agent that is in it, says so, and can be cancelled (invariant 3)", async () => {
    const [one, two] = [start({}, join(folder, 'w1')), start({}, join(folder, 'w2'))];
    const trace = join(folder, 'trace');
    const first = await note(one, `append ${trace} first in\nwait ../go\nappend ${trace} first out`);
    await until(one.engine, () => existsSync(trace), 'the first is in');
    const second = await note(two, `append ${trace} second`);
    const third = await note(two, `append ${trace} third`);
    const told = async () =>
      (await readTranscript(transcriptPath(two.engine.folder, second.sessionId))).some(
        (entry) => entry.type === 'notice' && /Waiting: something else writes in this worktree/.test(entry.text),
      );
    let says = false;
    await until(
      two.engine,
      () => {
        void told().then((found) => {
          says ||= found;
        });
        return says || readFileSync(trace, 'utf8').includes('second');
      },
      'the second waits',
    );
    assert.equal(readFileSync(trace, 'utf8'), 'first in\n');
    await (await two.engine.owner()).queue.cancel(second.turnId);
    await untilEnded(two.engine, second.turnId);
    assert.equal(turnState(two.engine, second.turnId), 'cancelled');
    writeFileSync(join(folder, 'repo.worktrees', 'go'), '');
    await untilEnded(one.engine, first.turnId);
    await untilEnded(two.engine, third.turnId);
    assert.equal(readFileSync(trace, 'utf8'), 'first in\nfirst out\nthird\n');
  });

  it('a worktree that one window is making is not taken for a broken one by another: it waits (requirements 46, 48)', async () => {
    const hook = join(repository, '.git', 'hooks', 'post-checkout');
    mkdirSync(dirname(hook), { recursive: true });
    writeFileSync(
      hook,
      `#!/bin/sh\ntouch '${join(folder, 'making')}'\nwhile ! test -e '${join(folder, 'go')}'; do sleep 0.02; done\n`,
    );
    chmodSync(hook, 0o755);
    const other = makeRepository(folder, 'other');
    const [one, two] = [start({}, join(folder, 'w1')), start({}, join(folder, 'w2'))];
    const first = await note(one, 'say one');
    await until(one.engine, () => existsSync(join(folder, 'making')), 'git is at it');
    const second = await note(two, 'say two');
    const elsewhere = await (await two.engine.owner()).queue.enqueue({
      repository: other,
      branch: 'b',
      kind: 'note',
      prompt: 'say elsewhere',
    });
    await untilEnded(two.engine, elsewhere.turnId); // It has looked at the first repository by then.
    assert.equal(two.engine.state.branch(second.branchId)?.worktreeState, 'queued');
    writeFileSync(join(folder, 'go'), '');
    await untilEnded(one.engine, first.turnId);
    await untilEnded(two.engine, second.turnId);
    assert.deepEqual([turnState(one.engine, first.turnId), turnState(two.engine, second.turnId)], ['completed', 'completed']);
    assert.deepEqual(readdirSync(join(folder, 'repo.worktrees')), ['b']);
  });

  it('that make worktrees of one repository at once wait for each other, whatever git is doing (requirement 46)', async () => {
    const branches = Array.from({ length: 8 }, (_, n) => `b${n}`);
    const windows = [start({}, join(folder, 'w1')), start({}, join(folder, 'w2'))];
    const asked = await Promise.all(
      branches.flatMap((branch) => windows.map(async (one) => ({ one, ...(await note(one, 'say hello', branch)) }))),
    );
    for (const { one, turnId } of asked) await untilEnded(one.engine, turnId);
    assert.deepEqual(
      asked.map(({ one, turnId }) => turnState(one.engine, turnId)),
      asked.map(() => 'completed'),
    );
    assert.deepEqual(
      windows.map(({ problems }) => problems),
      [[], []],
    );
  });

  it('overlapping in a reload: the old one acknowledges nothing once the new one has opened the storage', async () => {
    const storage = join(folder, 'storage');
    const older = await openStore(storage, undefined, 'older');
    const row = branchRow('b');
    await older.store.commit((tx) => tx.insert('branch', row));
    const newer = await openStore(storage, undefined, 'newer');
    await assert.rejects(
      older.store.commit((tx) => tx.update('branch', 'b', { changedAt: 2 })),
      (error: unknown) => error instanceof StorageError && /Another window has taken over/.test(error.message),
    );
    await newer.store.commit((tx) => tx.update('branch', 'b', { changedAt: 3 }));
    await assert.rejects(
      older.store.commit((tx) => tx.update('branch', 'b', { changedAt: 4 })),
      /Another window has taken over/,
    );
    await older.store.close();
    await newer.store.close();
    const last = await openStore(storage);
    assert.equal(last.store.state.branch('b')?.changedAt, 3);
    assert.deepEqual(last.problems, []);
    await last.store.close();
  });

  it('a lock whose holder was killed is free at once', async () => {
    const name = `test:${folder}`;
    const program = `import { acquire } from ${JSON.stringify(fileURLToPath(new URL('../../src/platform/exclusive.ts', import.meta.url)))}; await acquire(${JSON.stringify(name)}); console.log('held'); setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    assert.equal(await acquire(name), undefined);
    const gone = new Promise((resolve) => holder.once('exit', resolve));
    holder.kill('SIGKILL');
    await gone;
    const held = await acquire(name);
    assert.ok(held);
    await held.release();
  });

  it('hosts of earlier windows are ended by pid and start time with all they started; a process that only has the pid is never touched (invariant 9)', async () => {
    const hosts = join(folder, 'storage', 'hosts');
    mkdirSync(hosts, { recursive: true });
    const child = (environment: NodeJS.ProcessEnv = {}) =>
      spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {
        stdio: 'ignore',
        detached: true,
        env: { ...process.env, ...environment },
      });
    const orphan = child();
    const agentOfOrphan = child({ [markVariable]: 'orphan' });
    const stranger = child();
    const file = (hostId: string, pid: number | undefined, startTime: string | undefined) =>
      writeFileSync(
        join(hosts, `${hostId}.json`),
        JSON.stringify({
          hostId,
          token: 'x',
          socket: join(folder, `${hostId}.sock`),
          pid: pid ?? null,
          startTime: startTime ?? null,
        }),
      );
    const [orphanId, agentId, strangerId] = [orphan, agentOfOrphan, stranger].map(({ pid }) => ({
      pid: pid as number,
      startTime: startTimeOf(pid as number) as string,
    }));
    file('orphan', orphan.pid, orphanId?.startTime);
    file('reused', stranger.pid, '1'); // The pid of a host of long ago, which somebody else has by now.
    file('unborn', undefined, undefined);
    writeFileSync(join(hosts, 'broken.json'), 'not json');
    const one = start();
    await one.engine.ready;
    assert.equal(isAlive(orphanId as never), false);
    assert.equal(isAlive(agentId as never), false);
    assert.equal(isAlive(strangerId as never), true);
    assert.deepEqual(
      readdirSync(hosts).filter((name) => /orphan|reused|unborn|broken/.test(name)),
      [],
    );
    stranger.kill('SIGKILL');
  });

  it('a clock that jumps changes no order, loses nothing and keeps no turn waiting', async () => {
    let now = Date.now();
    const one = startEngine(folder, repository, { agents: { test: testAgent }, defaultAgent: 'test' }, { now: () => now });
    running.push(one);
    const ids: string[] = [];
    const day = 86_400_000;
    for (const jump of [0, day, -400 * day, 30 * day, -day]) {
      now += jump;
      ids.push((await note(one, `append ../order ${ids.length}`)).turnId);
    }
    await untilEnded(one.engine, ...ids);
    assert.equal(readFileSync(join(folder, 'repo.worktrees', 'order'), 'utf8'), '0\n1\n2\n3\n4\n');
    await one.engine.dispose();
    now -= 2_000 * day;
    const again = startEngine(folder, repository, { agents: { test: testAgent }, defaultAgent: 'test' }, { now: () => now });
    running.push(again);
    await again.engine.ready;
    const { compareRows } = await import('../../src/model/order.ts');
    assert.deepEqual(
      Array.from(again.engine.state.turns())
        .sort(compareRows)
        .map(({ id }) => id),
      ids,
    );
    const last = await note(again, 'append ../order 5');
    await untilEnded(again.engine, last.turnId);
    assert.ok(existsSync(join(folder, 'repo.worktrees', 'order')));
  });
});
