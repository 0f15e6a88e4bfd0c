/** What opening, taking over and checkpoints of a large storage cost, and whether memory stays flat over very many turns. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import loadSqlJs, { type Database as SqlDatabase } from 'sql.js';
import { acquire, released } from '../src/platform/exclusive.ts';
import { nodeFileSystem } from '../src/store/fileSystem.ts';
import { findGenerations } from '../src/store/generations.ts';
import { Store } from '../src/store/store.ts';
import { branchRow, makeDatabase, sessionRow, turnRow } from '../test/support/stores.ts';
import { attempt, compare, count, inTurns, leastRounds, timed } from './figures.ts';
import { heapSize } from './memory.ts';

/** Stores that are left as a crash leaves them, to be let go of at the end; by then others own their storage, which they say. */
const abandoned: Store[] = [];
const onProblem = (message: string) => {
  if (!message.startsWith('Another window')) console.log(message);
};
const open = (folder: string) =>
  Store.open({ files: nodeFileSystem, folder, makeDatabase, owner: 'bench', now: Date.now, onProblem });

/** Sessions with a turn each, ten on a branch, most of them done. */
async function fill(store: Store, sessions: number): Promise<void> {
  const at = 200;
  for (let from = 0; from < sessions; from += at) {
    await store.commit((tx) => {
      for (let n = from; n < from + at; n += 1) {
        const branch = `b${Math.floor(n / 10)}`;
        if (n % 10 === 0) tx.insert('branch', branchRow(branch, { worktreeState: 'ready', paused: 'user', name: branch }));
        tx.insert('session', sessionRow(`s${n}`, branch));
        tx.insert(
          'turn',
          turnRow(`t${n}`, `s${n}`, branch, {
            prompt: `Do what is written here for ${n}, and do it well. `.repeat(4),
            position: n,
            ...(n % 10 < 7 ? { state: 'completed', startedAt: n, endedAt: n, endedOrder: n } : {}),
          }),
        );
        tx.event('queued', branch, `t${n}`);
      }
    });
  }
}

/** Milliseconds until it is open; then `after` is done with it. */
async function opening(folder: string, after: (store: Store) => Promise<void>): Promise<number> {
  let store: Store | undefined;
  const time = await timed(async () => {
    store = await open(folder);
  });
  if (store) await after(store);
  return time;
}

/** The newest index of a storage, as a bare sql.js takes it. */
async function bareDatabase(folder: string): Promise<SqlDatabase> {
  const [newest] = findGenerations(readdirSync(folder));
  const sql = await loadSqlJs();
  return new sql.Database(readFileSync(join(folder, newest?.name ?? '')));
}

/** What no opening can do without: the file, and each row of it as values. */
async function bareReading(folder: string): Promise<number> {
  await loadSqlJs();
  return timed(async () => {
    const database = await bareDatabase(folder);
    for (const table of ['branch', 'session', 'turn']) {
      const columns = database.exec(`PRAGMA table_info(${table})`)[0]?.values.map((row) => row[1]);
      const rows = database.exec(`SELECT json_group_array(json_array(${columns?.join()})) FROM ${table}`)[0]?.values[0]?.[0];
      JSON.parse(rows as string);
    }
    database.close();
  });
}

export async function benchStorage(folder: string): Promise<void> {
  await benchManyTurns(join(folder, 'turns')); // First, with nothing else in memory.
  const large = join(folder, 'large');
  const store = await open(large);
  await fill(store, 10_000);
  await store.close();
  const closed = () => opening(large, (one) => one.close());
  await compare(
    'opening 10,000 sessions after a clean close',
    { against: 'their rows out of a bare sql.js', atMost: 1.5 },
    inTurns(closed, () => bareReading(large)),
  );
  await compare('opening 10,000 sessions with a full journal', { against: 'after a clean close', atMost: 2.5 }, async () => {
    const theirs = await closed();
    await opening(large, leftFull);
    return { ours: await opening(large, (one) => one.close()), theirs };
  });
  await benchTakeover(folder);
  await attempt(['memory for 500 sessions and 200 MB of transcripts'], () => benchMemory(join(folder, 'busy')));
  await benchCheckpoints('500 sessions', join(folder, 'busy'));
  await benchCheckpoints('10,000 sessions', large);
  for (const one of abandoned.splice(0)) await one.close();
}

/** As a crash leaves it: the journal is as full as it gets, and nothing is closed. */
async function leftFull(store: Store): Promise<void> {
  abandoned.push(store);
  await store.checkpoint();
  for (let n = 0; n < 480; n += 1)
    await store.commit((tx) => tx.update('turn', `t${n}`, { prompt: `Another text of some length for ${n}. `.repeat(10) }));
}

