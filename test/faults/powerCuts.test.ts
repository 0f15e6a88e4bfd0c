import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Database } from '../../src/store/database.ts';
import { replaceFile, type StoreFileSystem } from '../../src/store/fileSystem.ts';
import { Store } from '../../src/store/store.ts';
import {
  allFates,
  type Breakage,
  PowerCut,
  type Random,
  randomFrom,
  SeveredDisk,
  SimulatedDisk,
} from '../support/simulatedDisk.ts';
import { Harms } from '../support/report.ts';
import { branchRow, makeDatabase } from '../support/stores.ts';
import { rounds, seed } from './rounds.ts';

/** What a run was told: acknowledged, or begun and never answered. Each commit writes a pair of rows. */
interface Told {
  /** Values that were begun to be written, in order. */
  begun: Map<string, number[]>;
  /** Index of the last of them that was acknowledged. */
  acknowledged: Map<string, number>;
  /** True where an earlier version's storage was there at first. */
  migrates: boolean;
}

const folder = '/storage';
const cutsOfADisk = 3;
const open = (disk: StoreFileSystem, owner: string) =>
  Store.open({ files: disk, folder, makeDatabase: makeOne, owner, now: () => 1, onProblem: () => undefined });
/** Those of processes that lost their power with them: here they would stay in memory. */
const made: Database[] = [];
const makeOne = (image?: Uint8Array): Database => {
  const database = makeDatabase(image);
  made.push(database);
  return database;
};

async function writePair(store: Store, told: Told, name: string, value: number): Promise<void> {
  const values = told.begun.get(name) ?? [];
  told.begun.set(name, values);
  const index = values.push(value) - 1;
  await store.commit((tx) => {
    for (const half of ['a', 'b']) {
      const id = `${name}${half}`;
      if (tx.get('branch', id)) tx.update('branch', id, { changedAt: value });
      else tx.insert('branch', branchRow(id, { changedAt: value }));
    }
  });
  told.acknowledged.set(name, Math.max(index, told.acknowledged.get(name) ?? -1));
}

/** Opens, writes, checkpoints and closes until the power is cut or the work is done. */
async function work(disk: SimulatedDisk, told: Told, random: Random, life: number): Promise<void> {
  try {
    const store = await open(disk, `owner${life}`);
    for (let n = 0; n < 8; n += 1) {
      const several = Array.from({ length: 1 + Math.floor(random() * 3) }, (_, k) => `${life}.${n}.${k}`);
      await Promise.allSettled(
        several.map(async (name) => {
          const value = Math.floor(random() * 1_000);
          const old = random() < 0.3 ? [...told.acknowledged.keys()].at(-1) : undefined;
          const target = old ?? name;
          await writePair(store, told, target, value);
        }),
      );
      if (random() < 0.25) await store.checkpoint();
    }
    if (random() < 0.5) await store.close();
  } catch (error) {
    unlessPowerCut(error);
  }
}

/** The same each time: all that a store does with its files is in it. */
async function shortLife(disk: SimulatedDisk, told: Told): Promise<void> {
  for (const life of ['first', 'second']) {
    const store = await open(disk, life);
    for (const [name, value] of [
      [`${life}.1`, 1],
      [`${life}.1`, 2],
      [`${life}.2`, 1],
    ] as const) {
      await writePair(store, told, name, value);
      await store.checkpoint();
    }
    await writePair(store, told, `${life}.3`, 1);
    await store.close();
  }
}

/** A storage of the first schema, which the first opening that has power for it brings to the present one. */
const earlierSchema = fileURLToPath(new URL('../fixtures/storage-1/', import.meta.url));
const itsBranches = new Set(['b1', 'b2']);

/** Everything acknowledged is there, whole; what was begun is there whole or not at all. */
function check(store: Store, told: Told, harms: Harms, why: string): void {
  if (told.migrates)
    harms.expect(
      'lost',
      store.state.turn('t5')?.prompt === 'edited ☃' && store.state.turn('t1')?.state === 'completed',
      `${why}: what an earlier version stored`,
    );
  for (const branch of store.state.branches()) {
    if (told.migrates && itsBranches.has(branch.id)) continue;
    const name = branch.id.slice(0, -1);
    const [a, b] = [store.state.branch(`${name}a`), store.state.branch(`${name}b`)];
    harms.expect('illegal', a !== undefined && b !== undefined && a.changedAt === b.changedAt, `${why}: ${name} is half there`);
    const known = told.begun.get(name)?.slice(Math.max(0, told.acknowledged.get(name) ?? 0)) ?? [];
    harms.expect('lost', known.includes(branch.changedAt), `${why}: ${name} has an older value than the one acknowledged`);
  }
  for (const name of told.acknowledged.keys())
    harms.expect('lost', store.state.branch(`${name}a`) !== undefined, `${why}: ${name} was acknowledged`);
}

/** What was begun and is there counts from now on: it was seen. */
function see(store: Store, told: Told): void {
  for (const [name, values] of told.begun) {
    const index = values.lastIndexOf(store.state.branch(`${name}a`)?.changedAt ?? -1);
    if (index >= 0) told.acknowledged.set(name, index);
  }
}

function unlessPowerCut(error: unknown): undefined {
  if (!(error instanceof PowerCut) && !/power was cut/.test(String((error as Error).cause ?? error))) throw error;
}

