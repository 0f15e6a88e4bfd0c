import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostFileSchema } from '../../src/agentHost/protocol.ts';
import { isAlive, startTimeOf } from '../../src/platform/processes.ts';
import { readTranscript, transcriptPath } from '../../src/store/transcripts.ts';
import type { EngineOptions } from '../../src/sessions/engine.ts';
import {
  startEngine,
  stopEngine,
  stoppedAfterEach,
  testAgent,
  type TestEngine,
  type TestSettings,
  turnState,
  until,
  untilEnded,
} from '../support/engines.ts';
import { report } from '../support/report.ts';
import { makeRepository } from '../support/repositories.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { rounds } from './rounds.ts';

describe('Agents and their hosts in trouble', () => {
  let folder: string;
  let done = 0;
  const running = stoppedAfterEach();
  beforeEach(() => {
    folder = temporaryFolder();
  });
  after(() => report('agents and hosts', { rounds: done }));
  const start = (patch: Partial<TestSettings> = {}, env: Record<string, string> = {}, options: Partial<EngineOptions> = {}) => {
    const repository = existsSync(join(folder, 'repo')) ? join(folder, 'repo') : makeRepository(folder);
    const started = startEngine(
      folder,
      repository,
      { agents: { test: { ...testAgent, env } }, defaultAgent: 'test', ...patch },
      options,
    );
    running.push(started);
    return started;
  };
  const note = async ({ engine }: TestEngine, prompt: string, branch = 'b') =>
    (await engine.owner()).queue.enqueue({ branch, kind: 'note', prompt });
  const inWorktree = (path: string, branch = 'b') => join(folder, 'repo.worktrees', branch, path);
  const times = (name: string) =>
    existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'utf8').split('\n').length - 1 : 0;
  const hostOf = ({ engine }: TestEngine, turnId: string) =>
    hostFileSchema.parse(
      JSON.parse(readFileSync(join(folder, 'storage', 'hosts', `${engine.state.turn(turnId)?.hostId}.json`), 'utf8')),
    );
  const identityIn = (path: string) => {
    const pid = Number(readFileSync(path, 'utf8'));
    return { pid, startTime: startTimeOf(pid) ?? '' };
  };
  const kill = (pid: number | null) => process.kill(pid as number, 'SIGKILL');

  for (const onFailure of ['pause', 'continue'] as const) {
    it(`a host that is killed while its agent works: the turn is interrupted, its processes end, the queue ${onFailure === 'pause' ? 'pauses' : 'goes on'}`, async () => {
      for (let n = 0; n < rounds(1); n += 1) {
        const one = start({ onFailure });
        const first = await note(one, `count ${join(folder, `first-${n}`)}\nspawn child.pid\nhang`);
        const second = await note(one, `count ${join(folder, `second-${n}`)}`);
        await until(
          one.engine,
          () =>
            turnState(one.engine, first.turnId) === 'running' && existsSync(inWorktree('child.pid')) && times(`first-${n}`) === 1,
          'it works',
        );
        const child = identityIn(inWorktree('child.pid'));
        kill(hostOf(one, first.turnId).pid);
        await untilEnded(one.engine, first.turnId);
        assert.equal(turnState(one.engine, first.turnId), 'interrupted');
        assert.match(one.engine.state.turn(first.turnId)?.error?.message ?? '', /ended before the turn was over.*retry or skip/);
        await until(one.engine, () => !isAlive(child), 'what the agent started has ended');
        if (onFailure === 'pause') {
          assert.equal(one.engine.state.branch(first.branchId)?.paused, 'failure');
          assert.equal(turnState(one.engine, second.turnId), 'queued');
          await (await one.engine.owner()).queue.resume(first.branchId);
        }
        await untilEnded(one.engine, second.turnId);
        assert.deepEqual([times(`first-${n}`), times(`second-${n}`)], [1, 1]);
        await stopEngine(one);
        running.splice(0);
        done += 1;
      }
    });
  }

  it('a host that is killed before the agent has the prompt: the turn waits again in its place and runs once (requirement 16)', async () => {
    const go = join(folder, 'go');
    const one = start({}, { TEST_AGENT_WAITS: go });
    const first = await note(one, `count ${join(folder, 'first')}`);
    const second = await note(one, `count ${join(folder, 'second')}`);
    await until(
      one.engine,
      () => turnState(one.engine, first.turnId) === 'starting' && hostOf(one, first.turnId).pid !== null,
      'it starts',
    );
    kill(hostOf(one, first.turnId).pid);
    await until(one.engine, () => one.engine.state.turn(first.turnId)?.attempt === 2, 'it is tried again');
    writeFileSync(go, '');
    await untilEnded(one.engine, first.turnId, second.turnId);
    assert.deepEqual([turnState(one.engine, first.turnId), turnState(one.engine, second.turnId)], ['completed', 'completed']);
    assert.deepEqual([times('first'), times('second')], [1, 1]);
    done += 1;
  });

  it('a host that is killed with the prompt handed over and no window there to hear of it: the prompt is never sent again by itself (invariant 2)', async () => {
    const go = join(folder, 'go');
    const first = start({}, { TEST_AGENT_WAITS: go });
    const { turnId, sessionId } = await note(first, `count ${join(folder, 'ran')}\nhang`);
    await until(
      first.engine,
      () => turnState(first.engine, turnId) === 'starting' && hostOf(first, turnId).pid !== null,
      'it starts',
    );
    const { pid } = hostOf(first, turnId);
    await first.engine.dispose();
    writeFileSync(go, '');
    await until(first.engine, () => times('ran') === 1, 'the agent has the prompt');
    kill(pid);
    const second = start({}, { TEST_AGENT_WAITS: go });
    await second.engine.ready;
    await untilEnded(second.engine, turnId);
    assert.equal(turnState(second.engine, turnId), 'interrupted');
    assert.equal(times('ran'), 1);
    assert.equal(
      (await readTranscript(transcriptPath(join(folder, 'storage'), sessionId))).filter(({ type }) => type === 'handover').length,
      1,
    );
    done += 1;
  });

  it('an agent that never gets ready is stopped at once, and holds up only its own branch (requirements 50, 51)', async () => {
    const one = start({}, { TEST_AGENT_WAITS: join(folder, 'never') });
    const stuck = await note(one, 'say never');
    const other = await (await one.engine.owner()).queue.enqueue({
      branch: 'other',
      kind: 'note',
      agent: 'shell',
      prompt: 'echo hello',
    });
    await untilEnded(one.engine, other.turnId);
    assert.equal(turnState(one.engine, other.turnId), 'completed');
    assert.equal(turnState(one.engine, stuck.turnId), 'starting');
    await (await one.engine.owner()).queue.cancel(stuck.turnId);
    await untilEnded(one.engine, stuck.turnId);
    assert.equal(turnState(one.engine, stuck.turnId), 'cancelled');
    done += 1;
  });

  it('an agent that never gets ready fails its turn at the time limit, with words, and leaves no process (requirement 51)', async () => {
    // A shell is there long before the limit, however slow the machine is.
    const says = { ...testAgent, command: 'sh', args: ['-c', `echo $$ > '${join(folder, 'pid')}'; exec sleep 300`] };
    const one = start({ agents: { test: says } }, {}, { timeLimits: { start: 1_500, silence: 60_000 } });
    const first = await note(one, 'say never');
    const second = await note(one, 'say neither');
    await until(
      one.engine,
      () => existsSync(join(folder, 'pid')) && identityIn(join(folder, 'pid')).startTime !== '',
      'the agent runs',
    );
    const agent = identityIn(join(folder, 'pid'));
    assert.ok(isAlive(agent));
    await untilEnded(one.engine, first.turnId);
    assert.equal(turnState(one.engine, first.turnId), 'failed');
    assert.match(
      one.engine.state.turn(first.turnId)?.error?.message ?? '',
      /Test Agent did not start within 1\.5 s\. See in a terminal whether it starts there, then retry\./,
    );
    await until(one.engine, () => !isAlive(agent), 'the agent has ended');
    assert.deepEqual(
      [one.engine.state.branch(first.branchId)?.paused, turnState(one.engine, second.turnId)],
      ['failure', 'queued'],
    );
    done += 1;
  });

  it('an agent that says nothing for long is shown as silent until it speaks; nothing is done to it (requirement 51)', async () => {
    const one = start({}, {}, { timeLimits: { start: 120_000, silence: 300 } });
    const { turnId } = await note(one, 'wait ../speak\nsay back again\nwait ../end');
    const silent = () => one.engine.state.turn(turnId)?.silentSince ?? null;
    await until(one.engine, () => silent() !== null, 'it is shown as silent');
    const since = silent();
    writeFileSync(inWorktree('../speak'), '');
    await until(one.engine, () => silent() !== since, 'it speaks');
    await until(one.engine, () => (silent() ?? 0) > (since ?? 0), 'it is silent again');
    writeFileSync(inWorktree('../end'), '');
    await untilEnded(one.engine, turnId);
    assert.deepEqual([turnState(one.engine, turnId), silent()], ['completed', null]);
    done += 1;
  });

  it('an agent that is killed, or kills itself: the turn fails with words, what it started ends, the session goes on', async () => {
    const one = start({ onFailure: 'continue' });
    const { sessionId, turnId } = await note(one, 'spawn child.pid\ndie');
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'failed');
    assert.match(one.engine.state.turn(turnId)?.error?.message ?? '', /Test Agent ended by SIGKILL/);
    const child = identityIn(inWorktree('child.pid'));
    await until(one.engine, () => !isAlive(child), 'what it started has ended');
    const next = await (await one.engine.owner()).queue.enqueueTurn(sessionId, { prompt: 'say on' });
    await untilEnded(one.engine, next.turnId);
    assert.equal(turnState(one.engine, next.turnId), 'completed');
    done += 1;
  });

  it('an agent that closes its input: what was said is kept, a prompt that it does not hear can be ended, and a retry starts it again', async () => {
    const one = start({ onFailure: 'continue' });
    const { sessionId, turnId } = await note(one, 'say before\ncloseinput\nsay after');
    await untilEnded(one.engine, turnId);
    const { queue } = await one.engine.owner();
    const next = await queue.enqueueTurn(sessionId, { prompt: `count ${join(folder, 'next')}` });
    await until(
      one.engine,
      () => ['running', 'failed'].includes(turnState(one.engine, next.turnId) ?? ''),
      'it was sent, or could not be',
    );
    if (turnState(one.engine, next.turnId) === 'running') await queue.cancel(next.turnId);
    await untilEnded(one.engine, next.turnId);
    assert.equal(times('next'), 0);
    await queue.retry(next.turnId);
    await untilEnded(one.engine, next.turnId);
    assert.equal(turnState(one.engine, next.turnId), 'completed');
    assert.equal(times('next'), 1);
    const said = (await readTranscript(transcriptPath(join(folder, 'storage'), sessionId)))
      .map((entry) => (entry.type === 'text' ? entry.text : ''))
      .join('');
    assert.match(said, /^before\nafter\n/);
    done += 1;
  });

  it('over many closed and opened windows a turn goes on, its transcript has no gap, and its question can be answered (invariant 8)', async () => {
    const first = start();
    const { turnId, sessionId } = await note(
      first,
      `count ${join(folder, 'ran')}\n${Array.from({ length: 6 }, (_, n) => `wait ../go-${n}\nburst 30`).join('\n')}\nask May I?`,
    );
    await until(first.engine, () => turnState(first.engine, turnId) === 'running', 'it runs');
    let one = first;
    for (let n = 0; n < 6; n += 1) {
      await one.engine.dispose();
      writeFileSync(inWorktree(`../go-${n}`), ''); // It works on while nobody looks.
      one = start();
      await one.engine.ready;
      assert.equal(turnState(one.engine, turnId), 'running');
      done += 1;
    }
    await until(one.engine, () => one.engine.state.turn(turnId)?.permission != null, 'it asks');
    await one.engine.dispose();
    one = start();
    (await one.engine.owner()).dispatcher.respond(one.engine.state.turn(turnId)?.permission?.id ?? '', 'yes');
    await untilEnded(one.engine, turnId);
    const entries = await readTranscript(transcriptPath(join(folder, 'storage'), sessionId));
    assert.deepEqual(
      entries.map(({ seq }) => seq),
      entries.map((_, index) => index + 1),
    );
    assert.equal(
      entries.map((entry) => (entry.type === 'text' ? entry.text : '')).join(''),
      `${Array.from({ length: 30 }, (_, n) => `line ${n}\n`)
        .join('')
        .repeat(6)}answer: yes\n`,
    );
    assert.equal(times('ran'), 1);
  });
});
