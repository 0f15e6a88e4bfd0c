import assert from 'node:assert/strict';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/vscodeHost.ts';
import { readTranscript, transcriptPath } from '../../src/store/transcripts.ts';
import { startEngine, stopEngine, turnState, until } from '../support/engines.ts';
import { git, makeRepository } from '../support/repositories.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporaryFolder.ts';

describe('This project as the repository', () => {
  after(removeTemporaryFolders);

  it('has a branch whose turns run its own lint, and unit tests of some of its rooms', async () => {
    const folder = temporaryFolder();
    const repository = makeRepository(folder, 'project');
    for (const name of [
      'src',
      'test',
      'scripts',
      'bench',
      'package.json',
      'biome.json',
      'tsconfig.json',
      '.mocharc.json',
      '.gitignore',
    ]) {
      cpSync(join(root, name), join(repository, name), { recursive: true });
    }
    git(repository, 'add', '--all');
    git(repository, 'commit', '--quiet', '--message', 'The project');
    writeFileSync(join(repository, '.git', 'info', 'exclude'), '/node_modules\n');
    symlinkSync(join(root, 'node_modules'), join(repository, 'node_modules'), 'junction');
    const one = startEngine(folder, repository, { onFailure: 'continue', worktrees: { symlinkDirectories: ['node_modules'] } });
    const { queue } = await one.engine.owner();
    const path = 'PATH="$PWD/node_modules/.bin:$PATH"';
    const lint = await queue.enqueue({ branch: 'check', kind: 'note', prompt: `${path} biome check --error-on-warnings .` });
    const unit = await queue.enqueue({
      branch: 'check',
      kind: 'note',
      prompt: `${path} mocha 'test/unit/{model,sessions,tree}/**/*.test.ts'`,
    });
    await until(
      one.engine,
      () =>
        [lint, unit].every(
          ({ turnId }) => turnState(one.engine, turnId) === 'completed' || turnState(one.engine, turnId) === 'failed',
        ),
      'both have ended',
    );
    const output = async (sessionId: string) =>
      (await readTranscript(transcriptPath(join(folder, 'storage'), sessionId)))
        .map((entry) => ('text' in entry ? entry.text : ''))
        .join('');
    assert.deepEqual(
      [turnState(one.engine, lint.turnId), turnState(one.engine, unit.turnId)],
      ['completed', 'completed'],
      (await output(lint.sessionId)) + (await output(unit.sessionId)),
    );
    assert.match(await output(lint.sessionId), /Checked \d+ files/);
    assert.match(await output(unit.sessionId), /\d+ passing/);
    assert.equal(readFileSync(join(repository, '.git', 'HEAD'), 'utf8'), 'ref: refs/heads/main\n');
    await stopEngine(one);
  });
});
