import assert from 'node:assert/strict';
import { join } from 'node:path';
import { problemReport } from '../../src/sessions/problemReport.ts';
import { startEngine, stopEngine, type TestEngine, untilEnded } from '../support/engines.ts';
import { makeRepository } from '../support/repositories.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporaryFolder.ts';

describe('A problem report', () => {
  let one: TestEngine;
  let folder: string;
  before(async () => {
    folder = temporaryFolder();
    one = startEngine(folder, makeRepository(folder, 'secret-project'));
    const { queue } = await one.engine.owner();
    const { turnId } = await queue.enqueue({
      branch: 'feature/hush',
      title: 'The secret plan',
      prompt: 'echo hidden-words; exit 3',
    });
    await untilEnded(one.engine, turnId);
  });
  after(async () => {
    await stopEngine(one);
    removeTemporaryFolders();
  });
  const report = (prompts: boolean, paths: boolean) =>
    problemReport({
      engine: one.engine,
      versions: { Branchline: '1.2.3' },
      secrets: ['value-of-a-token'],
      prompts,
      paths,
      log: [
        `[info] Made ${join(folder, 'secret-project.worktrees')} for feature/hush`,
        '[warn] It said value-of-a-token',
        '[error] "The secret plan" failed at /opt/ada/x.ts',
      ],
    });

  it('has versions, states, events and files, and neither prompts nor paths nor secrets unless they are asked for', () => {
    const text = report(false, false);
    for (const part of [
      'Branchline: 1.2.3',
      'branch 1: ready',
      'failed, attempt 1',
      'exit code 3',
      ' starting, branch 1',
      'manifest.json: ',
      'mode 600',
      'transcripts: 2 files',
      'owner, epoch 1, store open',
    ])
      assert.ok(text.includes(part), part);
    for (const hidden of [
      'hidden-words',
      'secret plan',
      'secret-project',
      folder,
      'feature/hush',
      'value-of-a-token',
      '/opt/ada',
    ])
      assert.ok(!text.includes(hidden), hidden);
  });

  it('has what was ticked, and secrets never', () => {
    const text = report(true, true);
    for (const part of ['hidden-words', 'feature/hush', 'secret-project.worktrees', '/opt/ada/x.ts'])
      assert.ok(text.includes(part), part);
    assert.ok(!text.includes('value-of-a-token'));
    assert.ok(report(true, false).includes('hidden-words') && !report(true, false).includes('feature/hush'));
  });
});
