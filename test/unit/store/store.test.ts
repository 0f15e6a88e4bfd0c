import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StorageError } from '../../../src/model/errors.ts';
import { nodeFileSystem, type StoreFile, type StoreFileSystem } from '../../../src/store/fileSystem.ts';
import { encodeRecord } from '../../../src/store/record.ts';
import { columns, type Mutation, tableNames } from '../../../src/store/schema.ts';
import type { Store } from '../../../src/store/store.ts';
import { branchRow, makeDatabase, openStore, sessionRow, turnRow } from '../../support/stores.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

const addBranch = (store: Store, id: string) => store.commit((tx) => tx.insert('branch', branchRow(id)));
const branchIds = (store: Store) => Array.from(store.state.branches(), (branch) => branch.id).sort();
const journals = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name.startsWith('journal-'))
    .sort();

/** The real file system, with one operation replaced. */
function withFaults(faults: { write?: (data: Uint8Array) => number | undefined; datasync?: () => void }): StoreFileSystem {
  return {
    ...nodeFileSystem,
    async open(path, mode) {
      const file = await nodeFileSystem.open(path, mode);
      const faulty: StoreFile = {
        async write(data, position) {
          const most = faults.write?.(data);
          return file.write(most === undefined ? data : data.subarray(0, most), position);
        },
        async datasync() {
          faults.datasync?.();
          await file.datasync();
        },
        close: () => file.close(),
      };
      return faulty;
    },
  };
}

const systemError = (code: string) => Object.assign(new Error(code), { code });

