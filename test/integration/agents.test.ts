import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, startTimeOf } from '../../src/platform/processes.ts';
import { goOnElsewhere } from '../../src/sessions/continuation.ts';
import { readTranscript, transcriptPath } from '../../src/store/transcripts.ts';
import { startEngine, stoppedAfterEach, testAgent, type TestSettings, turnState, until, untilEnded } from '../support/engines.ts';
import { git, makeRepository, subjects } from '../support/repositories.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

describe('Agents over ACP', () => {
  let folder: string;
  let repository: string;
  const running = stoppedAfterEach();
  const start = (traits = '', patch: Partial<TestSettings> = {}) => {
    const agents = {
      test: { ...testAgent, env: { TEST_AGENT: traits, TEST_AGENT_STARTS: join(folder, 'starts') } },
    };
    const started = startEngine(folder, repository, { agents, defaultAgent: 'test', ...patch });
    running.push(started);
    return started;
  };
  beforeEach(() => {
    folder = temporaryFolder();
    repository = makeRepository(folder);
  });
  const entries = (sessionId: string) => readTranscript(transcriptPath(join(folder, 'storage'), sessionId));
  const said = async (sessionId: string) =>
    (await entries(sessionId)).map((entry) => (entry.type === 'text' && entry.role === 'agent' ? entry.text : '')).join('');
  const inWorktree = (path: string) => join(folder, 'repo.worktrees', 'b', path);

  it('asks, waits, and gives the answer; a second answer is refused', async () => {
    const { engine } = start();
    const { queue, dispatcher } = await engine.owner();
    const { turnId, sessionId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'ask Run it' });
    await until(engine, () => engine.state.turn(turnId)?.permission != null, 'it asks');
    const permission = engine.state.turn(turnId)?.permission;
    assert.equal(permission?.title, 'Run it');
    assert.equal(engine.state.session(sessionId)?.unread, true);
    assert.throws(() => dispatcher.respond(permission?.id ?? '', 'nothing'), /did not offer/);
    dispatcher.respond(permission?.id ?? '', 'no');
    await untilEnded(engine, turnId);
    assert.equal(await said(sessionId), 'answer: no\n');
    assert.throws(() => dispatcher.respond(permission?.id ?? '', 'yes'), /answered or withdrawn/);
  });

  it('keeps a request answerable over a restart', async () => {
    const first = start();
    const { queue } = await first.engine.owner();
    const { turnId, sessionId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'ask Run it' });
    await until(first.engine, () => first.engine.state.turn(turnId)?.permission != null, 'it asks');
    await first.engine.dispose();
    const { engine } = start();
    const { dispatcher } = await engine.owner();
    dispatcher.respond(engine.state.turn(turnId)?.permission?.id ?? '', 'yes');
    await untilEnded(engine, turnId);
    assert.equal(await said(sessionId), 'answer: yes\n');
  });

  it('answers by policy, choosing what is allowed once', async () => {
    const { engine, settings } = start('', { permissions: 'acceptEdits' });
    const { queue } = await engine.owner();
    const edit = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'ask Edit a file' });
    await untilEnded(engine, edit.turnId);
    assert.equal(await said(edit.sessionId), 'answer: yes\n');
    settings.permissions = 'allowAll';
    const all = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'ask Run anything' });
    await untilEnded(engine, all.turnId);
    assert.equal(await said(all.sessionId), 'answer: yes\n');
  });

  it('hands over images, and other files as links, as they were when queued, also after a restart (requirement 8)', async () => {
    const image = Buffer.from('iVBORw0KGgo=', 'base64');
    const path = join(folder, 'notes.txt');
    writeFileSync(path, 'as queued');
    const first = start('', { maxConcurrentTurns: 4 });
    const { queue } = await first.engine.owner();
    const blocker = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'wait ../go' });
    const { sessionId, turnId } = await queue.enqueue({
      branch: 'b',
      kind: 'note',
      prompt: 'images',
      attachments: [
        { name: 'shot.png', mimeType: 'image/png', base64: image.toString('base64') },
        { name: 'notes.txt', mimeType: 'text/plain', path },
      ],
    });
    await until(first.engine, () => turnState(first.engine, blocker.turnId) === 'running', 'the first runs');
    await first.engine.dispose();
    writeFileSync(path, 'changed since');
    const { engine } = start();
    await engine.ready;
    writeFileSync(inWorktree('../go'), '');
    await untilEnded(engine, turnId);
    assert.equal(await said(sessionId), `image/png ${createHash('sha256').update(image).digest('hex')}\nlink notes.txt\n`);
    const kept = engine.state.turn(turnId)?.attachments[1];
    assert.equal(readFileSync(join(folder, 'storage', 'attachments', kept?.sha256 ?? ''), 'utf8'), 'as queued');
  });

  it('follows up in the same conversation, with the same process while it lives', async () => {
    const { engine } = start();
    const { queue } = await engine.owner();
    const { sessionId, turnId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'say one' });
    const next = await queue.enqueueTurn(sessionId, { prompt: 'say two' });
    await untilEnded(engine, turnId, next.turnId);
    assert.equal(await said(sessionId), 'one\ntwo\n');
    assert.equal(readFileSync(join(folder, 'starts'), 'utf8').trim().split('\n').length, 1);
  });

  for (const [traits, how] of [
    ['', 'resume'],
    ['noresume', 'load, without what it replays'],
  ] as const) {
    it(`takes a conversation up by ${how}, in its own worktree, when its process is gone (requirements 32, 33)`, async () => {
      const { engine } = start(traits);
      const { queue, hosts } = await engine.owner();
      const { sessionId, turnId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'say one' });
      await untilEnded(engine, turnId);
      const id = engine.state.session(sessionId)?.agentSessionId;
      for (const client of [...hosts.all()]) await hosts.end(client.hostId);
      const next = await queue.enqueueTurn(sessionId, { prompt: 'say two\nwrite here.txt x' });
      await untilEnded(engine, next.turnId);
      assert.equal(await said(sessionId), 'one\ntwo\n');
      assert.equal(engine.state.session(sessionId)?.agentSessionId, id);
      assert.ok(existsSync(inWorktree('here.txt')));
    });
  }

  it('retires a conversation that the agent has lost, once, and keeps its transcript (requirement 32)', async () => {
    const { engine } = start('lost');
    const { queue, hosts } = await engine.owner();
    const { sessionId, turnId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'say one' });
    await untilEnded(engine, turnId);
    for (const client of [...hosts.all()]) await hosts.end(client.hostId);
    const next = await queue.enqueueTurn(sessionId, { prompt: 'say two' });
    await untilEnded(engine, next.turnId);
    assert.equal(turnState(engine, next.turnId), 'failed');
    assert.match(engine.state.session(sessionId)?.retired ?? '', /no longer has this conversation.*Queue a new session/);
    await assert.rejects(queue.enqueueTurn(sessionId, { prompt: 'say three' }), /Queue a new session/);
    assert.equal(await said(sessionId), 'one\n');
  });

  it('goes on in a new session where a conversation is lost: told what was said, next in line, with its attachments', async () => {
    const first = start();
    const owner = await first.engine.owner();
    const asked = await owner.queue.enqueue({
      branch: 'b',
      kind: 'commit',
      title: 'Names',
      prompt: 'edit one.txt 1\nsay the first answer',
    });
    await untilEnded(first.engine, asked.turnId);
    for (const { hostId } of [...owner.hosts.all()]) await owner.hosts.end(hostId);
    await first.engine.dispose();
    const { engine } = start('lost');
    const { queue } = await engine.owner();
    const attachments = [{ name: 'notes.txt', mimeType: 'text/plain', base64: 'aGVsbG8=' }];
    const lost = await queue.enqueueTurn(asked.sessionId, { prompt: 'say the second', attachments });
    const waits = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'say later' });
    const where = { state: engine.state, queue, folder: engine.folder };
    await assert.rejects(goOnElsewhere(asked.turnId, where), /can still be continued/);
    await untilEnded(engine, lost.turnId);
    assert.match(engine.state.turn(lost.turnId)?.error?.message ?? '', /go on in one that is told/);
    const next = await goOnElsewhere(lost.turnId, where);
    await untilEnded(engine, next.turnId, waits.turnId);
    assert.ok(
      (engine.state.turn(next.turnId)?.endedOrder ?? 0) < (engine.state.turn(waits.turnId)?.endedOrder ?? 0),
      'it came next',
    );
    const turn = engine.state.turn(next.turnId);
    assert.deepEqual([turn?.state, turn?.attachments.map(({ name }) => name)], ['completed', ['notes.txt']]);
    for (const told of ['edit one.txt 1', 'the first answer', 'Files that were changed: one.txt.'])
      assert.ok(turn?.prompt.includes(told), turn?.prompt);
    assert.ok(turn?.prompt.endsWith('## To be done now\nsay the second'));
    assert.deepEqual(
      [engine.state.session(next.sessionId)?.title, engine.state.session(next.sessionId)?.kind],
      ['Names', 'commit'],
    );
  });

  it('commits what the agent left, and its own commits count too', async () => {
    const { engine } = start();
    const { queue } = await engine.owner();
    const one = await queue.enqueue({ branch: 'b', title: 'Add a file', prompt: 'write a.txt hello' });
    await untilEnded(engine, one.turnId);
    assert.deepEqual(subjects(repository, 'main..b'), ['Add a file']);
    assert.equal(git(repository, 'log', '-1', '--format=%an <%ae>', 'b'), 'Ada <ada@example.com>');
    const note = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'write b.txt hello' });
    await untilEnded(engine, note.turnId);
    assert.deepEqual(subjects(repository, 'main..b'), ['Add a file'], 'a note commits nothing');
  });

  it("never sweeps what was in the worktree before into a turn's commit, and keeps it as the other turn's", async () => {
    const { engine } = start();
    const { queue } = await engine.owner();
    const first = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'write mine.txt before' });
    await untilEnded(engine, first.turnId);
    const { turnId } = await queue.enqueue({ branch: 'b', title: 'Theirs', prompt: 'write theirs.txt after' });
    await untilEnded(engine, turnId);
    assert.equal(turnState(engine, turnId), 'completed');
    assert.deepEqual(subjects(repository, 'main..b'), ['Theirs']);
    assert.equal(git(repository, 'ls-tree', '--name-only', 'b'), 'README.md\ntheirs.txt');
    const kept = engine.state.turn(first.turnId)?.work;
    assert.equal(kept?.files, 1);
    assert.equal(git(repository, 'show', `${kept?.ref}:mine.txt`), 'before');
  });

  it('resolves and stores what a review is of before the agent runs (requirement 10)', async () => {
    const { engine } = start();
    const { queue } = await engine.owner();
    const commit = await queue.enqueue({ branch: 'b', title: 'Work', prompt: 'write a.txt hello' });
    const review = await queue.enqueue({ branch: 'b', kind: 'review', prompt: 'wait ../go' });
    assert.equal(engine.state.session(review.sessionId)?.tipSha, null);
    await until(engine, () => turnState(engine, review.turnId) === 'running', 'the review runs');
    const session = engine.state.session(review.sessionId);
    assert.equal(session?.tipSha, git(repository, 'rev-parse', 'b'));
    assert.equal(session?.mergeBaseSha, git(repository, 'rev-parse', 'main'));
    writeFileSync(inWorktree('../go'), '');
    await untilEnded(engine, commit.turnId, review.turnId);
  });

  it('queues a review by itself, unless more work is queued (requirement 11)', async () => {
    const { engine } = start('', { autoReview: true });
    const { queue } = await engine.owner();
    await queue.enqueue({ branch: 'b', title: 'One', prompt: 'write a.txt 1' });
    const two = await queue.enqueue({ branch: 'b', title: 'Two', prompt: 'write a.txt 2' });
    const reviews = () => Array.from(engine.state.sessions()).filter((session) => session.kind === 'review');
    await until(engine, () => turnState(engine, two.turnId) === 'completed' && reviews().length > 0, 'there is a review');
    assert.deepEqual(
      reviews().map((session) => session.title),
      ['Review: Two'],
    );
    await until(engine, () => Array.from(engine.state.turns()).every((turn) => turn.state === 'completed'), 'all have completed');
  });

  const ends: [string, string, string, RegExp][] = [
    ['exits', 'exit 7', 'failed', /exit code 7/],
    ['reports an error', 'fail The model gave up', 'failed', /The model gave up/],
    ['refuses', 'stop refusal', 'failed', /refused/],
    ['runs out of tokens', 'stop max_tokens', 'failed', /limit of tokens/],
  ];
  for (const [what, prompt, state, message] of ends) {
    it(`says what happened when an agent ${what}, and goes on (requirement 9)`, async () => {
      const { engine } = start('', { onFailure: 'continue' });
      const { queue } = await engine.owner();
      const one = await queue.enqueue({ branch: 'b', kind: 'note', prompt });
      const two = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'say next' });
      await untilEnded(engine, one.turnId, two.turnId);
      assert.deepEqual([turnState(engine, one.turnId), turnState(engine, two.turnId)], [state, 'completed']);
      assert.match(engine.state.turn(one.turnId)?.error?.message ?? '', message);
    });
  }

  it('reads over what is not the protocol', async () => {
    const { engine } = start();
    const { queue } = await engine.owner();
    const { sessionId, turnId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'garbage\nsay still here' });
    await untilEnded(engine, turnId);
    assert.equal(turnState(engine, turnId), 'completed');
    assert.equal(await said(sessionId), 'still here\n');
  });

  it('ends an agent that ignores a cancel, with everything it started (requirements 43, 51)', async () => {
    const { engine } = start();
    const { queue } = await engine.owner();
    const { turnId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'spawn child.pid\nsay spawned\ndeaf' });
    const next = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'say next' });
    await until(engine, () => turnState(engine, turnId) === 'running' && existsSync(inWorktree('child.pid')), 'it runs');
    const pid = Number(readFileSync(inWorktree('child.pid'), 'utf8'));
    const startTime = startTimeOf(pid) ?? '';
    await queue.cancel(turnId);
    await untilEnded(engine, turnId, next.turnId);
    assert.deepEqual([turnState(engine, turnId), turnState(engine, next.turnId)], ['cancelled', 'completed']);
    assert.equal(isAlive({ pid, startTime }), false);
  });

  it('waits with the reason for an agent that is not installed, and runs when it is (requirement 37)', async () => {
    const { engine, settings } = start();
    const { queue } = await engine.owner();
    await assert.rejects(queue.enqueue({ branch: 'b', agent: 'later', prompt: 'say hello' }), /no agent "later".*Choose one/s);
    settings.agents = { ...settings.agents, later: { command: 'an-agent-that-is-not-installed' } };
    const { turnId, branchId } = await queue.enqueue({ branch: 'b', kind: 'note', agent: 'later', prompt: 'say hello' });
    await until(engine, () => engine.state.branch(branchId)?.worktreeState === 'ready', 'the worktree is ready');
    const { waitingFor } = await import('../../src/sessions/nextTurn.ts');
    const snapshot = engine.queueSnapshot();
    assert.equal(waitingFor(engine.state.line(branchId)[0] as never, snapshot, snapshot.branches.get(branchId)), 'agent');
    settings.agents = { ...settings.agents, later: settings.agents.test as never };
    engine.reconcile();
    await untilEnded(engine, turnId);
    assert.equal(turnState(engine, turnId), 'completed');
  });

  it('sends a turn now in place of the one that runs (requirement 14)', async () => {
    const { engine } = start();
    const { queue } = await engine.owner();
    const one = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'hang' });
    const two = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'say two' });
    const three = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'say three' });
    await until(engine, () => turnState(engine, one.turnId) === 'running', 'the first runs');
    await queue.sendNow(three.turnId);
    await untilEnded(engine, one.turnId, two.turnId, three.turnId);
    assert.equal(turnState(engine, one.turnId), 'cancelled');
    const started = (id: string) => engine.state.turn(id)?.startedAt ?? 0;
    assert.ok(started(three.turnId) <= started(two.turnId));
  });

  it('works in a folder below the worktree when its setting names one, and never outside', async () => {
    const { engine, settings } = start();
    repository = makeRepository(folder, 'mono', { 'packages/a/x.txt': 'x' });
    const test = settings.agents.test;
    settings.agents = { test: { ...test, command: test?.command ?? '', cwd: 'packages/a' } };
    const { queue } = await engine.owner();
    const one = await queue.enqueue({ repository, branch: 'c', kind: 'note', prompt: 'write here.txt x' });
    await untilEnded(engine, one.turnId);
    assert.ok(existsSync(join(folder, 'mono.worktrees', 'c', 'packages', 'a', 'here.txt')));
    settings.agents = { test: { ...test, command: test?.command ?? '', cwd: '../..' } };
    const two = await queue.enqueue({ repository, branch: 'c', kind: 'note', prompt: 'write here.txt x' });
    await untilEnded(engine, two.turnId);
    assert.match(engine.state.turn(two.turnId)?.error?.message ?? '', /not in the worktree/);
  });
});
