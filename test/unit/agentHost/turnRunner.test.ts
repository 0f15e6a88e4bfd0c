import assert from 'node:assert/strict';
import { join } from 'node:path';
import { defaultTimeLimits } from '../../../src/agentHost/protocol.ts';
import { TurnRunner } from '../../../src/agentHost/turnRunner.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

describe('A turn in its host', () => {
  after(removeTemporaryFolders);

  it('fails with what to do when its worktree was deleted in the last moment, and starts no agent', async () => {
    const folder = temporaryFolder();
    const runner = new TurnRunner({ hostId: 'h', onStatus: () => undefined, onEntries: () => undefined });
    await runner.run({
      turnId: 't',
      attempt: 1,
      sessionId: 's',
      kind: 'note',
      title: 'a',
      prompt: 'a',
      attachments: [],
      repository: join(folder, 'repo'),
      branch: 'b',
      worktree: join(folder, 'gone'),
      transcript: join(folder, 'transcripts', 's.jsonl'),
      agent: { id: 'test', name: 'Test Agent', command: process.execPath, args: [], env: {}, builtIn: false },
      agentSessionId: null,
      isFresh: false,
      goesOn: null,
      permissions: 'ask',
      keepRunning: true,
      links: [],
      held: [],
      mends: null,
      timeLimits: defaultTimeLimits,
    });
    assert.deepEqual([runner.status?.state, runner.status?.outcome, runner.status?.agentInfo], ['ended', 'failed', null]);
    assert.match(runner.status?.message ?? '', /^The worktree was deleted as the turn began\. Retry it/);
    await runner.close();
  });
});