describe('The store', () => {
  afterEach(removeTemporaryFolders);

  it('has the same columns in SQL as in its types', () => {
    const database = makeDatabase();
    database.migrate();
    const row = {
      branch: branchRow('b'),
      session: sessionRow('s', 'b'),
      turn: turnRow('t', 's', 'b'),
      agentWait: { id: 'a', kind: 'limit' as const, until: 5, said: 'Resets at 3', metAt: 1, times: 2 },
      event: { id: 1, at: 1, branchId: 'b', turnId: null, kind: 'queued' },
    };
    for (const table of tableNames) {
      database.apply(['+', table, row[table] as unknown as Record<string, unknown>]);
      assert.deepEqual(database.select(table), [row[table]]);
      assert.deepEqual(Object.keys(row[table]).sort(), Object.keys(columns[table]).sort());
      if (table !== 'event') assert.deepEqual(database.all(table), [row[table]]);
    }
  });

  it('reads all rows at once as it reads one: every column in its place, every number with all its digits', () => {
    const database = makeDatabase();
    database.migrate();
    const rows = {
      branch: branchRow('b', {
        base: 'base',
        baseSha: 'sha',
        worktreeState: 'failed',
        worktreeStep: 'runSetup',
        worktreePath: '/w',
        worktreeError: { message: 'It "failed"\n☃', step: 'runSetup' },
        adopted: true,
        backgroundSetup: 'done',
        paused: 'user',
        unread: true,
        createdAt: 11,
        changedAt: 12,
        madeOrder: 13,
      }),
      session: sessionRow('s', 'b', {
        kind: 'review',
        agent: 'a',
        createdAt: 21,
        agentSessionId: 'as',
        agentInfo: 'ai',
        worktreePath: '/w',
        tipSha: 't',
        mergeBaseSha: 'm',
        retired: 'r',
        closed: true,
        unread: true,
        madeOrder: 22,
      }),
      turn: turnRow('t', 's', 'b', {
        state: 'running',
        prompt: 'nul \u0000 and \u2028',
        attachments: [{ name: 'n', mimeType: 'm', sha256: 'h', size: 1 }],
        position: 1 / 3 + 1e-15,
        queuedAt: 31,
        startedAt: 32,
        endedAt: 33,
        startSha: 'x',
        endSha: 'y',
        error: { message: 'e' },
        hostId: 'h',
        attempt: 3,
        cancelRequested: true,
        permission: { id: 'p', title: 'q', options: [] },
        silentSince: 34,
        endedOrder: 35,
      }),
    };
    for (const table of ['branch', 'session', 'turn'] as const) {
      database.apply(['+', table, rows[table] as unknown as Record<string, unknown>]);
      assert.deepEqual(database.all(table), [rows[table]]);
    }
    for (let n = 0, position = 1; n < 50; n += 1, position /= 3) {
      database.apply(['~', 'turn', 't', { position }]);
      assert.equal(database.all('turn')[0]?.position, position);
    }
  });

  it('has what was acknowledged after it was not closed', async () => {
    const folder = temporaryFolder();
    const first = await openStore(folder);
    await addBranch(first.store, 'a');
    await first.store.commit((tx) => {
      tx.insert('session', sessionRow('s', 'a'));
      tx.insert('turn', turnRow('t', 's', 'a', { prompt: 'fix ☃\n"it"' }));
      tx.event('queued', 'a', 't');
    });
    const second = await openStore(folder);
    assert.deepEqual(second.store.state.turn('t'), turnRow('t', 's', 'a', { prompt: 'fix ☃\n"it"' }));
    assert.deepEqual(
      second.store.eventsOf('t').map((event) => event.kind),
      ['queued'],
    );
    assert.deepEqual(second.problems, []);
  });

  it('has it after a close, too, and keeps at most two generations', async () => {
    const folder = temporaryFolder();
    for (const id of ['a', 'b', 'c', 'd']) {
      const { store } = await openStore(folder);
      await addBranch(store, id);
      await store.close();
    }
    const { store } = await openStore(folder);
    assert.deepEqual(branchIds(store), ['a', 'b', 'c', 'd']);
    assert.equal(readdirSync(folder).filter((name) => name.startsWith('index-')).length, 2);
  });

  it('changes nothing for a refused change, and goes on with the others of its batch', async () => {
    const folder = temporaryFolder();
    const { store } = await openStore(folder);
    const results = await Promise.allSettled([
      addBranch(store, 'a'),
      store.commit((tx) => {
        tx.insert('branch', branchRow('b'));
        throw new Error('changed my mind');
      }),
      addBranch(store, 'a'),
      addBranch(store, 'c'),
    ]);
    assert.deepEqual(
      results.map((result) => result.status),
      ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
    );
    assert.deepEqual(branchIds(store), ['a', 'c']);
    assert.deepEqual(branchIds((await openStore(folder)).store), ['a', 'c']);
  });

  it('shares one sync among the commits that arrive together', async () => {
    const folder = temporaryFolder();
    let syncs = 0;
    const { store } = await openStore(
      folder,
      withFaults({
        datasync: () => {
          syncs += 1;
        },
      }),
    );
    syncs = 0;
    await Promise.all(Array.from({ length: 50 }, (_, index) => addBranch(store, `b${index}`)));
    assert.equal(syncs, 1);
  });

  it('shows a change to readers only once it is durable', async () => {
    const seen: string[][] = [];
    let watched: Store | undefined;
    const { store } = await openStore(
      temporaryFolder(),
      withFaults({
        datasync: () => {
          if (watched) seen.push(branchIds(watched));
        },
      }),
    );
    watched = store;
    await addBranch(store, 'a');
    assert.deepEqual(seen, [[]]);
    assert.deepEqual(branchIds(store), ['a']);
  });

  it('replays more journal than one checkpoint holds', async () => {
    const folder = temporaryFolder();
    const { store } = await openStore(folder);
    for (let index = 0; index < 1_203; index += 1) {
      if (index === 0) await addBranch(store, 'b0');
      else await store.commit((tx) => tx.update('branch', 'b0', { changedAt: index }));
    }
    assert.equal((await openStore(folder)).store.state.branch('b0')?.changedAt, 1_202);
  });

  it('writes on where the system writes less than asked', async () => {
    const folder = temporaryFolder();
    const { store } = await openStore(folder, withFaults({ write: (data) => Math.ceil(data.byteLength / 3) }));
    await addBranch(store, 'a');
    assert.deepEqual(branchIds((await openStore(folder)).store), ['a']);
  });

  for (const [code, words] of [
    ['ENOSPC', /disk is full.*Free some space/],
    ['EIO', /could not be saved/],
  ] as const) {
    it(`refuses with what to do when a write fails with ${code}, and goes on when the disk does`, async () => {
      const folder = temporaryFolder();
      let broken = false;
      const { store } = await openStore(
        folder,
        withFaults({
          datasync: () => {
            if (broken) {
              broken = false;
              throw systemError(code);
            }
          },
        }),
      );
      await addBranch(store, 'a');
      broken = true;
      await assert.rejects(
        addBranch(store, 'b'),
        (error: unknown) => error instanceof StorageError && words.test(error.message) && !error.outcomeUnknown,
      );
      // Refused is not there, also for whoever opens the files as they are now.
      const copy = temporaryFolder();
      for (const name of readdirSync(folder)) copyFileSync(join(folder, name), join(copy, name));
      assert.deepEqual(branchIds((await openStore(copy)).store), ['a']);
      await addBranch(store, 'c');
      assert.deepEqual(branchIds(store), ['a', 'c']);
      const again = await openStore(folder);
      assert.deepEqual(branchIds(again.store), ['a', 'c']);
      assert.deepEqual(again.problems, []);
    });
  }

  it('says that the outcome is unknown, and takes no more, when a failed write cannot be taken back', async () => {
    let broken = false;
    const { store } = await openStore(
      temporaryFolder(),
      withFaults({
        datasync: () => {
          if (broken) throw systemError('EIO');
        },
      }),
    );
    broken = true;
    await assert.rejects(addBranch(store, 'a'), (error: unknown) => error instanceof StorageError && error.outcomeUnknown);
    assert.equal(store.mode, 'readOnly');
    await assert.rejects(addBranch(store, 'b'), StorageError);
  });

  it('gives up its reserve for essential work on a full disk', async () => {
    const folder = temporaryFolder();
    let full = false;
    const files = withFaults({
      write: (data) => {
        if (full && data[0] !== 0 && readdirSync(folder).includes('reserve')) throw systemError('ENOSPC');
        return undefined;
      },
    });
    const { store } = await openStore(folder, files);
    await addBranch(store, 'a');
    full = true;
    await assert.rejects(addBranch(store, 'b'), /disk is full/);
    await store.commit((tx) => tx.remove('branch', 'a'), { essential: true });
    assert.deepEqual(branchIds(store), []);
  });

  it('lets an older owner acknowledge nothing once another has opened the storage', async () => {
    const folder = temporaryFolder();
    const older = await openStore(folder, nodeFileSystem, 'older');
    await addBranch(older.store, 'a');
    const newer = await openStore(folder, nodeFileSystem, 'newer');
    await assert.rejects(
      addBranch(older.store, 'stray'),
      (error: unknown) => error instanceof StorageError && /taken over/.test(error.message),
    );
    await addBranch(newer.store, 'b');
    await assert.rejects(addBranch(older.store, 'stray too'), StorageError);
    const third = await openStore(folder, nodeFileSystem, 'third');
    assert.deepEqual(branchIds(third.store), ['a', 'b']);
    assert.deepEqual(third.problems, []);
  });

  it('cuts a torn tail at every length, in silence', async () => {
    const folder = temporaryFolder();
    const { store } = await openStore(folder);
    await addBranch(store, 'a');
    const path = join(folder, journals(folder).at(-1) as string);
    const before = readFileSync(path).indexOf(0);
    await addBranch(store, 'b');
    const whole = readFileSync(path);
    const after = whole.indexOf(0);
    for (let length = before; length < after; length += 7) {
      const copy = temporaryFolder();
      for (const name of readdirSync(folder)) copyFileSync(join(folder, name), join(copy, name));
      const torn = Buffer.from(whole);
      torn.fill(0, length);
      writeFileSync(join(copy, journals(folder).at(-1) as string), torn);
      const opened = await openStore(copy);
      assert.deepEqual(branchIds(opened.store), ['a']);
      assert.deepEqual(opened.problems, []);
    }
  });

  it('sets a journal with damage in the middle aside, says so, and keeps what can be read', async () => {
    const folder = temporaryFolder();
    const { store } = await openStore(folder);
    for (const id of ['a', 'b', 'c']) await addBranch(store, id);
    const name = journals(folder).at(-1) as string;
    const data = readFileSync(join(folder, name));
    data[data.indexOf('"b"') + 1] = 0x78;
    writeFileSync(join(folder, name), data);
    const opened = await openStore(folder);
    assert.deepEqual(branchIds(opened.store), ['a', 'c']);
    assert.match(opened.problems.join(), /is damaged.*Everything that could be read was kept/);
    assert.ok(readdirSync(folder).some((file) => file.startsWith(`${name}.damaged-`)));
    const again = await openStore(folder);
    assert.deepEqual(branchIds(again.store), ['a', 'c']);
    assert.deepEqual(again.problems, []);
  });

  it('takes nothing from a record whose replay would change other rows than it did at first, and says so', async () => {
    const folder = temporaryFolder();
    const { store } = await openStore(folder);
    await addBranch(store, 'a');
    const path = join(folder, journals(folder).at(-1) as string);
    const content = readFileSync(path, 'latin1').replace(/\0+$/, '');
    const last = content.trimEnd().split('\n').at(-1) as string;
    const [seq, , batch] = JSON.parse(last.slice(9)) as [number, string, number];
    const record = {
      seq: seq + 1,
      batch: batch + 1,
      index: 0,
      count: 1,
      changes: 2,
      mutations: [['~', 'branch', 'a', { changedAt: 99 }] as Mutation],
    };
    writeFileSync(path, content + encodeRecord(record, last.slice(0, 8)).line, 'latin1');
    const again = await openStore(folder);
    assert.equal(again.store.state.branch('a')?.changedAt, 1);
    assert.equal(again.problems.length, 1);
  });

  it('uses the generation before when the newest is damaged, with all that the journals have', async () => {
    const folder = temporaryFolder();
    for (const id of ['a', 'b', 'c']) {
      const { store } = await openStore(folder);
      await addBranch(store, id);
      await store.close();
    }
    const newest = readdirSync(folder)
      .filter((name) => name.startsWith('index-'))
      .sort()
      .at(-1) as string;
    const image = readFileSync(join(folder, newest));
    image[5_000] = (image[5_000] as number) ^ 0xff;
    writeFileSync(join(folder, newest), image);
    const opened = await openStore(folder);
    assert.deepEqual(branchIds(opened.store), ['a', 'b', 'c']);
    assert.equal(opened.problems.length, 1);
    assert.ok(readdirSync(folder).some((file) => file.startsWith(`${newest}.damaged-`)));
  });

  it('leaves a storage of a newer version untouched', async () => {
    const folder = temporaryFolder();
    const { store } = await openStore(folder);
    await store.close();
    const { encodeHeader } = await import('../../../src/store/record.ts');
    const { line } = encodeHeader({ format: 1, schema: 99, number: 9, epoch: 9, firstSeq: 1 }, '00000000');
    writeFileSync(join(folder, 'journal-00000009.log'), line);
    await assert.rejects(openStore(folder), /newer version of Branchline/);
    assert.equal(readFileSync(join(folder, 'journal-00000009.log'), 'utf8'), line);
  });

  it('leaves no journal of an opening that changed nothing, and numbers go on', async () => {
    const folder = temporaryFolder();
    const first = await openStore(folder);
    await addBranch(first.store, 'a');
    await first.store.close();
    const before = readdirSync(folder).sort();
    for (let n = 0; n < 12; n += 1) {
      const { store, problems } = await openStore(folder);
      assert.deepEqual([branchIds(store), problems], [['a'], []]);
      await store.close();
    }
    assert.deepEqual(readdirSync(folder).sort(), before);
    const last = await openStore(folder);
    assert.equal(last.store.epoch, 14);
    await addBranch(last.store, 'b');
    assert.deepEqual(branchIds((await openStore(folder)).store), ['a', 'b']);
  });

  it('keeps its files to the user', async () => {
    const folder = temporaryFolder();
    const { store } = await openStore(folder);
    await addBranch(store, 'a');
    await store.close();
    for (const name of readdirSync(folder)) assert.equal(statSync(join(folder, name)).mode & 0o077, 0, name);
  });
});
