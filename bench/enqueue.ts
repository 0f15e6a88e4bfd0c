/** Durable enqueue against better-sqlite3 (WAL, synchronous=FULL) writing the same rows: time, event-loop delay, syncs, bytes. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { cacheFolder } from '../scripts/vscodeHost.ts';
import { Queue } from '../src/sessions/queue.ts';
import { nodeFileSystem, type StoreFileSystem } from '../src/store/fileSystem.ts';
import { Store } from '../src/store/store.ts';
import { makeRepository } from '../test/support/repositories.ts';
import { branchRow, makeDatabase, sessionRow, turnRow } from '../test/support/stores.ts';
import { figure, median, percentile } from './figures.ts';

const version = '13.2.0';
const rounds = 15;
const each = 40;

interface Statement {
  run(...values: unknown[]): void;
}
interface Sqlite {
  pragma(text: string): void;
  exec(text: string): void;
  prepare(text: string): Statement;
  transaction<T>(action: T): T;
  close(): void;
}

/** Fetched on demand, so that a plain install needs no compiler. */
function loadSqlite(): new (path: string) => Sqlite {
  const folder = join(cacheFolder, 'bench');
  if (!existsSync(join(folder, 'node_modules', 'better-sqlite3'))) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{"private":true}');
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', `better-sqlite3@${version}`], {
      cwd: folder,
      stdio: 'inherit',
    });
  }
  return createRequire(join(folder, 'package.json'))('better-sqlite3') as new (
    path: string,
  ) => Sqlite;
}

/** Larger writes are checkpoints and space written ahead, which many enqueues share. */
const image = 16 * 1024;

interface Counts {
  syncs: number;
  bytes: number;
}

/** The real file system, counted, and with syncs that take longer where that is asked for. */
function measured(counts: Counts, slow: number): StoreFileSystem {
  return {
    ...nodeFileSystem,
    open: async (path, how) => {
      const file = await nodeFileSystem.open(path, how);
      return {
        write: async (data, position) => {
          const written = await file.write(data, position);
          if (data.byteLength < image) counts.bytes += written;
          return written;
        },
        datasync: async () => {
          counts.syncs += 1;
          await file.datasync();
          if (slow > 0) await delay(slow);
        },
        close: () => file.close(),
      };
    },
  };
}

async function ours(folder: string, repository: string, stored: number, slow: number) {
  const counts: Counts = { syncs: 0, bytes: 0 };
  const files = measured(counts, slow);
  const store = await Store.open({
    files,
    folder,
    makeDatabase,
    owner: 'bench',
    now: Date.now,
    onProblem: (message) => console.log(message),
  });
  let next = 0;
  const newId = () => `id${String(next++).padStart(14, '0')}`;
  if (stored > 1) {
    await store.commit((tx) => {
      tx.insert('branch', branchRow('old', { repository, name: 'old', worktreeState: 'ready', paused: 'user' }));
      for (let n = 0; n < stored; n += 1) {
        tx.insert('session', sessionRow(`s${n}`, 'old'));
        tx.insert(
          'turn',
          turnRow(`t${n}`, `s${n}`, 'old', { state: 'completed', position: n, prompt: `Do the thing number ${n}`, endedAt: n }),
        );
      }
    });
    await store.checkpoint();
  }
  const queue = new Queue({
    store,
    files,
    folder,
    newId,
    now: Date.now,
    openFolders: () => [repository],
    defaultAgent: () => 'shell',
  });
  await queue.enqueue({ branch: 'b', prompt: 'The first, which makes the branch' });
  return {
    counts,
    enqueue: () => queue.enqueue({ branch: 'b', prompt: 'Change the greeting and its test, then say what you did' }),
    close: () => store.close(),
  };
}

