/** What opening, taking over and checkpoints of a large storage cost, and whether memory stays flat over very many turns. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { released } from '../src/platform/exclusive.ts';
import { nodeFileSystem } from '../src/store/fileSystem.ts';
import { Store } from '../src/store/store.ts';
import { branchRow, makeDatabase, sessionRow, turnRow } from '../test/support/stores.ts';
import { figure, median, timed } from './figures.ts';
import { heapSize } from './memory.ts';

const rounds = 9;
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

/** Opens again and again; what a journal holds is put there anew each time by `before`. */
async function opening(folder: string, before: (store: Store) => Promise<void>): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    let store: Store | undefined;
    times.push(
      await timed(async () => {
        store = await open(folder);
      }),
    );
    if (!store) throw new Error('It did not open.');
    await before(store);
  }
  return median(times);
}

export async function benchStorage(folder: string): Promise<void> {
  const large = join(folder, 'large');
  const store = await open(large);
  await fill(store, 10_000);
  await store.close();
  const empty = await opening(join(folder, 'empty'), (one) => one.close());
  const clean = await opening(large, (one) => one.close());
  figure('opening 10,000 sessions after a clean close', clean, `an empty storage, ${empty.toFixed(1)} ms`, 60, 'ms');

  // Left as a crash leaves it: the journal is as full as it gets, and nothing is closed.
  const full = await opening(large, async (one) => {
    abandoned.push(one);
    await one.checkpoint();
    for (let n = 0; n < 480; n += 1)
      await one.commit((tx) => tx.update('turn', `t${n}`, { prompt: `Another text of some length for ${n}. `.repeat(10) }));
  });
  figure('opening 10,000 sessions with a full journal', full, `after a clean close, ${clean.toFixed(1)} ms`, 150, 'ms');

  await benchTakeover(folder);
  await benchCheckpoints(folder);
  await benchManyTurns(folder);
  for (const one of abandoned.splice(0)) await one.close();
}

/** From the death of the window that owns the lock until another one has it. */
async function benchTakeover(folder: string): Promise<void> {
  const name = `bench:${folder}`;
  const program = `import { acquire } from ${JSON.stringify(fileURLToPath(new URL('../src/platform/exclusive.ts', import.meta.url)))}; await acquire(${JSON.stringify(name)}); console.log('held'); setInterval(() => {}, 1000);`;
  const times: number[] = [];
  const { acquire } = await import('../src/platform/exclusive.ts');
  for (let round = 0; round < rounds; round += 1) {
    const holder = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    const free = released(name);
    times.push(
      await timed(async () => {
        holder.kill('SIGKILL');
        await free;
        const held = await acquire(name);
        await held?.release();
      }),
    );
  }
  figure('takeover of the lock after a kill', median(times), 'from the signal on', 50, 'ms');
}

/** With 500 sessions and 200 MB of transcripts: what a checkpoint keeps the loop from, and what all of it takes. */
async function benchCheckpoints(folder: string): Promise<void> {
  const path = join(folder, 'busy');
  mkdirSync(join(path, 'transcripts'), { recursive: true });
  const entry = `${JSON.stringify({ seq: 1, at: 1, turnId: 't', type: 'text', role: 'agent', text: 'x'.repeat(4_000) })}\n`;
  for (let n = 0; n < 500; n += 1) writeFileSync(join(path, 'transcripts', `s${n}.jsonl`), entry.repeat(100));
  const idle = await loopDelay(async () => {
    for (let n = 0; n < 200; n += 1) await new Promise((resolve) => setImmediate(resolve));
  });
  const filled = await open(path);
  await fill(filled, 500);
  await filled.close();
  const added = Number(
    execFileSync(process.execPath, [fileURLToPath(new URL('memory.ts', import.meta.url)), path], { encoding: 'utf8' }),
  );
  figure(
    'memory for 500 sessions and 200 MB of transcripts',
    added / 1024 / 1024,
    'the same process before the storage was opened',
    40,
    'MB',
  );
  const store = await open(path);
  const delay = await loopDelay(async () => {
    for (let round = 0; round < 10; round += 1) {
      for (let n = 0; n < 50; n += 1) await store.commit((tx) => tx.update('turn', `t${n}`, { position: round + n }));
      await store.checkpoint();
    }
  });
  figure('longest block of the loop by a checkpoint, 500 sessions', delay, `the loop at rest, ${idle.toFixed(1)} ms`, 16, 'ms');
  await store.close();
  const large = await open(join(folder, 'large'));
  const largest = await loopDelay(async () => {
    for (let round = 0; round < 5; round += 1) {
      await large.commit((tx) => tx.update('turn', 't1', { position: round }));
      await large.checkpoint();
    }
  });
  figure('longest block of the loop by a checkpoint, 10,000 sessions', largest, `500 sessions, ${delay.toFixed(1)} ms`, 16, 'ms');
  await large.close();
}

/** Turns that come, run and are removed again, 100,000 of them: the second half takes no more than the first. */
async function benchManyTurns(folder: string): Promise<void> {
  const store = await open(join(folder, 'many'));
  await store.commit((tx) => {
    tx.insert('branch', branchRow('b'));
    tx.insert('session', sessionRow('s', 'b'));
  });
  const total = 100_000;
  const at = 100;
  const sizes: number[] = [];
  for (let from = 0; from < total; from += at) {
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
    if (from % 10_000 === 0) sizes.push(heapSize());
  }
  figure(
    'memory after 100,000 turns',
    median(sizes.slice(-3)) / median(sizes.slice(2, 5)),
    `after 30,000, ${(median(sizes.slice(2, 5)) / 1024 / 1024).toFixed(0)} MB`,
    1.1,
  );
  await store.close();
}

async function loopDelay(work: () => Promise<void>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await work();
  delay.disable();
  return delay.max / 1e6;
}
