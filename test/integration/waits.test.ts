import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { goOnWord, mostGoOns } from '../../src/sessions/agentWaits.ts';
import { goOnElsewhere } from '../../src/sessions/continuation.ts';
import { waitingFor } from '../../src/sessions/nextTurn.ts';
import type { QueuedIds } from '../../src/sessions/queue.ts';
import { unavailableAgents } from '../../src/sessions/unavailableAgents.ts';
import { readTranscript, transcriptPath } from '../../src/store/transcripts.ts';
import { startEngine, stoppedAfterEach, testAgent, type TestSettings, turnState, until, untilEnded } from '../support/engines.ts';
import { git, makeRepository } from '../support/repositories.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const limit = "You've hit your session limit · resets 3:10am (Asia/Seoul)";

describe('Agents that can’t work now', () => {
  let folder: string;
  let repository: string;
  const running = stoppedAfterEach();
  const start = (patch: Partial<TestSettings> = {}) => {
    const env = { TEST_AGENT_BACK: join(folder, 'back') };
    const started = startEngine(folder, repository, {
      agents: { test: { ...testAgent, env }, other: { ...testAgent, name: 'Other' } },
      defaultAgent: 'test',
      ...patch,
    });
    running.push(started);
    return started;
  };
  type Started = ReturnType<typeof start>;
  beforeEach(() => {
    folder = temporaryFolder();
    repository = makeRepository(folder);
  });
  const entries = (sessionId: string) => readTranscript(transcriptPath(join(folder, 'storage'), sessionId));
  const works = () => writeFileSync(join(folder, 'works'), '');
  /** While the file `works` is not there, the agent says that it can't. */
  const unlessItWorks = (order: string) => `unless ../../works ${order}`;
  const wait = ({ engine }: Started, agent = 'test') => engine.state.agentWait(agent);
  const reason = ({ engine }: Started, branchId: string) => {
    const snapshot = engine.queueSnapshot();
    const head = engine.state.line(branchId)[0];
    assert.ok(head);
    return waitingFor(head, snapshot, snapshot.branches.get(branchId));
  };
  const untilItWaits = (one: Started, turnId: string) =>
    until(one.engine, () => wait(one) !== undefined && turnState(one.engine, turnId) === 'queued', 'it waits for the agent');

  it('hold up nobody but themselves: one fact, turns in their places, and all go on in order when it works (W1)', async () => {
    const one = start({ maxConcurrentTurns: 1 });
    const { engine } = one;
    const { queue } = await engine.owner();
    const branches = ['a', 'b', 'c', 'd', 'e', 'f'];
    const ids = [];
    for (const branch of branches) {
      const prompt = `${unlessItWorks(`fail ${limit}`)}\nappend ../../order ${branch}`;
      ids.push(await queue.enqueue({ branch, kind: 'commit', prompt }));
    }
    const other = await queue.enqueue({ branch: 'g', kind: 'note', agent: 'other', prompt: 'say hello' });
    await untilEnded(engine, other.turnId);
    await untilItWaits(one, ids[0]?.turnId ?? '');
    assert.equal(turnState(engine, other.turnId), 'completed', 'another agent goes on');
    const known = wait(one);
    assert.equal(known?.kind, 'limit');
    assert.ok((known?.until ?? 0) > Date.now(), 'the time that it named');
    assert.match(known?.said ?? '', /session limit/);
    for (const { branchId, turnId } of ids) {
      assert.equal(turnState(engine, turnId), 'queued');
      assert.equal(engine.state.branch(branchId)?.paused, 'no');
      assert.equal(reason(one, branchId), 'limit');
    }
    const [line] = unavailableAgents(engine.state, { nameOf: () => 'Test Agent', now: Date.now() });
    assert.match(line?.words ?? '', /^Test Agent has reached its limit until .*; 6 branches wait\.$/);
    works();
    await queue.tryAgent('test');
    await untilEnded(engine, ...ids.map(({ turnId }) => turnId));
    assert.equal(readFileSync(join(folder, 'order'), 'utf8'), branches.map((branch) => `${branch}\n`).join(''));
    assert.equal(wait(one), undefined);
    assert.deepEqual(
      ids.map(({ turnId }) => turnState(engine, turnId)),
      branches.map(() => 'completed'),
    );
  });

  it('are known over a restart, and tried by one turn alone', async () => {
    const first = start();
    const { queue } = await first.engine.owner();
    const prompt = `${unlessItWorks(`fail ${limit}`)}\nsay done`;
    const ids: QueuedIds[] = [];
    for (const branch of ['a', 'b', 'c']) ids.push(await queue.enqueue({ branch, kind: 'note', prompt }));
    await until(
      first.engine,
      () =>
        wait(first) !== undefined &&
        ids.every(
          ({ turnId, branchId }) =>
            turnState(first.engine, turnId) === 'queued' && first.engine.state.branch(branchId)?.worktreeState === 'ready',
        ),
      'all wait',
    );
    await first.engine.dispose();
    const one = start();
    const { engine } = one;
    const owner = await engine.owner();
    for (const { branchId } of ids) assert.equal(reason(one, branchId), 'limit');
    const attempts = () => ids.reduce((sum, { turnId }) => sum + (engine.state.turn(turnId)?.attempt ?? 0), 0);
    const before = attempts();
    const times = wait(one)?.times ?? 0;
    await owner.queue.tryAgent('test');
    await until(engine, () => wait(one)?.times === times + 1, 'it was tried, and can’t work still');
    assert.equal(attempts(), before + 1);
    works();
    await owner.queue.tryAgent('test');
    await untilEnded(engine, ...ids.map(({ turnId }) => turnId));
  });

  it('may say it as the last words of a turn that they call a success', async () => {
    const one = start();
    const { queue } = await one.engine.owner();
    const prompt = [unlessItWorks(`say ${limit}`), unlessItWorks('stop end_turn'), 'say worked'].join('\n');
    const { turnId, sessionId } = await queue.enqueue({ branch: 'a', kind: 'note', prompt });
    await untilItWaits(one, turnId);
    works();
    await queue.tryAgent('test');
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'completed');
    const prompts = (await entries(sessionId)).filter(({ type }) => type === 'prompt');
    assert.equal(prompts.length, 2, 'nothing was done for it, so the prompt is sent again');
  });

  it('that stop in the middle go on in their session with a word of ours, and the commit holds all of the work', async () => {
    const one = start();
    const { engine } = one;
    const { queue } = await engine.owner();
    const prompt = ['edit one.txt first half', unlessItWorks(`fail ${limit}`), 'edit two.txt never in this prompt'].join('\n');
    const { turnId, sessionId } = await queue.enqueue({ branch: 'a', kind: 'commit', title: 'Halves', prompt });
    await untilItWaits(one, turnId);
    assert.equal(engine.state.turn(turnId)?.goesOn?.times, 1);
    await assert.rejects(queue.edit(turnId, 'another one'), /has begun and waits for its agent/);
    works();
    await queue.tryAgent('test');
    await untilEnded(engine, turnId);
    assert.equal(turnState(engine, turnId), 'completed');
    const said = await entries(sessionId);
    assert.equal(said.filter(({ type }) => type === 'prompt').length, 1, 'the prompt is sent once');
    assert.ok(said.some((entry) => entry.type === 'notice' && entry.text === `Test Agent is told: ${goOnWord}`));
    const { commit } = engine.state.turn(turnId) ?? {};
    assert.equal(commit?.state, 'made');
    assert.equal(git(repository, 'show', '--format=', '--name-only', 'a'), 'one.txt');
  });

  it('leave the work of a turn that had begun to be seen and taken up when it is cancelled as it waits, or can not go on', async () => {
    const one = start();
    const { engine } = one;
    const { queue, hosts, work } = await engine.owner();
    const prompt = ['edit one.txt first half', unlessItWorks(`fail ${limit}`)].join('\n');
    const cancelled = await queue.enqueue({ branch: 'a', kind: 'commit', title: 'Half', prompt });
    await untilItWaits(one, cancelled.turnId);
    await queue.cancel(cancelled.turnId);
    const lost = await queue.enqueue({ branch: 'b', kind: 'commit', title: 'Half', prompt });
    await until(engine, () => engine.state.branch(lost.branchId)?.worktreeState === 'ready', 'it is next');
    await queue.tryAgent('test');
    await until(engine, () => engine.state.turn(lost.turnId)?.goesOn != null, 'it has begun, and waits');
    for (const { hostId } of [...hosts.all()]) await hosts.end(hostId);
    writeFileSync(join(folder, 'back'), JSON.stringify({ code: -32002, message: 'Session not found' }));
    await queue.tryAgent('test');
    await untilEnded(engine, lost.turnId);
    assert.deepEqual([turnState(engine, cancelled.turnId), turnState(engine, lost.turnId)], ['cancelled', 'failed']);
    for (const { turnId } of [cancelled, lost]) {
      assert.equal(engine.state.turn(turnId)?.work?.files, 1);
      assert.ok(engine.state.turn(turnId)?.work?.ref);
      assert.equal((await work.commit(turnId)).files, 1);
    }
    assert.equal(git(repository, 'show', '--format=', '--name-only', 'a'), 'one.txt');
  });

  it('that go on after others have worked there commit their own work, and none of that', async () => {
    const one = start();
    const { engine } = one;
    const { queue } = await engine.owner();
    const prompt = ['edit one.txt half', unlessItWorks(`fail ${limit}`)].join('\n');
    const { turnId } = await queue.enqueue({ branch: 'a', kind: 'commit', title: 'Halves', prompt });
    await untilItWaits(one, turnId);
    for (const [kind, file] of [
      ['commit', 'two.txt'],
      ['note', 'three.txt'],
    ] as const) {
      const other = await queue.enqueue({ branch: 'a', kind, agent: 'other', prompt: `edit ${file} x` });
      await queue.move(other.turnId, { before: turnId });
      await untilEnded(engine, other.turnId);
    }
    writeFileSync(join(folder, 'repo.worktrees', 'a', 'mine.txt'), 'by hand\n');
    works();
    await queue.tryAgent('test');
    await untilEnded(engine, turnId);
    const { state, commit, work } = engine.state.turn(turnId) ?? {};
    assert.deepEqual([state, commit?.state, work?.files], ['completed', 'made', 1]);
    assert.equal(git(repository, 'show', '--format=', '--name-only', 'a'), 'one.txt');
    assert.deepEqual(
      git(join(folder, 'repo.worktrees', 'a'), 'status', '--porcelain')
        .split('\n')
        .sort(),
      ['?? mine.txt', '?? three.txt'],
    );
  });

  it('that stop in the middle again and again fail their turn with what they said', async () => {
    const one = start();
    const { engine } = one;
    const { queue } = await engine.owner();
    // What it is told to go on with is no order, so each time it says something and then its own limit.
    const env = { TEST_AGENT_EACH: `edit one.txt more\nfail ${limit}` };
    one.settings.agents = { test: { ...testAgent, env } };
    const { turnId } = await queue.enqueue({ branch: 'a', kind: 'note', prompt: 'begin' });
    for (let times = 1; times <= mostGoOns; times += 1) {
      await until(engine, () => engine.state.turn(turnId)?.goesOn?.times === times, `it waits to go on, ${times}`);
      await queue.tryAgent('test');
    }
    await untilEnded(engine, turnId);
    assert.equal(turnState(engine, turnId), 'failed');
    assert.match(engine.state.turn(turnId)?.error?.message ?? '', /session limit/);
  });

  it('are started anew after a sign-in, where their conversation can be taken up', async () => {
    const starts = join(folder, 'starts');
    const one = start({ agents: { test: { ...testAgent, env: { TEST_AGENT_STARTS: starts } } } });
    const { queue } = await one.engine.owner();
    const first = await queue.enqueue({ branch: 'a', kind: 'note', prompt: 'say one' });
    await untilEnded(one.engine, first.turnId);
    const next = await queue.enqueueTurn(first.sessionId, { prompt: `${unlessItWorks('refuse')}\nsay two` });
    await untilItWaits(one, next.turnId);
    works();
    await queue.tryAgent('test');
    await untilEnded(one.engine, next.turnId);
    assert.equal(turnState(one.engine, next.turnId), 'completed');
    assert.equal(readFileSync(starts, 'utf8').trim().split('\n').length, 2);
  });

  it('whose conversation is over go on elsewhere once, however often that is asked for at once', async () => {
    const one = start();
    const { engine } = one;
    const { queue, hosts } = await engine.owner();
    const first = await queue.enqueue({ branch: 'a', kind: 'note', prompt: 'say one' });
    await untilEnded(engine, first.turnId);
    for (const { hostId } of [...hosts.all()]) await hosts.end(hostId);
    writeFileSync(join(folder, 'back'), JSON.stringify({ code: -32002, message: 'Session not found' }));
    const lost = await queue.enqueueTurn(first.sessionId, { prompt: 'append ../../said x\nwait ../../works' });
    await untilEnded(engine, lost.turnId);
    const goOn = () => goOnElsewhere(lost.turnId, { state: engine.state, queue, folder: engine.folder });
    const answers = await Promise.allSettled([goOn(), goOn()]);
    assert.deepEqual(answers.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
    await assert.rejects(goOn(), /queued already/);
    works();
    await until(engine, () => engine.state.line(lost.branchId).length === 0, 'it is done');
    assert.equal(readFileSync(join(folder, 'said'), 'utf8'), 'x\n');
  });

  it('wait without a time for a sign-in, and pause their branches where that is wanted', async () => {
    const one = start({ onLimit: 'pause' });
    const { engine } = one;
    const { queue } = await engine.owner();
    const { turnId, branchId } = await queue.enqueue({ branch: 'a', kind: 'note', prompt: unlessItWorks('refuse') });
    await untilItWaits(one, turnId);
    assert.deepEqual([wait(one)?.kind, wait(one)?.until], ['signIn', null]);
    assert.equal(engine.state.branch(branchId)?.paused, 'user');
    works();
    await queue.resume(branchId);
    assert.equal(reason(one, branchId), 'signIn');
    await queue.tryAgent('test');
    await untilEnded(engine, turnId);
    assert.equal(turnState(engine, turnId), 'completed');
  });

  for (const [how, error, kind] of [
    ['a sign-in', { code: -32000, message: 'Authentication required' }, 'signIn'],
    ['the network', { code: -32603, message: 'fetch failed: connect ETIMEDOUT 10.0.0.1:443' }, 'offline'],
  ] as const)
    it(`keep a conversation whose way back failed for ${how} (W2)`, async () => {
      const first = start();
      const owner = await first.engine.owner();
      const { turnId, sessionId } = await owner.queue.enqueue({ branch: 'a', kind: 'note', prompt: 'say one' });
      await untilEnded(first.engine, turnId);
      for (const { hostId } of [...owner.hosts.all()]) await owner.hosts.end(hostId);
      writeFileSync(join(folder, 'back'), JSON.stringify(error));
      const next = await owner.queue.enqueueTurn(sessionId, { prompt: 'say two' });
      await untilItWaits(first, next.turnId);
      assert.equal(wait(first)?.kind, kind);
      assert.equal(first.engine.state.session(sessionId)?.retired, null);
      rmSync(join(folder, 'back'));
      await owner.queue.tryAgent('test');
      await untilEnded(first.engine, next.turnId);
      assert.equal(turnState(first.engine, next.turnId), 'completed');
    });

  it('fail a turn whose way back met what nobody knows, and a retry takes the conversation up (W2)', async () => {
    const one = start();
    const { engine } = one;
    const { queue, hosts, work } = await engine.owner();
    const { turnId, sessionId } = await queue.enqueue({ branch: 'a', kind: 'note', prompt: 'say one' });
    await untilEnded(engine, turnId);
    for (const { hostId } of [...hosts.all()]) await hosts.end(hostId);
    writeFileSync(join(folder, 'back'), JSON.stringify({ code: -32603, message: 'Internal error: index out of range' }));
    const next = await queue.enqueueTurn(sessionId, { prompt: 'say two' });
    await untilEnded(engine, next.turnId);
    assert.equal(turnState(engine, next.turnId), 'failed');
    assert.equal(engine.state.session(sessionId)?.retired, null);
    rmSync(join(folder, 'back'));
    await work.retry(next.turnId);
    await untilEnded(engine, next.turnId);
    assert.equal(turnState(engine, next.turnId), 'completed');
  });

  it('open a conversation anew that was never spoken in and that they do not know (W3)', async () => {
    const one = start();
    const { engine } = one;
    const { queue, hosts } = await engine.owner();
    const { turnId, sessionId } = await queue.enqueue({ branch: 'a', kind: 'note', prompt: unlessItWorks(`fail ${limit}`) });
    await untilItWaits(one, turnId);
    const opened = engine.state.session(sessionId)?.agentSessionId;
    assert.ok(opened, 'a session is open');
    for (const { hostId } of [...hosts.all()]) await hosts.end(hostId);
    writeFileSync(join(folder, 'back'), JSON.stringify({ code: -32002, message: 'Session not found' }));
    works();
    await queue.tryAgent('test');
    await untilEnded(engine, turnId);
    assert.equal(turnState(engine, turnId), 'completed', engine.state.turn(turnId)?.error?.message);
    assert.notEqual(engine.state.session(sessionId)?.agentSessionId, opened);
  });

  it('questions give their place free, and an answered turn goes on over the limit (W5)', async () => {
    const one = start({ maxConcurrentTurns: 1 });
    const { engine } = one;
    const { queue, dispatcher } = await engine.owner();
    const asking = await queue.enqueue({ branch: 'a', kind: 'note', prompt: 'ask Run it\nsay answered' });
    await until(engine, () => engine.state.turn(asking.turnId)?.permission != null, 'it asks');
    const runs = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'wait ../../go' });
    await until(engine, () => turnState(engine, runs.turnId) === 'running', 'another one has its place');
    const waits = await queue.enqueue({ branch: 'c', kind: 'note', prompt: 'say last' });
    await until(engine, () => engine.state.branch(waits.branchId)?.worktreeState === 'ready', 'a third is ready');
    dispatcher.respond(engine.state.turn(asking.turnId)?.permission?.id ?? '', 'yes');
    await untilEnded(engine, asking.turnId);
    assert.equal(turnState(engine, runs.turnId), 'running');
    assert.equal(turnState(engine, waits.turnId), 'queued');
    assert.equal(reason(one, waits.branchId), 'capacity');
    assert.ok(!existsSync(join(folder, 'go')));
    writeFileSync(join(folder, 'go'), '');
    await untilEnded(engine, waits.turnId);
  });
});
