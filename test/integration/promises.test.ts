import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readTranscript, transcriptPath } from '../../src/store/transcripts.ts';
import {
  ended,
  startEngine,
  stoppedAfterEach,
  testAgent,
  type TestSettings,
  turnState,
  until,
  untilEnded,
} from '../support/engines.ts';
import { makeRepository } from '../support/repositories.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

describe('What was promised', () => {
  let folder: string;
  let repository: string;
  const running = stoppedAfterEach();
  const start = (patch: Partial<TestSettings> = {}) => {
    const started = startEngine(folder, repository, { agents: { test: testAgent }, defaultAgent: 'test', ...patch });
    running.push(started);
    return started;
  };
  beforeEach(() => {
    folder = temporaryFolder();
    repository = makeRepository(folder);
  });
  const entries = (sessionId: string) => readTranscript(transcriptPath(join(folder, 'storage'), sessionId));
  const inWorktree = (path: string) => join(folder, 'repo.worktrees', 'b', path);

  it('an accepted session has its final ids and its default place, before git has done anything (requirements 20, 21, 39, invariant 5)', async () => {
    const one = start({
      worktrees: { setup: [{ command: 'while ! test -e ../../go; do sleep 0.02; done', wait: true, timeoutSeconds: 60 }] },
    });
    const { queue } = await one.engine.owner();
    const ids = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'say hello' });
    assert.ok(!existsSync(join(folder, 'repo.worktrees')));
    assert.equal(one.engine.state.turn(ids.turnId)?.state, 'queued');
    writeFileSync(join(folder, 'go'), '');
    await untilEnded(one.engine, ids.turnId);
    assert.deepEqual(
      [one.engine.state.turn(ids.turnId)?.sessionId, one.engine.state.session(ids.sessionId)?.branchId],
      [ids.sessionId, ids.branchId],
    );
    assert.equal(one.engine.state.branch(ids.branchId)?.worktreePath, join(folder, 'repo.worktrees', 'b'));
  });

  it('each step of a turn is an event, and the prompt is written down before the start is asked for (requirements 5, 15)', async () => {
    const one = start();
    const { queue, store } = await one.engine.owner();
    const { turnId, sessionId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'fail once' });
    await untilEnded(one.engine, turnId);
    await queue.edit(turnId, 'say x').catch((error: Error) => assert.match(error.message, /started already/));
    await queue.retry(turnId);
    await untilEnded(one.engine, turnId);
    assert.deepEqual(
      store.eventsOf(turnId).map(({ kind }) => kind),
      ['queued', 'starting', 'running', 'failed', 'requeued', 'starting', 'running', 'failed'],
    );
    const kinds = (await entries(sessionId)).map(({ type }) => type);
    assert.ok(
      kinds.indexOf('prompt') < kinds.indexOf('session') && kinds.indexOf('session') < kinds.indexOf('handover'),
      kinds.join(),
    );
    // Where nothing stands in the way it takes the same way, at once.
    await queue.resume(one.engine.state.session(sessionId)?.branchId ?? '');
    const next = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'say hello' });
    await untilEnded(one.engine, next.turnId);
    assert.deepEqual(
      store.eventsOf(next.turnId).map(({ kind }) => kind),
      ['queued', 'starting', 'running', 'completed'],
    );
  });

  it('when an end is announced, all of the transcript is on disk, in order (requirements 28, 29, invariant 6)', async () => {
    const one = start();
    const { queue } = await one.engine.owner();
    const { turnId, sessionId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'burst 500\nsay the end' });
    const onDisk = await new Promise<string>((resolve) => {
      const listener = one.engine.onDidChange(() => {
        if (!ended(one.engine, turnId)) return;
        listener.dispose();
        resolve(readFileSync(transcriptPath(join(folder, 'storage'), sessionId), 'utf8'));
      });
    });
    const lines = onDisk
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { seq: number; type: string; text?: string });
    assert.deepEqual(
      lines.map(({ seq }) => seq),
      lines.map((_, index) => index + 1),
    );
    assert.equal(lines.at(-1)?.type, 'ended');
    assert.match(lines.map(({ type, text }) => (type === 'text' ? text : '')).join(''), /line 499\nthe end\n$/);
  });

  it('what is known of an agent is stored as soon as it is known (requirement 31)', async () => {
    const one = start();
    const { queue } = await one.engine.owner();
    const { turnId, sessionId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'wait ../go' });
    await until(one.engine, () => turnState(one.engine, turnId) === 'running', 'it runs');
    const session = one.engine.state.session(sessionId);
    assert.ok(session?.agentSessionId);
    assert.deepEqual([session.agentInfo, session.worktreePath], ['Test 1', join(folder, 'repo.worktrees', 'b')]);
    writeFileSync(inWorktree('../go'), '');
    await untilEnded(one.engine, turnId);
  });

  it('what ended is marked as unread over a restart, until it is looked at (requirement 53)', async () => {
    const first = start();
    const { queue } = await first.engine.owner();
    const { turnId, sessionId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'say hello' });
    await untilEnded(first.engine, turnId);
    await first.engine.dispose();
    const second = start();
    const owner = await second.engine.owner();
    assert.equal(second.engine.state.session(sessionId)?.unread, true);
    await owner.queue.markSeen({ sessionId });
    assert.equal(second.engine.state.session(sessionId)?.unread, false);
    await second.engine.dispose();
    const third = start();
    await third.engine.ready;
    assert.equal(third.engine.state.session(sessionId)?.unread, false);
  });

  it('calls that come while the storage is opened are taken after it, in order (requirement 54)', async () => {
    const first = start();
    const { queue } = await first.engine.owner();
    const earlier = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'wait ../go' });
    await until(first.engine, () => turnState(first.engine, earlier.turnId) === 'running', 'it runs');
    await first.engine.dispose();
    const second = start();
    const asked = ['one', 'two', 'three'].map(async (name) =>
      (await second.engine.owner()).queue.enqueue({ branch: 'b', kind: 'note', prompt: `append ../order ${name}` }),
    );
    assert.equal(second.engine.isOwner, false);
    const ids = await Promise.all(asked);
    writeFileSync(inWorktree('../go'), '');
    await untilEnded(second.engine, earlier.turnId, ...ids.map(({ turnId }) => turnId));
    assert.equal(readFileSync(inWorktree('../order'), 'utf8'), 'one\ntwo\nthree\n');
  });

  it('a repository with many worktrees is not scanned for each of them (requirement 45)', async () => {
    const bin = join(folder, 'bin');
    const calls = join(folder, 'calls');
    mkdirSync(bin);
    const git = execFileSync('which', ['git'], { encoding: 'utf8' }).trim();
    writeFileSync(join(bin, 'git'), `#!/bin/sh\necho "$*" >> '${calls}'\nexec '${git}' "$@"\n`);
    chmodSync(join(bin, 'git'), 0o755);
    const before = process.env.PATH;
    process.env.PATH = `${bin}:${before}`;
    try {
      const one = start();
      const { queue } = await one.engine.owner();
      const ids = await Promise.all(
        Array.from({ length: 6 }, (_, n) => queue.enqueue({ branch: `b${n}`, kind: 'note', prompt: 'say hello' })),
      );
      await untilEnded(one.engine, ...ids.map(({ turnId }) => turnId));
    } finally {
      process.env.PATH = before;
    }
    const said = readFileSync(calls, 'utf8').split('\n');
    assert.equal(said.filter((line) => line.includes('worktree add')).length, 6);
    assert.equal(said.filter((line) => line.includes('worktree list')).length, 0);
  });
});
