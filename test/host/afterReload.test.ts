import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { activated, folder, git, turnIn, until } from './support.ts';

describe('After a reload', () => {
  it('finds the turn that runs, finishes it and runs the third; nothing twice (invariant 8, requirement 52)', async () => {
    const api = await activated();
    const branch = api.snapshot().branches.find(({ name }) => name === 'reload');
    assert.equal(branch?.sessions.length, 3);
    const turns = branch.sessions.map((session) => session.turns[0]?.id as string);
    assert.deepEqual(
      turns.map((id) => turnIn(api, id)?.state),
      ['completed', 'running', 'queued'],
    );
    writeFileSync(join(folder(), '..', 'go'), '');
    await until(api, () => turns.every((id) => turnIn(api, id)?.state === 'completed'), 'all have completed');
    assert.equal(readFileSync(join(branch.worktree.path as string, 'file.txt'), 'utf8'), '1\n2\n3\n');
    assert.deepEqual(git(folder(), 'log', '--reverse', '--format=%s', 'main..reload').split('\n'), [
      'Step 1',
      'Step 2',
      'Step 3',
    ]);
    const entries = await api.transcript(branch.sessions[1]?.id as string);
    assert.deepEqual(
      entries.map(({ seq }) => seq),
      entries.map((_, index) => index + 1),
    );
    assert.equal(entries.filter(({ type }) => type === 'handover').length, 1);
    assert.match(entries.map((entry) => (entry.type === 'output' ? entry.text : '')).join(''), /end of two/);
  });
});
