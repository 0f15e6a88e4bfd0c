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
import { compare, compareAll, count, inTurns, median, timed } from './figures.ts';

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
    agents: () => ['shell'],
  });
  await queue.enqueue({ branch: 'b', prompt: 'The first, which makes the branch' });
  Object.assign(counts, { syncs: 0, bytes: 0 });
  let calls = 0;
  return {
    counts,
    calls: () => calls,
    enqueue: () => {
      calls += 1;
      return queue.enqueue({ branch: 'b', prompt: 'Change the greeting and its test, then say what you did' });
    },
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
  /** Of a call, in milliseconds. */
  median: number;
  /** The longest of a round's calls. */
  longest: number;
  /** Longest that the event loop was kept waiting, in milliseconds. */
  delay: number;
}

/** One after the other, each timed; a turn of the event loop between them, as between commands of a person. */
async function run(enqueue: () => unknown): Promise<Measured> {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  const times: number[] = [];
  histogram.enable();
  for (let n = 0; n < each; n += 1) {
    times.push(await timed(enqueue));
    await new Promise((resolve) => setImmediate(resolve));
  }
  histogram.disable();
  return { median: median(times), longest: Math.max(...times), delay: histogram.max / 1e6 };
}

export async function benchEnqueue(folder: string): Promise<void> {
  const Sqlite = loadSqlite();
  const repository = makeRepository(folder, 'enqueue');
  const against = 'better-sqlite3';
  for (const [name, slow] of [
    ['fast disk', 0],
    ['2 ms syncs', 2],
  ] as const) {
    const place = join(folder, name.replace(/\W+/g, '-'));
    mkdirSync(place);
    const own = await ours(place, repository, 1, slow);
    const other = theirs(Sqlite, join(place, 'other.db'), slow);
    await compareAll(
      {
        [`enqueue, ${name}`]: { against, atMost: slow > 0 ? 1.2 : 2 },
        [`enqueue, longest of ${each}, ${name}`]: { against, atMost: 3 },
        [`event loop delay, ${name}`]: { against, atMost: 1 },
      },
      async () => {
        const a = await run(own.enqueue);
        const b = await run(other.enqueue);
        return {
          [`enqueue, ${name}`]: { ours: a.median, theirs: b.median },
          [`enqueue, longest of ${each}, ${name}`]: { ours: a.longest, theirs: b.longest },
          [`event loop delay, ${name}`]: { ours: a.delay, theirs: b.delay },
        };
      },
      rounds,
    );
    const calls = own.calls();
    count(`syncs per enqueue, ${name}`, { of: 'a call', unit: 'syncs', atMost: 1.05 }, own.counts.syncs / calls);
    count(`bytes per enqueue, ${name}`, { of: 'a call', unit: 'bytes', atMost: 700 }, own.counts.bytes / calls);
    await own.close();
    other.close();
  }
  const many = await full(join(folder, 'many'), repository);
  const few = await ours(join(folder, 'few'), repository, 1, 0);
  await compare(
    'enqueue with 10,000 sessions and 200 MB',
    { against: 'with 1 session', atMost: 1.2 },
    inTurns(
      async () => (await run(many.enqueue)).median,
      async () => (await run(few.enqueue)).median,
    ),
    rounds,
  );
  await many.close();
  await few.close();
}

/** A storage with 10,000 sessions and 200 MB of transcripts. */
async function full(place: string, repository: string): ReturnType<typeof ours> {
  mkdirSync(join(place, 'transcripts'), { recursive: true });
  for (let n = 0; n < 500; n += 1) writeFileSync(join(place, 'transcripts', `s${n}.jsonl`), Buffer.alloc(400 * 1024, 97));
  return ours(place, repository, 10_000, 0);
}
