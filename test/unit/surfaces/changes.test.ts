import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Projection } from '../../../src/store/projection.ts';
import { fileSystems } from '../../support/fakeVscode.ts';
import { git, makeRepository } from '../../support/repositories.ts';
import { branchRow } from '../../support/stores.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

const { Changes } = await import('../../../src/changes.ts');

describe('Files of commits, read by their address (fault U19)', () => {
  let folder: string;
  let repository: string;
  let changes: InstanceType<typeof Changes>;
  before(() => {
    folder = temporaryFolder();
    repository = makeRepository(folder);
    const state = new Projection();
    state.load({ branch: [branchRow('b', { repository })], session: [], turn: [] });
    changes = new Changes(() => state);
  });
  after(() => {
    changes.dispose();
    removeTemporaryFolders();
  });
  const read = async (sha: string, path: string, named = repository) => {
    const address = {
      scheme: 'branchline-git',
      authority: '',
      fragment: '',
      path,
      query: JSON.stringify({ repository: named, sha }),
    };
    return Buffer.from((await fileSystems.get('branchline-git')?.readFile(address)) ?? []).toString();
  };

  it('are there as git has them', async () => {
    assert.equal(await read(git(repository, 'rev-parse', 'HEAD'), '/README.md'), '# Sample\n');
  });

  it('are not found, and run no git, where the address is not one of ours', async () => {
    const written = join(folder, 'written');
    const other = makeRepository(folder, 'other');
    const head = git(other, 'rev-parse', 'HEAD');
    const refused = { code: 'FileNotFound' };
    await assert.rejects(read(`--output=${written}`, '/x'), refused);
    await assert.rejects(read('HEAD', '/x'), refused);
    await assert.rejects(read(head, '/README.md', other), refused);
    assert.ok(!existsSync(written) && !existsSync(`${written}:x`));
  });
});
