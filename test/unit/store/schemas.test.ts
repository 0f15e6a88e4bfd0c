import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import { StorageError } from '../../../src/model/errors.ts';
import { compareRows } from '../../../src/model/order.ts';
import { outcomeOf } from '../../../src/sessions/outcome.ts';
import { nodeFileSystem } from '../../../src/store/fileSystem.ts';
import { manifestFormat, writeManifest } from '../../../src/store/manifest.ts';
import { migrations, schemaVersion } from '../../../src/store/migrations/index.ts';
import { encodeHeader, journalFormat } from '../../../src/store/record.ts';
import { readTranscript, transcriptPath } from '../../../src/store/transcripts.ts';
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

  it('of schema 2, as version 0.1.0 leaves it when its window is killed, open with turns and worktrees in every state', async () => {
    const folder = storageOfSchema(2);
    for (let opening = 0; opening < 2; opening += 1) {
      const { store, problems } = await openStore(folder);
      const { state } = store;
      assert.deepEqual(problems, []);
      assert.deepEqual(
        Array.from(state.branches(), ({ id, worktreeState, worktreeStep, paused }) => [id, worktreeState, worktreeStep, paused]),
        [
          ['ready', 'ready', null, 'failure'],
          ['busy', 'ready', null, 'no'],
          ['waiting', 'queued', null, 'no'],
          ['step', 'provisioning', 'copyFiles', 'no'],
          ['setup', 'failed', 'runSetup', 'no'],
          // 0.1.0 had no state for a removal that failed: one is in the generation, the other in the journal behind it.
          ['stuck', 'removalFailed', null, 'no'],
          ['gone', 'missing', null, 'user'],
          ['leaving', 'removing', null, 'no'],
          ['left', 'removed', null, 'no'],
          ['stuckLater', 'removalFailed', null, 'no'],
        ],
      );
      assert.match(state.branch('stuck')?.worktreeError?.message ?? '', /containing submodules/);
      assert.deepEqual(
        [state.branch('busy')?.base, state.branch('busy')?.adopted, state.branch('busy')?.backgroundSetup],
        ['main', true, 'running'],
      );
      const turns = Object.fromEntries(Array.from(state.turns(), (turn) => [turn.id, turn]));
      assert.deepEqual(Object.fromEntries(Object.values(turns).map((turn) => [turn.id, turn.state])), {
        completed: 'completed',
        cancelled: 'cancelled',
        skipped: 'completed',
        noted: 'completed',
        failed: 'failed',
        interrupted: 'interrupted',
        queued: 'queued',
        running: 'running',
        waits: 'queued',
        starting: 'starting',
        unmade: 'queued',
        ended: 'cancelled',
        asked: 'queued',
      });
      for (const { startTree, endTree, work, commit, mends } of Object.values(turns))
        assert.deepEqual([startTree, endTree, work, commit, mends], [null, null, null, null, null]);
      for (const { checkout, headRef, headSha, nameMade, preparation } of state.branches())
        assert.deepEqual([checkout, headRef, headSha, nameMade, preparation], [null, null, null, false, null]);
      assert.deepEqual(
        [turns.queued?.prompt, turns.queued?.attachments[0]?.sha256, turns.unmade?.position],
        ['Ärger ☃ — zwei\nZeilen', 'd'.repeat(64), 2.5],
      );
      assert.deepEqual(
        [turns.running?.permission?.id, turns.running?.silentSince, turns.running?.cancelRequested, turns.running?.hostId],
        ['p1', 1_500, true, 'host-running'],
      );
      assert.deepEqual([turns.completed?.startSha, turns.completed?.endSha], ['b'.repeat(40), 'c'.repeat(40)]);
      assert.match(turns.failed?.error?.message ?? '', /commit was refused/);
      assert.deepEqual([...state.held()], []);
      assert.deepEqual(
        Array.from(state.sessions(), ({ id, kind, closed }) => [id, kind, closed]),
        [
          ['commits', 'commit', false],
          ['notes', 'note', false],
          ['review', 'review', false],
          ['work', 'commit', false],
          ['later', 'commit', false],
          ['soon', 'note', false],
          ['never', 'commit', true],
          ['asks', 'commit', false],
          ['starts', 'commit', false],
        ],
      );
      assert.deepEqual(
        [state.session('review')?.tipSha, state.session('commits')?.agentSessionId],
        ['b'.repeat(40), 'conversation-1'],
      );
      // Written on in what the new schema adds.
      await store.commit((tx) => {
        tx.update('turn', 'completed', { work: { files: 1, added: opening, removed: 0 } });
        tx.update('branch', 'ready', { headSha: 'e'.repeat(40) });
        tx.update('turn', 'completed', { work: null });
        tx.update('branch', 'ready', { headSha: null });
      });
      if (opening === 0) await store.checkpoint();
      await store.close();
    }
  });

  it('of schema 2 have transcripts that are read: what 0.1.0 wrote is neither sent again nor taken for work that was looked at', async () => {
    const folder = storageOfSchema(2);
    const read = (session: string) => readTranscript(transcriptPath(folder, session));
    const commits = await read('commits');
    assert.deepEqual(
      commits.map(({ type }) => type),
      ['prompt', 'session', 'handover', 'text', 'commit', 'ended', 'prompt', 'handover', 'notice', 'ended'],
    );
    assert.deepEqual(outcomeOf(await read('work'), { id: 'running', attempt: 1 }), {
      kind: 'handedOver',
      startSha: 'b'.repeat(40),
      beginning: null,
      conclusion: null,
    });
    assert.equal(outcomeOf(commits, { id: 'skipped', attempt: 1 }).kind, 'ended');
    assert.equal(outcomeOf(await read('starts'), { id: 'starting', attempt: 1 }).kind, 'notSent');
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
