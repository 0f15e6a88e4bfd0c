import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { hostFileSchema } from '../../src/agentHost/protocol.ts';
import { Hosts, type HostsOptions } from '../../src/agents/hosts.ts';
import { randomId } from '../../src/model/ids.ts';
import { isAlive, markVariable, startTimeOf } from '../../src/platform/processes.ts';
import {
  programs,
  startEngine,
  stoppedAfterEach,
  testAgent,
  type TestEngine,
  turnState,
  until,
  untilEnded,
} from '../support/engines.ts';
import { report } from '../support/report.ts';
import { makeRepository } from '../support/repositories.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { rounds } from './rounds.ts';

describe('What is frozen, or has lost its ground', function () {
  this.timeout(120_000);
  let folder: string;
  let done = 0;
  const running = stoppedAfterEach();
  const stopped: number[] = [];
  const hostsMade: Hosts[] = [];
  const runtimeBefore = process.env.XDG_RUNTIME_DIR;
  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => {
    for (const pid of stopped.splice(0)) signal(pid, 'SIGKILL');
    for (const hosts of hostsMade.splice(0)) hosts.dispose();
    if (runtimeBefore === undefined) delete process.env.XDG_RUNTIME_DIR;
    else process.env.XDG_RUNTIME_DIR = runtimeBefore;
    done += 1;
  });
  after(() => report('frozen hosts and agents', { rounds: done }));

  function signal(pid: number, name: NodeJS.Signals): void {
    try {
      process.kill(pid, name);
    } catch {
      // Gone.
    }
  }
  const freeze = (pid: number | null | undefined) => {
    assert.ok(pid);
    stopped.push(pid);
    process.kill(pid, 'SIGSTOP');
    return { pid, startTime: startTimeOf(pid) ?? '' };
  };
  const start = () => {
    const repository = existsSync(join(folder, 'repo')) ? join(folder, 'repo') : makeRepository(folder);
    const env = { TEST_AGENT_PID: join(folder, 'agent.pid') };
    const one = startEngine(folder, repository, {
      agents: { test: { ...testAgent, env } },
      defaultAgent: 'test',
      onFailure: 'continue',
    });
    running.push(one);
    return one;
  };
  const note = async ({ engine }: TestEngine, prompt: string, branch = 'b') =>
    (await engine.owner()).queue.enqueue({ branch, kind: 'note', prompt });
  const hostFile = (hostId: string | null | undefined) =>
    hostFileSchema.parse(JSON.parse(readFileSync(join(folder, 'storage', 'hosts', `${hostId}.json`), 'utf8')));
  const hostOf = ({ engine }: TestEngine, turnId: string) => hostFile(engine.state.turn(turnId)?.hostId);
  /** The user's last login has ended: the folder is gone, and only the system could make it again. */
  const vanish = (runtime: string) => {
    rmSync(runtime, { recursive: true });
    writeFileSync(runtime, '');
  };
  const inWorktree = (path: string) => join(folder, 'repo.worktrees', 'b', path);

  it('a host that is stopped and told to cancel is ended by identity, with its agent; its branch goes on (W7)', async () => {
    for (let n = 0; n < rounds(1); n += 1) {
      const one = start();
      const { turnId } = await note(one, `write ran-${n} x\nhang`);
      await until(
        one.engine,
        () => turnState(one.engine, turnId) === 'running' && existsSync(inWorktree(`ran-${n}`)),
        'it works',
      );
      const agent = { pid: Number(readFileSync(join(folder, 'agent.pid'), 'utf8')), startTime: '' };
      agent.startTime = startTimeOf(agent.pid) ?? '';
      const host = freeze(hostOf(one, turnId).pid);
      const next = await note(one, 'say next');
      await (await one.engine.owner()).queue.cancel(turnId);
      await untilEnded(one.engine, turnId, next.turnId);
      assert.deepEqual([turnState(one.engine, turnId), turnState(one.engine, next.turnId)], ['cancelled', 'completed']);
      assert.deepEqual([isAlive(host), isAlive(agent)], [false, false]);
    }
  });

  it('a host that is stopped before it is given its turn is ended, and the turn runs once in another (W7)', async () => {
    const one = start();
    const { hosts } = await one.engine.owner();
    const first = await note(one, 'say first');
    await untilEnded(one.engine, first.turnId);
    const hostFolder = join(folder, 'storage', 'hosts');
    const spares = () =>
      readdirSync(hostFolder)
        .filter((name) => name.endsWith('.json') && name !== `${one.engine.state.turn(first.turnId)?.hostId}.json`)
        .map((name) => hostFile(name.slice(0, -5)))
        .filter(({ pid, hostId }) => pid !== null && hosts.connected(hostId));
    await until(one.engine, () => spares().length === 1, 'one is kept ready');
    const host = freeze(spares()[0]?.pid);
    const second = await note(one, `count ${join(folder, 'ran')}`, 'other');
    await untilEnded(one.engine, second.turnId);
    assert.equal(turnState(one.engine, second.turnId), 'completed');
    assert.equal(readFileSync(join(folder, 'ran'), 'utf8'), 'x\n');
    assert.equal(isAlive(host), false);
  });

  it('an agent that is stopped is ended after a cancel; its branch goes on (W7)', async () => {
    const one = start();
    const { turnId } = await note(one, 'write ran x\nhang');
    await until(one.engine, () => turnState(one.engine, turnId) === 'running' && existsSync(inWorktree('ran')), 'it works');
    const agent = freeze(Number(readFileSync(join(folder, 'agent.pid'), 'utf8')));
    const next = await note(one, 'say next');
    await (await one.engine.owner()).queue.cancel(turnId);
    await untilEnded(one.engine, turnId, next.turnId);
    assert.deepEqual([turnState(one.engine, turnId), turnState(one.engine, next.turnId)], ['cancelled', 'completed']);
    assert.equal(isAlive(agent), false);
  });

  it('a host whose socket vanished with the runtime folder is found again by the next window, and its turn goes on (W8)', async () => {
    const runtime = join(folder, 'run');
    mkdirSync(runtime);
    process.env.XDG_RUNTIME_DIR = runtime;
    const first = start();
    const { turnId } = await note(first, `count ${join(folder, 'ran')}\nwait ../go\nsay done`);
    await until(first.engine, () => turnState(first.engine, turnId) === 'running' && existsSync(join(folder, 'ran')), 'it runs');
    const host = hostOf(first, turnId);
    assert.ok(host.socket.startsWith(runtime));
    vanish(runtime);
    await first.engine.dispose();
    const second = start();
    await second.engine.ready;
    assert.equal(turnState(second.engine, turnId), 'running');
    const found = hostOf(second, turnId);
    assert.equal(found.pid, host.pid);
    assert.ok(!found.socket.startsWith(runtime));
    assert.equal(statSync(found.socket).mode & 0o777, 0o600);
    const later = await note(second, 'say later');
    writeFileSync(inWorktree('../go'), '');
    await untilEnded(second.engine, turnId, later.turnId);
    assert.deepEqual([turnState(second.engine, turnId), turnState(second.engine, later.turnId)], ['completed', 'completed']);
    assert.equal(readFileSync(join(folder, 'ran'), 'utf8'), 'x\n');
  });

  it('a window that is connected when the folder vanishes notices nothing, and starts new hosts elsewhere (W8)', async () => {
    const runtime = join(folder, 'run');
    mkdirSync(runtime);
    process.env.XDG_RUNTIME_DIR = runtime;
    const one = start();
    const { turnId } = await note(one, 'write ran x\nwait ../go\nsay done');
    await until(one.engine, () => turnState(one.engine, turnId) === 'running' && existsSync(inWorktree('ran')), 'it runs');
    vanish(runtime);
    const other = await note(one, 'say other', 'other');
    const another = await note(one, 'say another', 'another');
    await untilEnded(one.engine, other.turnId, another.turnId);
    assert.deepEqual([turnState(one.engine, other.turnId), turnState(one.engine, another.turnId)], ['completed', 'completed']);
    writeFileSync(inWorktree('../go'), '');
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'completed');
  });

  describe('Hosts of earlier windows', () => {
    const makeHosts = (patch: Partial<HostsOptions> = {}) => {
      const nothing = () => undefined;
      const hosts = new Hosts({
        folder: join(folder, 'hosts'),
        program: join(programs, 'agentHost.js'),
        epoch: 1,
        newId: randomId,
        events: { onStatus: nothing, onEntries: nothing, onClosed: nothing },
        log: nothing,
        ...patch,
      });
      hostsMade.push(hosts);
      return hosts;
    };
    const write = (hostId: string, pid: number, socket = join(folder, `${hostId}.sock`)) =>
      writeFileSync(
        join(folder, 'hosts', `${hostId}.json`),
        JSON.stringify({ hostId, token: 'x', socket, pid, startTime: startTimeOf(pid) ?? null }),
      );
    const startProgram = async (program: string, environment: NodeJS.ProcessEnv = {}) => {
      const child = spawn(process.execPath, ['-e', `${program}; process.stdout.write('up')`], {
        detached: true,
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, ...environment },
      });
      stopped.push(child.pid as number);
      await once(child.stdout, 'data');
      return child.pid as number;
    };

    it('that have no turn any more are ended beside each other: one that is slow to end holds up none (W10)', async () => {
      const hosts = makeHosts({ endGrace: 60_000 });
      const trace = join(folder, 'trace');
      writeFileSync(trace, '');
      const count = 4;
      // What each has started clears up, but only once all were asked to.
      const program = `const fs = require('node:fs'); let asked = false; process.on('SIGTERM', () => { if (asked) return; asked = true; fs.appendFileSync(${JSON.stringify(trace)}, 'asked\\n'); const look = () => { if (fs.readFileSync(${JSON.stringify(trace)}, 'utf8').split('asked').length > ${count}) { fs.appendFileSync(${JSON.stringify(trace)}, 'cleared\\n'); process.exit(0); } }; setInterval(look, 5); }); setInterval(() => {}, 1000)`;
      await Promise.all(
        Array.from({ length: count }, async (_, n) => {
          write(`orphan-${n}`, await startProgram('setInterval(() => {}, 1000)'));
          await startProgram(program, { [markVariable]: `orphan-${n}` });
        }),
      );
      await hosts.endOrphans(new Set());
      assert.equal(readFileSync(trace, 'utf8').split('cleared').length - 1, count);
      assert.deepEqual(readdirSync(join(folder, 'hosts')), []);
    });

    it('that answer nothing hold up nobody who looks for another one (W10)', async () => {
      const hosts = makeHosts();
      const mute = createServer(() => undefined).listen(join(folder, 'mute.sock'));
      await once(mute, 'listening');
      const living = await makeHosts().take();
      write('mute', process.pid, join(folder, 'mute.sock'));
      let gaveUp = false;
      const never = hosts.find('mute').then((found) => {
        gaveUp = true;
        return found;
      });
      const found = await hosts.find(living.hostId);
      assert.ok(found && !gaveUp);
      assert.equal(await never, undefined);
      assert.equal(hosts.isAlive('mute'), true);
      rmSync(join(folder, 'hosts', 'mute.json'));
      mute.close();
      await hosts.end(living.hostId);
    });

    it('leave no log: neither when they end themselves, nor when they are killed (W15)', async () => {
      const hosts = makeHosts();
      const first = await hosts.take();
      const second = await hosts.take();
      const names = () => readdirSync(join(folder, 'hosts')).sort();
      assert.equal(names().length, 4);
      const pid = (hostId: string) =>
        hostFileSchema.parse(JSON.parse(readFileSync(join(folder, 'hosts', `${hostId}.json`), 'utf8'))).pid as number;
      const firstPid = pid(first.hostId);
      process.kill(pid(second.hostId), 'SIGKILL');
      first.shutdown();
      await gone(firstPid);
      assert.deepEqual(
        names().filter((name) => name.startsWith(first.hostId)),
        [],
      );
      appendFileSync(join(folder, 'hosts', 'of-an-earlier-version.log'), 'left');
      await makeHosts().endOrphans(new Set());
      assert.deepEqual(names(), []);
    });

    it('whose log grows keep its last lines (W15)', async () => {
      const hosts = makeHosts();
      const host = await hosts.take();
      const path = join(folder, 'hosts', `${host.hostId}.log`);
      for (let n = 0; n < 20; n += 1) appendFileSync(path, `${'x'.repeat(99_999)}\n`);
      const deadline = performance.now() + 30_000;
      while (statSync(path).size > 256 * 1024) {
        assert.ok(performance.now() < deadline, `It is ${statSync(path).size} bytes long.`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      await hosts.end(host.hostId);
    });
  });

  /** Resolves when there is no such process. */
  async function gone(pid: number): Promise<void> {
    while (startTimeOf(pid) !== undefined) await new Promise((resolve) => setTimeout(resolve, 10));
  }
});
