import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { folders, forget, watchers, windowState, workspace } from '../../support/fakeVscode.ts';
import { git } from '../../support/repositories.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

const { OpenRepositories } = await import('../../../src/openRepositories.ts');

describe('A repository that comes into being in an open folder (fault U13)', () => {
  const open = (...paths: string[]) => {
    workspace.workspaceFolders = paths.map((fsPath, index) => ({ uri: { scheme: 'file', fsPath }, index }));
  };
  beforeEach(forget);
  after(() => {
    open();
    forget();
    removeTemporaryFolders();
  });
  const next = (repositories: InstanceType<typeof OpenRepositories>) =>
    new Promise<boolean>((resolve) => {
      const listener = repositories.onDidChange((found) => {
        listener.dispose();
        resolve(found);
      });
    });

  it('is seen when its files appear, and when they go', async () => {
    const folder = temporaryFolder();
    open(folder);
    const repositories = new OpenRepositories();
    assert.equal(repositories.found, false);
    assert.deepEqual(
      watchers.map(({ pattern }) => pattern),
      [`${folder}/{.git,.git/HEAD,.git/objects,.git/refs}`],
    );
    const made = next(repositories);
    git(folder, 'init', '--quiet');
    watchers[0]?.created.fire(undefined);
    watchers[0]?.created.fire(undefined);
    assert.equal(await made, true);
    assert.equal(repositories.found, true);
    const gone = next(repositories);
    rmSync(join(folder, '.git'), { recursive: true });
    watchers[0]?.deleted.fire(undefined);
    assert.equal(await gone, false);
    repositories.dispose();
    assert.ok(watchers.every(({ disposed, created, deleted }) => disposed && !created.listened && !deleted.listened));
  });

  it('is seen when the window has the focus again, where nothing told of it', async () => {
    const parent = temporaryFolder();
    open(parent);
    const repositories = new OpenRepositories();
    const made = next(repositories);
    git(parent, 'init', '--quiet');
    windowState.fire({ focused: true });
    assert.equal(await made, true);
    repositories.dispose();
  });

  it('is looked for in the folders that are open now', async () => {
    const [one, other] = [temporaryFolder(), temporaryFolder()];
    git(other, 'init', '--quiet');
    open(one);
    const repositories = new OpenRepositories();
    const made = next(repositories);
    open(one, other);
    folders.fire(undefined);
    assert.equal(await made, true);
    assert.deepEqual(
      watchers.map(({ disposed }) => disposed),
      [true, false, false],
    );
    repositories.dispose();
    assert.ok(watchers.every(({ disposed }) => disposed));
  });
});
