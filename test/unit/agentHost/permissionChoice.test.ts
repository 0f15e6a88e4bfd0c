import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PermissionBook } from '../../../src/agentHost/permissionBook.ts';
import { choose } from '../../../src/agentHost/permissionChoice.ts';
import { isInWorktree } from '../../../src/agentHost/toolPaths.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

const options = [
  { optionId: 'a', name: 'Always', kind: 'allow_always' },
  { optionId: 'b', name: 'Once', kind: 'allow_once' },
  { optionId: 'c', name: 'No', kind: 'reject_once' },
];
const isOwn = (path: string) => path.startsWith('/w/');
const call = (kind: string | undefined, ...paths: string[]) => ({ kind, paths });

describe('The permission policy', () => {
  afterEach(removeTemporaryFolders);

  it('asks, allows edits, or allows all; once, by kind, never by id', () => {
    assert.equal(choose('ask', call('edit', '/w/a'), options, isOwn), undefined);
    assert.equal(choose('acceptEdits', call('edit', '/w/a'), options, isOwn)?.optionId, 'b');
    assert.equal(choose('acceptEdits', call('execute', '/w/a'), options, isOwn), undefined);
    assert.equal(choose('acceptEdits', call(undefined), options, isOwn), undefined);
    assert.equal(choose('allowAll', call('execute'), options, isOwn)?.optionId, 'b');
  });

  it('allows edits of named files of the worktree only (W19)', () => {
    assert.equal(choose('acceptEdits', call('edit', '/home/me/.bashrc'), options, isOwn), undefined);
    assert.equal(choose('acceptEdits', call('edit', '/w/a', '/home/me/.bashrc'), options, isOwn), undefined);
    assert.equal(choose('acceptEdits', call('edit'), options, isOwn), undefined, 'it names no file');
    assert.equal(choose('acceptEdits', call('read', '/home/me/.ssh/id'), options, isOwn), undefined);
    assert.equal(choose('acceptEdits', call('search'), options, isOwn)?.optionId, 'b');
  });

  it('asks when the agent offers nothing that allows', () => {
    assert.equal(choose('allowAll', call('execute'), [{ optionId: 'c', name: 'No', kind: 'reject_once' }], isOwn), undefined);
  });

  it('takes a file for one of the worktree by where it really is, and never what git keeps there', () => {
    const folder = temporaryFolder();
    const worktree = join(folder, 'tree');
    mkdirSync(join(worktree, 'src'), { recursive: true });
    mkdirSync(join(folder, 'other'));
    writeFileSync(join(worktree, 'src', 'a.ts'), '');
    symlinkSync(join(folder, 'other'), join(worktree, 'out'));
    symlinkSync(join(folder, 'nowhere'), join(worktree, 'dangling'));
    symlinkSync(join(worktree, 'src'), join(worktree, 'in'));
    const is = (path: string) => isInWorktree(path, { worktree });
    for (const path of [
      'src/a.ts',
      join(worktree, 'src', 'a.ts'),
      'src/new/deep/file.ts',
      'in/a.ts',
      'in/new.ts',
      'x.git',
      '.gitignore',
    ])
      assert.ok(is(path), path);
    for (const path of ['out/a.ts', 'out', 'dangling', '../other/a', join(folder, 'tree2', 'a'), '', '.', '/etc/passwd'])
      assert.ok(!is(path), path);
    // Written to, `out/../evil` is beside what `out` leads to.
    for (const path of [
      'out/../evil',
      `${worktree}/out/../evil`,
      'src/..',
      'file:///etc/passwd',
      '~/.bashrc',
      '$HOME/a',
      '%TEMP%/a',
    ])
      assert.ok(!is(path), path);
    assert.ok(is('src/a..b/..c'));
    for (const path of [
      '.git::$INDEX_ALLOCATION/config',
      '.git',
      '.git/hooks/pre-commit',
      'src/.GIT/config',
      '.git./config',
      'GIT~1/config',
    ])
      assert.ok(!is(path), path);
  });

  it('answers what already waits when it is widened', async () => {
    const book = new PermissionBook({ write: () => undefined, pathsOf: () => ['/w/a'], isOwn, onChange: () => undefined });
    const ask = (kind: 'edit' | 'execute') =>
      book.ask(
        { sessionId: 's', toolCall: { toolCallId: kind, kind }, options: options as never },
        new AbortController().signal,
        false,
      );
    const edit = ask('edit');
    const execute = ask('execute');
    book.policy = 'acceptEdits';
    assert.deepEqual(await edit, { outcome: { outcome: 'selected', optionId: 'b' } });
    assert.ok(book.shown, 'what runs something waits still');
    book.policy = 'allowAll';
    assert.deepEqual(await execute, { outcome: { outcome: 'selected', optionId: 'b' } });
    assert.equal(book.shown, null);
  });
});