/** One disk that loses its power three times; returns the number of cuts. */
async function round(number: number, harms: Harms, breakage: Breakage = {}): Promise<void> {
  const why = `seed ${number}`;
  const random = randomFrom(number);
  const told: Told = { acknowledged: new Map(), begun: new Map(), migrates: false };
  let disk = new SimulatedDisk(random, Math.floor(random() * 90), breakage);
  told.migrates = random() < 0.2;
  if (told.migrates)
    for (const name of readdirSync(earlierSchema)) disk.put(`${folder}/${name}`, readFileSync(join(earlierSchema, name)));
  for (let life = 0; life < cutsOfADisk; life += 1) {
    await work(disk, told, random, life);
    // The process may have been killed first: then the next one finds what only the system's cache held, and the cut comes later.
    if (disk.hasPower && random() < 0.5) {
      const store = await open(disk, 'after a kill').catch(unlessPowerCut);
      if (store) {
        check(store, told, harms, why);
        see(store, told);
      }
    }
    disk = disk.afterCut();
    const store = await open(disk, 'check');
    check(store, told, harms, why);
    see(store, told);
    if (random() < 0.5) await store.close();
    disk = disk.afterCut(Math.floor(random() * 90));
  }
  for (const database of made.splice(0)) database.close();
}

describe('Power cuts', function () {
  this.timeout(0);

  it('lose nothing that was acknowledged, and leave nothing half there', async () => {
    const count = rounds(60);
    const harms = new Harms('lost', 'illegal', 'unexplained');
    for (let n = 0; n < count; n += 1) {
      await round(seed + n, harms).catch((error: Error) =>
        harms.expect('unexplained', false, `seed ${seed + n}: ${error.stack}`),
      );
    }
    harms.report('power cuts', { rounds: count * cutsOfADisk });
  });

  it('lose nothing after any single operation of a short life, whatever the disk forgets', async () => {
    const harms = new Harms('lost', 'illegal', 'unexplained');
    const told: Told = { acknowledged: new Map(), begun: new Map(), migrates: false };
    const left: { why: string; disk: SimulatedDisk; told: Told }[] = [];
    let cuts = 0;
    const seen = new Set<string>();
    const disk = new SimulatedDisk(() => 1);
    disk.onStep = () => {
      for (const { name, fate } of allFates) {
        const after = disk.afterCut(Number.POSITIVE_INFINITY, fate);
        cuts += 1;
        const key = `${after.fingerprint} ${JSON.stringify([...told.acknowledged])}`;
        if (!seen.has(key))
          left.push({ why: `after ${disk.operations} operations a cut that ${name}`, disk: after, told: structuredClone(told) });
        seen.add(key);
      }
    };
    await shortLife(disk, told);
    for (const { why, disk, told } of left) {
      await open(disk, 'check').then(
        (store) => check(store, told, harms, why),
        (error: Error) => harms.expect('unexplained', false, `${why}: ${error.stack}`),
      );
      for (const database of made.splice(0)) database.close();
    }
    assert.ok(cuts > 1_000);
    harms.report('power cuts, each one', { rounds: cuts, 'different disks': left.length });
  });

  it('take nothing of what a window has built on, whenever the one before it was killed', async () => {
    const harms = new Harms('lost', 'illegal');
    let kills = 0;
    for (let finished = false; !finished; kills += 1) {
      const told: Told = { acknowledged: new Map(), begun: new Map(), migrates: false };
      const disk = new SimulatedDisk(() => 1);
      const process = new SeveredDisk(disk);
      const first = await open(process, 'first');
      await writePair(first, told, 'before', 1);
      process.severAfter(kills);
      await writePair(first, told, 'killed', 1).then(
        () => {
          finished = true;
        },
        () => undefined,
      );
      const second = await open(disk, 'second');
      see(second, told);
      await writePair(second, told, 'after', 1);
      for (const { name, fate } of allFates)
        check(
          await open(disk.afterCut(Number.POSITIVE_INFINITY, fate), 'check'),
          told,
          harms,
          `a kill after ${kills} operations, a cut that ${name}`,
        );
      for (const database of made.splice(0)) database.close();
    }
    assert.ok(kills > 2);
    harms.report('power cuts after a kill', { rounds: kills * allFates.length });
  });

  it('take no file that was put in place, and none of its content', async () => {
    for (const { fate } of allFates) {
      const disk = new SimulatedDisk(() => 1);
      for (const content of ['old', 'new']) {
        await replaceFile(disk, folder, `${folder}/file`, Buffer.from(content));
        assert.equal(String(await disk.afterCut(Number.POSITIVE_INFINITY, fate).read(`${folder}/file`)), content);
      }
    }
  });

  for (const breakage of [{ noSync: true }, { noFolderSync: true }]) {
    it(`are noticed by this test when the store would do without: ${Object.keys(breakage)[0]}`, async () => {
      let caught = 0;
      for (let n = 0; n < 60 && caught === 0; n += 1) {
        const harms = new Harms('lost');
        await round(seed + n, harms, breakage).catch(() => {
          caught += 1;
        });
        caught += harms.count;
      }
      assert.ok(caught > 0);
    });
  }
});
