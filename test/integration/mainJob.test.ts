import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readTranscript, transcriptPath } from '../../src/store/transcripts.ts';
import { startEngine, stoppedAfterEach, turnState, until, untilEnded } from '../support/engines.ts';
import { git, makeRepository, subjects } from '../support/repositories.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

describe('The main job', () => {
  let folder: string;
  let repository: string;
  const running = stoppedAfterEach();
  const start = (...args: Parameters<typeof startEngine> extends [string, string, ...infer Rest] ? Rest : never) => {
    const started = startEngine(folder, repository, ...args);
    running.push(started);
    return started;
  };

  beforeEach(() => {
    folder = temporaryFolder();
    repository = makeRepository(folder);
  });

  const output = async (sessionId: string) =>
    (await readTranscript(transcriptPath(join(folder, 'storage'), sessionId)))
      .map((entry) => (entry.type === 'output' ? entry.text : ''))
      .join('');

  it('runs three commit sessions in order on a branch that does not exist (requirements 1, 3, 20)', async () => {
    const { engine } = start({
      worktrees: { setup: [{ command: 'echo ready > setup.txt && rm setup.txt', wait: true, timeoutSeconds: 60 }] },
    });
    const { queue } = await engine.owner();
    const states: string[] = [];
    engine.onDidChange(() => {
      const state = Array.from(engine.state.branches())[0]?.worktreeState ?? '';
      if (states.at(-1) !== state) states.push(state);
    });
    const ids = [];
    for (const n of [1, 2, 3])
      ids.push(
        await queue.enqueue({ branch: 'feature/one', title: `Step ${n}`, prompt: `echo said ${n}; echo ${n} >> file.txt` }),
      );
    assert.ok(!existsSync(join(folder, 'repo.worktrees')));
    await untilEnded(engine, ...ids.map((id) => id.turnId));
    assert.deepEqual(
      ids.map((id) => turnState(engine, id.turnId)),
      ['completed', 'completed', 'completed'],
    );
    assert.deepEqual(states, ['queued', 'provisioning', 'ready']);
    assert.deepEqual(subjects(repository, 'main..feature/one'), ['Step 1', 'Step 2', 'Step 3']);
    assert.equal(git(repository, 'status', '--porcelain'), '');
    assert.equal(git(repository, 'branch', '--show-current'), 'main');
    assert.equal(readFileSync(join(folder, 'repo.worktrees/feature/one/file.txt'), 'utf8'), '1\n2\n3\n');
    for (const [index, { sessionId }] of ids.entries()) assert.match(await output(sessionId), new RegExp(`said ${index + 1}`));
    const [first, second] = ids.map((id) => engine.state.turn(id.turnId));
    assert.equal(first?.endSha, second?.startSha);
  });

  it('pauses the line when a turn fails, and goes on after a retry (requirement 9)', async () => {
    const { engine } = start();
    const { queue } = await engine.owner();
    const first = await queue.enqueue({ branch: 'b', prompt: 'test -e ../../go' });
    const second = await queue.enqueue({ branch: 'b', prompt: 'true' });
    await until(engine, () => turnState(engine, first.turnId) === 'failed', 'the first has failed');
    assert.match(engine.state.turn(first.turnId)?.error?.message ?? '', /exit code 1/);
    assert.equal(engine.state.branch(first.branchId)?.paused, 'failure');
    assert.equal(turnState(engine, second.turnId), 'queued');
    writeFileSync(join(folder, 'go'), '');
    await queue.retry(first.turnId);
    await untilEnded(engine, first.turnId, second.turnId);
    assert.deepEqual([turnState(engine, first.turnId), turnState(engine, second.turnId)], ['completed', 'completed']);
  });

  it('cancels a turn that runs and goes on with the next (requirement 4)', async () => {
    const { engine } = start();
    const { queue } = await engine.owner();
    const first = await queue.enqueue({ branch: 'b', prompt: 'echo begun; sleep 300' });
    const second = await queue.enqueue({ branch: 'b', prompt: 'echo next' });
    await until(engine, () => turnState(engine, first.turnId) === 'running', 'the first runs');
    await queue.cancel(first.turnId);
    await untilEnded(engine, first.turnId, second.turnId);
    assert.deepEqual([turnState(engine, first.turnId), turnState(engine, second.turnId)], ['cancelled', 'completed']);
  });

  it('finds a running turn again after a restart, and loses and doubles nothing (invariant 8)', async () => {
    const { engine } = start();
    const { queue } = await engine.owner();
    const first = await queue.enqueue({
      branch: 'b',
      prompt: 'echo one >> ../../ran; while ! test -e ../../go; do sleep 0.05; done; echo end of one',
    });
    const second = await queue.enqueue({ branch: 'b', prompt: 'echo two >> ../../ran' });
    await until(engine, () => turnState(engine, first.turnId) === 'running', 'the first runs');
    await engine.dispose();
    const again = start();
    await again.engine.ready;
    assert.equal(turnState(again.engine, first.turnId), 'running');
    writeFileSync(join(folder, 'go'), '');
    await untilEnded(again.engine, first.turnId, second.turnId);
    assert.equal(readFileSync(join(folder, 'ran'), 'utf8'), 'one\ntwo\n');
    assert.match(await output(first.sessionId), /end of one/);
  });

  it('runs branches beside each other within the limit', async () => {
    const { engine } = start({ maxConcurrentTurns: 2 });
    const { queue } = await engine.owner();
    const ids = await Promise.all(['a', 'b', 'c', 'd'].map((branch) => queue.enqueue({ branch, prompt: 'sleep 0.3' })));
    let most = 0;
    engine.onDidChange(() => {
      most = Math.max(most, Array.from(engine.state.active()).length);
    });
    await untilEnded(engine, ...ids.map((id) => id.turnId));
    assert.equal(most, 2);
  });
});
