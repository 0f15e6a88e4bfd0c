/**
 * Reads what is on disk into a database: the newest generation that checks out, and the journals after it.
 *
 * What a crash can leave, and what is done about it:
 * - a torn last batch (its sync never returned, so nobody was told of it): cut;
 * - a stray record of an older owner in its old journal (its sequence number is one that the next journal also has): ignored;
 * - a line that does not check out although a later batch follows it (it was durable once): damage. Every later record that
 *   still applies is taken, the file is kept under another name, and the problem is reported;
 * - a generation that does not check out: kept under another name, the one before it is used with its journals.
 */
import { join } from 'node:path';
import { StorageError } from '../model/errors.ts';
import type { Database } from './database.ts';
import type { StoreFileSystem } from './fileSystem.ts';
import { findGenerations, type Generation, readGeneration } from './generations.ts';
import { journalNumber } from './journal.ts';
import { schemaVersion } from './migrations/index.ts';
import { chainStart, decodeLine, type Header, type JournalRecord, journalFormat, nextLineStart } from './record.ts';

export interface Recovered {
  database: Database;
  /** Last sequence number in the database. */
  seq: number;
  /** Checksum of the last journal line, for the chain. */
  lastCrc: string;
  batch: number;
  highestJournal: number;
  highestEpoch: number;
  generations: Generation[];
  /** Journals on disk: their number, and the first sequence number that they may hold. */
  journals: { number: number; firstSeq: number }[];
  /** Journals whose last records may not be durable yet: the newest, and what may stand behind it. */
  unsynced: string[];
  /** Bytes of journal that were replayed. */
  replayed: number;
  /** Sentences for people about what was damaged. Empty when all was well. */
  problems: string[];
  /** Files to keep under another name once a sound generation is on disk. */
  damaged: string[];
}

interface LoadedJournal {
  name: string;
  number: number;
  data: Buffer;
  header: Header | undefined;
  headerEnd: number;
  headerCrc: string;
}

/** Reads only; changes nothing on disk. Throws StorageError when the storage was written by a newer version. */
export async function recover(
  files: StoreFileSystem,
  folder: string,
  makeDatabase: (image?: Uint8Array) => Database,
): Promise<Recovered> {
  const names = await files.list(folder);
  const problems: string[] = [];
  const damaged: string[] = [];
  const generations: Generation[] = [];
  let base: { database: Database; seq: number } | undefined;
  for (const generation of findGenerations(names)) {
    const image = base ? undefined : await readGeneration(files, folder, generation);
    if (base) generations.push(generation);
    else if (image) {
      base = { database: makeDatabase(image), seq: generation.seq };
      generations.push(generation);
    } else {
      problems.push(`The saved index ${generation.name} is damaged; the one before it and the journal were used instead.`);
      damaged.push(generation.name);
    }
  }
  const journals = await loadJournals(files, folder, names);
  const database = base?.database ?? makeDatabase();
  try {
    if (!base) database.migrate(journals.find((journal) => journal.header)?.header?.schema ?? schemaVersion);
    refuseFuture(database, journals);
  } catch (error) {
    database.close();
    throw error;
  }

  const replay = new Replay(database, base?.seq ?? 0, problems, damaged);
  for (const [index, journal] of journals.entries()) {
    // A migration is not in the journal: a journal of a later schema begins after it.
    if (journal.header) database.migrate(journal.header.schema);
    const next = journals.slice(index + 1).find((later) => later.header);
    replay.run(journal, next?.header?.firstSeq ?? Number.POSITIVE_INFINITY);
  }
  return {
    database,
    seq: replay.seq,
    lastCrc: replay.lastCrc,
    batch: replay.batch,
    highestJournal: Math.max(0, ...journals.map((journal) => journal.number)),
    highestEpoch: Math.max(0, ...journals.map((journal) => journal.header?.epoch ?? 0)),
    generations,
    journals: journals.map((journal) => ({ number: journal.number, firstSeq: journal.header?.firstSeq ?? 0 })),
    unsynced: journals
      .slice(
        Math.max(
          0,
          journals.findLastIndex((journal) => journal.header),
        ),
      )
      .map((journal) => journal.name),
    replayed: replay.bytes,
    problems,
    damaged,
  };
}