/** From the death of the window that owns the lock until another one has it, against the same death as its parent hears of it. */
async function benchTakeover(folder: string): Promise<void> {
  const name = `bench:${folder}`;
  const program = `import { acquire } from ${JSON.stringify(fileURLToPath(new URL('../src/platform/exclusive.ts', import.meta.url)))}; await acquire(${JSON.stringify(name)}); console.log('held'); setInterval(() => {}, 1000);`;
  await compare('takeover of the lock after a kill', { against: 'until its parent is told of the end', atMost: 2 }, async () => {
    const holder = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    const free = released(name);
    const start = performance.now();
    const since = () => performance.now() - start;
    const ended = new Promise<number>((resolve) => holder.once('exit', () => resolve(since())));
    holder.kill('SIGKILL');
    await free;
    const held = await acquire(name);
    const ours = since();
    await held?.release();
    return { ours, theirs: await ended };
  });
}

/** 500 sessions and 200 MB of transcripts: none of which is read to open it. */
async function benchMemory(path: string): Promise<void> {
  mkdirSync(join(path, 'transcripts'), { recursive: true });
  const entry = `${JSON.stringify({ seq: 1, at: 1, turnId: 't', type: 'text', role: 'agent', text: 'x'.repeat(4_000) })}\n`;
  for (let n = 0; n < 500; n += 1) writeFileSync(join(path, 'transcripts', `s${n}.jsonl`), entry.repeat(100));
  const filled = await open(path);
  await fill(filled, 500);
  await filled.close();
  const added = Number(
    execFileSync(process.execPath, [fileURLToPath(new URL('memory.ts', import.meta.url)), path], { encoding: 'utf8' }),
  );
  count(
    'memory for 500 sessions and 200 MB of transcripts',
    { of: 'the same process before the storage was opened', unit: 'MB', atMost: 40 },
    added / 1024 / 1024,
  );
}

/** What a checkpoint keeps the loop from, against a bare sql.js that writes the same database into memory. */
async function benchCheckpoints(of: string, path: string): Promise<void> {
  await attempt([`longest block of the loop by a checkpoint, ${of}`], async () => {
    const bare = await bareDatabase(path);
    const store = await open(path);
    let position = 1;
    await compare(
      `longest block of the loop by a checkpoint, ${of}`,
      { against: "a bare sql.js's export", atMost: 3 },
      inTurns(
        async () => {
          for (let n = 0; n < 50; n += 1) await store.commit((tx) => tx.update('turn', `t${n}`, { position: position++ }));
          return longestBlock(() => store.checkpoint());
        },
        () => longestBlock(async () => void bare.export()),
      ),
      9,
    );
    await store.close();
    bare.close();
  });
}

/** Turns that come, run and are removed again, 100,000 of them: the second half takes no more than the first. */
async function benchManyTurns(folder: string): Promise<void> {
  const store = await open(folder);
  await store.commit((tx) => {
    tx.insert('branch', branchRow('b'));
    tx.insert('session', sessionRow('s', 'b'));
  });
  const at = 100;
  let from = 0;
  const thousands = async (number: number) => {
    for (const end = from + number * 1_000; from < end; from += at) {
      await Promise.all(
        Array.from({ length: at }, (_, k) =>
          store.commit((tx) => {
            const id = `t${from + k}`;
            if (from > 0) tx.remove('turn', `t${from - at + k}`);
            tx.insert('turn', turnRow(id, 's', 'b', { position: from + k }));
            tx.event('queued', 'b', id);
            tx.update('turn', id, { state: 'completed', endedAt: from, endedOrder: tx.event('completed', 'b', id) });
          }),
        ),
      );
    }
    return heapSize() / 1024 / 1024;
  };
  await attempt(['memory after 100,000 turns'], async () => {
    await thousands(20);
    const early: number[] = [];
    for (let n = 0; n < leastRounds + 1; n += 1) early.push(await thousands(5));
    await thousands(20);
    await compare(
      'memory after 100,000 turns',
      { against: 'after 20,000 to 50,000', unit: 'MB', atMost: 1.1 },
      async (round) => ({
        ours: await thousands(5),
        theirs: early[round] ?? Number.NaN,
      }),
    );
  });
  await store.close();
}

/** The longest that the event loop is kept waiting, in milliseconds. */
async function longestBlock(work: () => Promise<void>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await new Promise((resolve) => setTimeout(resolve, 5)); // It has to have looked once before.
  await work();
  await new Promise((resolve) => setTimeout(resolve, 5));
  delay.disable();
  return delay.max / 1e6;
}