function theirs(Sqlite: new (path: string) => Sqlite, path: string, slow: number) {
  const db = new Sqlite(path);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec(
    'CREATE TABLE session (id TEXT PRIMARY KEY, branchId TEXT, kind TEXT, agent TEXT, title TEXT, createdAt INTEGER);' +
      'CREATE TABLE turn (id TEXT PRIMARY KEY, sessionId TEXT, branchId TEXT, state TEXT, prompt TEXT, attachments TEXT, position REAL, queuedAt INTEGER);' +
      'CREATE TABLE event (id INTEGER PRIMARY KEY, at INTEGER, branchId TEXT, turnId TEXT, kind TEXT);',
  );
  const session = db.prepare('INSERT INTO session VALUES (?, ?, ?, ?, ?, ?)');
  const turn = db.prepare('INSERT INTO turn VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
  const event = db.prepare('INSERT INTO event (at, branchId, turnId, kind) VALUES (?, ?, ?, ?)');
  let next = 0;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const write = db.transaction(() => {
    next += 1;
    session.run(`s${next}`, 'b', 'commit', 'shell', 'Change the greeting and its test, then say what…', Date.now());
    turn.run(
      `t${next}`,
      `s${next}`,
      'b',
      'queued',
      'Change the greeting and its test, then say what you did',
      '[]',
      next,
      Date.now(),
    );
    event.run(Date.now(), 'b', `t${next}`, 'queued');
  });
  return {
    enqueue: () => {
      write();
      if (slow > 0) Atomics.wait(pause, 0, 0, slow); // Its sync blocks the thread, so a slower one blocks it longer.
    },
    close: () => db.close(),
  };
}

interface Measured {
  times: number[];
  delay: number;
}

/** One after the other, each timed; a turn of the event loop between them, as between commands of a person. */
async function run(enqueue: () => unknown): Promise<Measured> {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  const times: number[] = [];
  histogram.enable();
  for (let n = 0; n < each; n += 1) {
    const start = performance.now();
    await enqueue();
    times.push(performance.now() - start);
    await new Promise((resolve) => setImmediate(resolve));
  }
  histogram.disable();
  return { times, delay: histogram.max / 1e6 };
}

export async function benchEnqueue(folder: string): Promise<void> {
  const Sqlite = loadSqlite();
  const repository = makeRepository(folder, 'enqueue');
  const medians = new Map<string, number>();
  for (const [name, slow, stored] of [
    ['fast disk', 0, 1],
    ['2 ms syncs', 2, 1],
    ['10,000 stored', 0, 10_000],
  ] as const) {
    const place = join(folder, name.replace(/\W+/g, '-'));
    mkdirSync(join(place, 'transcripts'), { recursive: true });
    if (stored > 1)
      for (let n = 0; n < 500; n += 1) writeFileSync(join(place, 'transcripts', `s${n}.jsonl`), Buffer.alloc(400 * 1024, 97));
    const own = await ours(place, repository, stored, slow);
    const other = theirs(Sqlite, join(place, 'other.db'), slow);
    await run(own.enqueue);
    await run(other.enqueue);
    const before = { ...own.counts };
    const [ownTimes, otherTimes, ownDelays, otherDelays]: number[][] = [[], [], [], []];
    for (let round = 0; round < rounds; round += 1) {
      const a = await run(own.enqueue);
      const b = await run(other.enqueue);
      ownTimes?.push(...a.times);
      otherTimes?.push(...b.times);
      ownDelays?.push(a.delay);
      otherDelays?.push(b.delay);
    }
    const count = rounds * each;
    medians.set(name, median(ownTimes as number[]));
    const baseline = `better-sqlite3, ${median(otherTimes as number[]).toFixed(3)} ms`;
    if (stored === 1) {
      figure(`enqueue, ${name}`, median(ownTimes as number[]) / median(otherTimes as number[]), baseline, slow > 0 ? 1.2 : 2);
      figure(`enqueue p99, ${name}`, percentile(ownTimes as number[], 99), 'a call', 20, 'ms');
      figure(
        `event loop delay, ${name}`,
        median(ownDelays as number[]) / median(otherDelays as number[]),
        `better-sqlite3, ${median(otherDelays as number[]).toFixed(2)} ms`,
        1,
      );
      figure(`syncs per enqueue, ${name}`, (own.counts.syncs - before.syncs) / count, 'a call', 1.05, 'syncs');
      figure(`bytes per enqueue, ${name}`, (own.counts.bytes - before.bytes) / count, 'a call', 700, 'bytes');
    }
    await own.close();
    other.close();
  }
  figure(
    'enqueue with 10,000 sessions and 200 MB',
    (medians.get('10,000 stored') ?? 0) / (medians.get('fast disk') ?? 1),
    `with 1 session, ${medians.get('fast disk')?.toFixed(3)} ms`,
    1.2,
  );
}