function refuseFuture(database: Database, journals: readonly LoadedJournal[]): void {
  const newest = Math.max(database.schemaVersion, ...journals.map((journal) => journal.header?.schema ?? 0));
  const format = Math.max(0, ...journals.map((journal) => journal.header?.format ?? 0));
  if (newest <= schemaVersion && format <= journalFormat) return;
  throw new StorageError(
    'This workspace was last used with a newer version of Branchline. Update the extension to open its queue; nothing was changed.',
  );
}

async function loadJournals(files: StoreFileSystem, folder: string, names: readonly string[]): Promise<LoadedJournal[]> {
  const loaded: LoadedJournal[] = [];
  for (const name of names) {
    const number = journalNumber(name);
    if (number === undefined) continue;
    const content = await files.read(join(folder, name));
    if (!content) continue;
    const data = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    const line = decodeLine(data, 0);
    const header = line?.value.kind === 'header' ? line.value : undefined;
    loaded.push({
      name,
      number,
      data,
      header,
      headerEnd: header && line ? line.end : 0,
      headerCrc: header && line ? line.crc : chainStart,
    });
  }
  return loaded.sort((a, b) => a.number - b.number);
}

class Replay {
  readonly #database: Database;
  readonly #problems: string[];
  readonly #damaged: string[];
  seq: number;
  lastCrc = chainStart;
  batch = 0;
  bytes = 0;
  /** True when the last record that was read ends its batch. */
  #batchComplete = true;

  constructor(database: Database, seq: number, problems: string[], damaged: string[]) {
    this.#database = database;
    this.seq = seq;
    this.#problems = problems;
    this.#damaged = damaged;
  }

  /** Applies the records of one journal whose sequence number is below `bound` and above what the database has. */
  run(journal: LoadedJournal, bound: number): void {
    let offset = journal.headerEnd;
    let chain = journal.headerCrc;
    let lost = 0;
    if (!journal.header) {
      // Its creation was cut short: the writer had not yet been told that it exists, so nothing was written to it. A file
      // that holds records all the same was damaged.
      if (!this.#laterBatchFollows(journal.data, 0, bound)) return;
      lost += 1;
    } else if (journal.header.firstSeq > this.seq + 1) lost += 1;
    while (offset < journal.data.length) {
      const line = decodeLine(journal.data, offset);
      if (line?.value.kind === 'record') {
        if (line.value.seq >= bound) break;
        if (line.previous !== chain) lost += 1;
        if (!this.#apply(line.value)) lost += 1;
        chain = line.crc;
        this.bytes += line.end - offset;
        offset = line.end;
        continue;
      }
      if (!this.#laterBatchFollows(journal.data, offset, bound)) break;
      lost += 1;
      const next = nextLineStart(journal.data, offset);
      if (next === undefined) break;
      offset = next;
      chain = decodeLine(journal.data, offset)?.previous ?? chain;
    }
    this.lastCrc = chain;
    if (lost > 0) {
      this.#damaged.push(journal.name);
      this.#problems.push(
        `The journal ${journal.name} is damaged: ${lost === 1 ? 'one place' : `${lost} places`} in it could not be read. Everything that could be read was kept.`,
      );
    }
  }

  /** True when the line at `offset` had been durable: a sound record of a later batch stands behind it. */
  #laterBatchFollows(data: Buffer, offset: number, bound: number): boolean {
    const tornBatch = this.#batchComplete ? this.batch + 1 : this.batch;
    for (let next = nextLineStart(data, offset); next !== undefined; next = nextLineStart(data, next)) {
      const line = decodeLine(data, next);
      if (line?.value.kind === 'record' && line.value.seq < bound && line.value.batch > tornBatch) return true;
    }
    return false;
  }

  #apply(record: JournalRecord): boolean {
    this.batch = record.batch;
    this.#batchComplete = record.index + 1 === record.count;
    if (record.seq <= this.seq) return true;
    const gapless = record.seq === this.seq + 1;
    this.seq = record.seq;
    this.#database.begin();
    try {
      let changes = 0;
      for (const mutation of record.mutations) changes += this.#database.apply(mutation);
      if (changes !== record.changes) throw new Error('A replay changed other rows than the first run.');
      this.#database.commit();
      return gapless;
    } catch {
      this.#database.rollback();
      return false;
    }
  }
}
