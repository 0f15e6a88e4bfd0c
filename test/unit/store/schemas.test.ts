import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import { StorageError } from '../../../src/model/errors.ts';
import { compareRows } from '../../../src/model/order.ts';
import { nodeFileSystem } from '../../../src/store/fileSystem.ts';
import { manifestFormat, writeManifest } from '../../../src/store/manifest.ts';
import { migrations, schemaVersion } from '../../../src/store/migrations/index.ts';
import { encodeHeader, journalFormat } from '../../../src/store/record.ts';
import { branchRow, makeDatabase, openStore, sessionRow, turnRow } from '../../support/stores.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

const fixtures = fileURLToPath(new URL('../../fixtures/', import.meta.url));

/** A copy of a storage as an earlier version of the schema left it, in the middle of its work. */
function storageOfSchema(version: number): string {
  const folder = temporaryFolder();
  cpSync(join(fixtures, `storage-${version}`), folder, { recursive: true });
  return folder;
}
const digests = (folder: string) =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, crc32(readFileSync(join(folder, name)))]));

describe('Storages of other versions', () => {
  afterEach(removeTemporaryFolders);

  it('have a fixture for every schema before the present one', () => {
    for (let version = 1; version < schemaVersion; version += 1)
      assert.ok(readdirSync(join(fixtures, `storage-${version}`)).length > 0);
    assert.equal(migrations.length, schemaVersion);
  });

  it('of schema 1 open with all they hold, and are written on (requirement 36)', async () => {
    const folder = storageOfSchema(1);
    for (let opening = 0; opening < 2; opening += 1) {
      const { store, problems } = await openStore(folder);
      const { state } = store;
      assert.deepEqual(problems, []);
      assert.deepEqual(
        Array.from(state.branches(), ({ name, worktreeState, paused }) => [name, worktreeState, paused]),
        [
          ['feature/one', 'ready', 'no'],
          ['two', 'failed', 'user'],
        ],
      );
      assert.deepEqual(
        state.sessionsOf('b1').map(({ id }) => id),
        ['s1', 's3', 's5'],
      );
      assert.deepEqual(
        state.line('b1').map(({ id, prompt }) => [id, prompt]),
        [['t5', 'edited ☃']],
      );
      assert.equal(state.turn('t5')?.attachments[0]?.sha256, 'd'.repeat(64));
      assert.deepEqual(
        state.line('b2').map(({ id }) => id),
        ['t4', 't6'],
      );
      assert.deepEqual([state.turn('t2')?.state, state.turn('t2')?.error], ['failed', { message: 'It failed.' }]);
      // t1 ended after t3, though the clock of that moment says otherwise: the events know.
      const ended = Array.from(state.turns())
        .filter(({ state: of }) => of === 'completed')
        .sort(compareRows);
      assert.deepEqual(
        ended.map(({ id }) => id),
        ['t3', 't1'],
      );
      await store.commit((tx) => tx.update('branch', 'b2', { changedAt: opening }));
      await store.close();
    }
  });

  it('keep the order of rows over a restart when the clock is set back', async () => {
    const folder = temporaryFolder();
    const { store } = await openStore(folder);
    for (const [name, at] of [
      ['z', 9_000],
      ['a', 5],
      ['m', 4_000],
    ] as const) {
      await store.commit((tx) => {
        const madeOrder = tx.nextEvent();
        tx.insert('branch', branchRow(name, { createdAt: at, madeOrder }));
        tx.insert('session', sessionRow(`s${name}`, 'z', { createdAt: at, madeOrder }));
        tx.insert(
          'turn',
          turnRow(`t${name}`, `s${name}`, 'z', {
            state: 'completed',
            endedAt: at,
            endedOrder: tx.event('completed', 'z', `t${name}`),
          }),
        );
      });
    }
    const orders = ({ state }: typeof store) => [
      Array.from(state.branches(), ({ id }) => id),
      state.sessionsOf('z').map(({ id }) => id),
      Array.from(state.turns())
        .sort(compareRows)
        .map(({ id }) => id),
    ];
    const before = orders(store);
    assert.deepEqual(before, [
      ['z', 'a', 'm'],
      ['sz', 'sa', 'sm'],
      ['tz', 'ta', 'tm'],
    ]);
    await store.close();
    assert.deepEqual(orders((await openStore(folder)).store), before);
  });

  for (const [what, write] of [
    [
      'manifest',
      (folder: string) =>
        writeManifest(nodeFileSystem, folder, { format: manifestFormat, epoch: 9, owner: 'later', schema: schemaVersion + 1 }),
    ],
    [
      'index, without a manifest',
      async (folder: string) => {
        rmSync(join(folder, 'manifest.json'));
        const database = makeDatabase();
        database.migrate();
        const image = Buffer.from(database.export());
        image.writeUInt32BE(schemaVersion + 1, 60); // user_version (sqlite.org/fileformat2.html, offset 60)
        const crc = crc32(image).toString(16).padStart(8, '0');
        writeFileSync(join(folder, `index-999999999999.${crc}.db`), image);
      },
    ],
    [
      'journal, without a manifest',
      async (folder: string) => {
        rmSync(join(folder, 'manifest.json'));
        writeFileSync(
          join(folder, 'journal-00000099.log'),
          encodeHeader({ format: journalFormat, schema: schemaVersion + 1, number: 99, epoch: 9, firstSeq: 99 }, '00000000').line,
        );
      },
    ],
  ] as const) {
    it(`of a later schema are left as they are, with what to do: ${what}`, async () => {
      const folder = temporaryFolder();
      const { store } = await openStore(folder);
      await store.commit((tx) => tx.insert('branch', branchRow('a')));
      await store.close();
      await write(folder);
      const before = digests(folder);
      await assert.rejects(
        openStore(folder),
        (error: unknown) =>
          error instanceof StorageError && /newer version of Branchline. Update the extension/.test(error.message),
      );
      assert.deepEqual(digests(folder), before);
    });
  }
});
