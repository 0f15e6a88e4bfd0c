import assert from 'node:assert/strict';
import {
  appendFileSync,
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import type { TranscriptDraft, TranscriptEntry } from '../../../src/model/transcript.ts';
import { outcomeOf } from '../../../src/sessions/outcome.ts';
import { attemptTypes, indexPath } from '../../../src/store/transcriptIndex.ts';
import { entryOf, headOf, type Line, linesBefore, linesFrom } from '../../../src/store/transcriptLines.ts';
import {
  lastOfTurn,
  readAttempt,
  readLast,
  readTranscript,
  readTranscriptFrom,
  readTurn,
  removeTranscript,
  someLine,
  TranscriptWriter,
} from '../../../src/store/transcripts.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

const textOf = (entry: { type: string }) => ('text' in entry ? entry.text : undefined);
const never = new AbortController().signal;

interface Said {
  turnId: string;
  draft: TranscriptDraft;
}

/** What may be said in a session: turns one after the other, some of them late, and attempts that end or don't. */
const said: fc.Arbitrary<Said[]> = fc
  .array(
    fc.record({
      turn: fc.integer({ min: 0, max: 3 }),
      attempt: fc.integer({ min: 1, max: 2 }),
      kind: fc.constantFrom('prompt', 'handover', 'ended', 'text', 'usage', 'output'),
      text: fc.string({ unit: 'binary', maxLength: 30 }),
    }),
    { maxLength: 25 },
  )
  .map((all) =>
    all.map(({ turn, attempt, kind, text }) => {
      const drafts: Record<string, TranscriptDraft> = {
        prompt: { type: 'prompt', text, attachments: [], attempt },
        handover: { type: 'handover', attempt },
        ended: { type: 'ended', outcome: 'completed', attempt },
        text: { type: 'text', role: 'agent', text },
        usage: { type: 'usage', used: text.length, size: 100 },
        output: { type: 'output', stream: 'stdout', text },
      };
      return { turnId: `turn-${turn}`, draft: drafts[kind] as TranscriptDraft };
    }),
  );

async function write(path: string, all: readonly Said[]): Promise<void> {
  const writer = await TranscriptWriter.open(path, () => 1);
  for (const { turnId, draft } of all) writer.append(turnId, draft);
  await writer.close();
}

async function linesOf(
  path: string,
  size: number,
  backwards: boolean,
): Promise<{ text: string | undefined; start: number; end: number }[]> {
  const file = await open(path, 'r');
  try {
    const range = { start: 0, end: (await file.stat()).size };
    const lines: { text: string | undefined; start: number; end: number }[] = [];
    for await (const some of backwards ? linesBefore(file, range, size) : linesFrom(file, range, size))
      for (const { bytes, start, end } of some) lines.push({ text: bytes?.toString(), start, end });
    return lines;
  } finally {
    await file.close();
  }
}

/** How many bytes are read from files, and the largest write, while something is done. */
async function counted<T>(path: string, action: () => Promise<T>): Promise<{ result: T; read: number; largestWrite: number }> {
  const handle = await open(path, 'a+');
  const prototype = Object.getPrototypeOf(handle) as Pick<FileHandle, 'read' | 'write'>;
  await handle.close();
  const { read, write: written } = prototype;
  let bytes = 0;
  let largestWrite = 0;
  prototype.read = async function (this: FileHandle, ...given: unknown[]) {
    const done = await (read as (...all: unknown[]) => Promise<{ bytesRead: number; buffer: Buffer }>).apply(this, given);
    bytes += done.bytesRead;
    return done;
  } as FileHandle['read'];
  prototype.write = async function (this: FileHandle, ...given: unknown[]) {
    const done = await (written as (...all: unknown[]) => Promise<{ bytesWritten: number; buffer: Buffer }>).apply(this, given);
    largestWrite = Math.max(largestWrite, done.bytesWritten);
    return done;
  } as FileHandle['write'];
  try {
    return { result: await action(), read: bytes, largestWrite };
  } finally {
    prototype.read = read;
    prototype.write = written;
  }
}

describe('Transcripts', () => {
  afterEach(removeTemporaryFolders);

  it('give back every text as it was, whatever it holds (requirement 30)', async () => {
    const texts = [
      'line separator \u2028 paragraph separator \u2029 next line \u0085',
      'a\r\nb\rc\n',
      '\u0000\u001b[31m ☃ 👩‍👩‍👧',
      '\ud800 alone',
      'x'.repeat(200_000),
    ];
    const path = join(temporaryFolder(), 't.jsonl');
    const writer = await TranscriptWriter.open(path, () => 1);
    for (const text of texts) writer.append('t', { type: 'text', role: 'agent', text });
    await writer.sync();
    assert.deepEqual((await readTranscript(path)).map(textOf), texts);
    await writer.close();
  });

  it('are read on from any line, with nothing left out or doubled (requirement 55)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 4 }), { maxLength: 6 }),
        async (parts) => {
          const path = join(temporaryFolder(), 't.jsonl');
          const writer = await TranscriptWriter.open(path, () => 1);
          const read: string[] = [];
          let end = 0;
          for (const texts of parts) {
            for (const text of texts) writer.append('t', { type: 'notice', text });
            await writer.sync();
            const next = await readTranscriptFrom(path, end);
            read.push(...next.entries.map((entry) => String(textOf(entry))));
            end = next.end;
          }
          await writer.close();
          assert.deepEqual(read, parts.flat());
          assert.deepEqual(
            (await readTranscript(path)).map(({ seq }) => seq),
            parts.flat().map((_, index) => index + 1),
          );
        },
      ),
      { numRuns: 30 },
    );
  });

  describe('in blocks (W13)', () => {
    it('have the same lines from either end, however large the blocks are', async () => {
      const path = join(temporaryFolder(), 'lines');
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.string({ unit: fc.constantFrom('a', 'ü', '\r', '\u2028', '👩'), maxLength: 12 }), { maxLength: 12 }),
          fc.boolean(),
          fc.integer({ min: 1, max: 40 }),
          async (texts, torn, size) => {
            writeFileSync(path, texts.join('\n') + (torn ? '' : '\n'));
            const whole = torn ? texts.slice(0, -1) : texts.length === 0 ? [''] : texts;
            const forwards = await linesOf(path, size, false);
            assert.deepEqual(
              forwards.map(({ text }) => text),
              whole,
            );
            const bytes = readFileSync(path);
            for (const { text, start, end } of forwards) assert.equal(bytes.toString('utf8', start, end), `${text}\n`);
            assert.deepEqual((await linesOf(path, size, true)).reverse(), forwards);
          },
        ),
        { numRuns: 200 },
      );
    });

    it('are the same entries however they are read: whole, from a place, from the end, before one of them', async () => {
      await fc.assert(
        fc.asyncProperty(
          said,
          fc.integer({ min: 1, max: 300 }),
          fc.integer({ min: 1, max: 9 }),
          async (all, blockSize, count) => {
            const path = join(temporaryFolder(), 't.jsonl');
            await write(path, all);
            const entries = await readTranscript(path);
            assert.equal(entries.length, all.length);
            assert.deepEqual(await readTranscript(path, { blockSize }), entries);
            const { size } = await open(path).then(async (file) => ({
              ...(await file.stat()),
              ...(await file.close().then(() => ({}))),
            }));
            const last = await readLast(path, { count, blockSize });
            assert.deepEqual(last, { entries: entries.slice(-count), end: size, left: Math.max(0, entries.length - count) });
            for (let before = 1; before <= entries.length + 1; before += 1) {
              const page = await readLast(path, { count, before, blockSize });
              assert.deepEqual(page.entries, entries.slice(Math.max(0, before - 1 - count), before - 1));
              assert.equal(page.left, Math.max(0, before - 1 - count));
              // What follows the page is read from its end.
              assert.deepEqual((await readTranscriptFrom(path, page.end, { blockSize })).entries, entries.slice(before - 1));
            }
            const read: TranscriptEntry[] = [];
            for (let end = 0, more = true; more; ) {
              const next = await readTranscriptFrom(path, end, { most: count * 50, blockSize });
              assert.ok(next.entries.length > 0 || !next.more);
              read.push(...next.entries);
              ({ end, more } = next);
            }
            assert.deepEqual(read, entries);
          },
        ),
        { numRuns: 30 },
      );
    });

    it('are as few as fit, but never none', async () => {
      const path = join(temporaryFolder(), 't.jsonl');
      await write(
        path,
        Array.from({ length: 20 }, (_, n) => ({ turnId: 't', draft: { type: 'notice', text: `${n}`.padEnd(1_000, '.') } })),
      );
      assert.equal((await readLast(path, { count: 20, most: 1 })).entries.length, 1);
      const few = await readLast(path, { count: 20, most: 5_500 });
      assert.deepEqual([few.entries.length, few.left], [5, 15]);
      assert.deepEqual(await readLast(join(temporaryFolder(), 'none'), { count: 5 }), { entries: [], end: 0, left: 0 });
    });

    it('leave out what is torn or not understood', async () => {
      const path = join(temporaryFolder(), 't.jsonl');
      await write(path, [{ turnId: 't', draft: { type: 'notice', text: 'one' } }]);
      appendFileSync(
        path,
        '\n{"type":"notice"\n{"type":"unheard","seq":2,"at":1,"turnId":"t"}\nnull\n\u0000\u0000\n{"type":"not',
      );
      for (const blockSize of [1, 7, 4_096]) {
        assert.equal((await readTranscript(path, { blockSize })).length, 1);
        assert.equal((await readLast(path, { count: 9, blockSize })).entries.length, 1);
        assert.equal((await readTurn(path, 't', { blockSize })).entries.length, 1);
      }
      await write(path, [{ turnId: 't', draft: { type: 'notice', text: 'two' } }]);
      assert.deepEqual(
        (await readTranscript(path)).map(({ seq }) => seq),
        [1, 2],
      );
    });

    it('a line says whose it is without being read, and says the same when it is', async () => {
      const path = join(temporaryFolder(), 't.jsonl');
      await fc.assert(
        fc.asyncProperty(said, async (all) => {
          rmSync(path, { force: true });
          await write(path, all);
          for (const line of await linesOf(path, 4_096, false)) {
            const read: Pick<Line, 'bytes'> = { bytes: Buffer.from(line.text as string) };
            const entry = entryOf(read);
            assert.deepEqual(headOf(read), entry && { type: entry.type, seq: entry.seq, turnId: entry.turnId });
          }
        }),
        { numRuns: 20 },
      );
      const fooling = '{"type":"tool","toolCallId":"c","rawInput":{"seq":9,"at":9,"turnId":"x"},"seq":1,"at":1,"turnId":"t"}';
      assert.deepEqual(headOf({ bytes: Buffer.from(fooling) }), { type: 'tool', seq: 1, turnId: 't' });
      const reordered = '{"seq":3,"at":1,"turnId":"ü","type":"notice","text":"\\"seq\\":5,\\"at\\":5,\\"turnId\\":\\"x\\"}"}';
      assert.equal(headOf({ bytes: Buffer.from(reordered) })?.seq, 3);
    });
  });

  describe('by turn', () => {
    /** Of each kind the latest, back to the hand-over or prompt. */
    function latestOf(own: readonly TranscriptEntry[], attempt: number): TranscriptEntry[] {
      const found = new Map<string, TranscriptEntry>();
      for (const entry of own.toReversed()) {
        if (!('attempt' in entry) || entry.attempt !== attempt) continue;
        if (!found.has(entry.type)) found.set(entry.type, entry);
        if (entry.type === 'handover' || entry.type === 'prompt') break;
      }
      return attemptTypes.flatMap((type) => found.get(type) ?? []);
    }
    /** The same questions, asked of the whole transcript. */
    async function same(path: string, blockSize: number): Promise<void> {
      const entries = await readTranscript(path);
      for (const turnId of ['turn-0', 'turn-1', 'turn-2', 'turn-3', 'none']) {
        const own = entries.filter((entry) => entry.turnId === turnId);
        assert.deepEqual(await readTurn(path, turnId, { blockSize }), { entries: own, left: 0 });
        assert.deepEqual(
          await lastOfTurn(path, turnId, 'usage', { blockSize }),
          own.findLast(({ type }) => type === 'usage'),
        );
        for (const attempt of [1, 2]) {
          const found = await readAttempt(path, turnId, attempt, { blockSize });
          assert.deepEqual(found, latestOf(own, attempt));
        }
      }
    }

    it('are found through the index, and without it', async () => {
      await fc.assert(
        fc.asyncProperty(said, said, fc.integer({ min: 1, max: 300 }), async (first, second, blockSize) => {
          const path = join(temporaryFolder(), 't.jsonl');
          await write(path, first);
          await same(path, blockSize);
          await write(path, second);
          assert.ok(existsSync(indexPath(path)));
          await same(path, blockSize);
          const copy = join(temporaryFolder(), 't.jsonl');
          writeFileSync(copy, readFileSync(path));
          await same(copy, blockSize);
        }),
        { numRuns: 25 },
      );
    });

    it('are found whatever became of the index', async () => {
      await fc.assert(
        fc.asyncProperty(
          said,
          said,
          fc.record({
            from: fc.nat(),
            length: fc.nat({ max: 60 }),
            put: fc.constantFrom('', '\u0000', '\n', '{"turnId":"turn-1","type":"text","seq":1,"start":0}\n'),
          }),
          fc.constantFrom('before', 'after', 'both'),
          async (first, second, { from, length, put }, when) => {
            const path = join(temporaryFolder(), 't.jsonl');
            const harm = () => {
              const index = readFileSync(indexPath(path));
              const place = from % (index.length + 1);
              writeFileSync(
                indexPath(path),
                Buffer.concat([index.subarray(0, place), Buffer.from(put), index.subarray(place + length)]),
              );
            };
            await write(path, first);
            if (when !== 'after') harm();
            await write(path, second);
            if (when !== 'before') harm();
            const copy = join(temporaryFolder(), 't.jsonl'); // A path of which nothing is kept in memory.
            writeFileSync(copy, readFileSync(path));
            writeFileSync(indexPath(copy), readFileSync(indexPath(path)));
            await same(copy, 200);
          },
        ),
        { numRuns: 80 },
      );
    });

    it('are found when the transcript lost its end and the index did not', async () => {
      await fc.assert(
        fc.asyncProperty(said, said, fc.nat(), async (first, second, cut) => {
          const path = join(temporaryFolder(), 't.jsonl');
          await write(path, first);
          truncateSync(path, cut % (readFileSync(path).length + 1));
          const copy = join(temporaryFolder(), 't.jsonl');
          writeFileSync(copy, readFileSync(path));
          writeFileSync(indexPath(copy), readFileSync(indexPath(path)));
          await same(copy, 100);
          await write(path, second);
          await same(path, 100);
        }),
        { numRuns: 25 },
      );
    });

    it('tell how far a turn came as the whole transcript would', async () => {
      await fc.assert(
        fc.asyncProperty(said, async (all) => {
          const path = join(temporaryFolder(), 't.jsonl');
          await write(path, all);
          const entries = await readTranscript(path);
          for (const id of ['turn-0', 'turn-1'])
            for (const attempt of [1, 2]) {
              // In the order that a host writes, the last of the three is the one that counts.
              const own = entries.filter((entry) => entry.turnId === id && 'attempt' in entry && entry.attempt === attempt);
              const ranks = own.map(({ type }) => ['prompt', 'handover', 'ended'].indexOf(type));
              if (ranks.some((rank, place) => rank < (ranks[place - 1] ?? 0))) continue;
              assert.deepEqual(
                outcomeOf(await readAttempt(path, id, attempt), { id, attempt }),
                outcomeOf(entries, { id, attempt }),
              );
            }
        }),
        { numRuns: 60 },
      );
    });

    it('of a turn that has too many, the beginning and the end are read, and the rest counted', async () => {
      const path = join(temporaryFolder(), 't.jsonl');
      const texts = Array.from({ length: 100 }, (_, n) => `${n}`.padEnd(1_000, '.'));
      await write(path, [
        { turnId: 'a', draft: { type: 'notice', text: 'before' } },
        ...texts.map((text): Said => ({ turnId: 'b', draft: { type: 'output', stream: 'stdout', text } })),
        { turnId: 'c', draft: { type: 'notice', text: 'after' } },
      ]);
      const { entries, left } = await readTurn(path, 'b', { most: 22_000 });
      assert.deepEqual(entries.map(textOf), [...texts.slice(0, 10), ...texts.slice(-10)]);
      assert.equal(left, 80);
    });
  });

  describe('of any size', () => {
    const size = 600 * 1024 * 1024;

    /** A session whose turn printed for 600 MB, as a sparse file: first lines, nothing, last lines. */
    async function large(ended: boolean): Promise<string> {
      const path = join(temporaryFolder(), 'large.jsonl');
      const beginning = join(temporaryFolder(), 'beginning.jsonl');
      await write(beginning, [
        { turnId: 'early', draft: { type: 'prompt', text: 'p', attachments: [], attempt: 1 } },
        { turnId: 'early', draft: { type: 'ended', outcome: 'completed', attempt: 1 } },
        { turnId: 'late', draft: { type: 'prompt', text: 'p', attachments: [], attempt: 1 } },
        { turnId: 'late', draft: { type: 'handover', attempt: 1 } },
      ]);
      writeFileSync(path, readFileSync(beginning));
      const end = Array.from({ length: 500 }, (_, n) =>
        JSON.stringify({ type: 'output', stream: 'stdout', text: `line ${n}`, seq: 1_000_000 + n, at: 1, turnId: 'late' }),
      );
      if (ended)
        end.push(JSON.stringify({ type: 'ended', outcome: 'completed', attempt: 1, seq: 1_000_500, at: 1, turnId: 'late' }));
      const file = openSync(path, 'r+');
      const text = `\n${end.join('\n')}\n`;
      writeSync(file, text, size - text.length);
      ftruncateSync(file, size);
      closeSync(file);
      return path;
    }

    it('the last entries are read from the end alone', async () => {
      const path = await large(true);
      const page = await counted(path, () => readLast(path, { count: 400 }));
      assert.equal(page.result.entries.length, 400);
      assert.equal(page.result.end, size);
      assert.ok(page.read <= 1024 * 1024, `${page.read} bytes`);
      const before = await counted(path, () => readLast(path, { count: 10, before: 1_000_100 }));
      assert.deepEqual(
        before.result.entries.map(({ seq }) => seq - 1_000_000),
        [90, 91, 92, 93, 94, 95, 96, 97, 98, 99],
      );
    });

    it('is written on without being read, and how far a turn came that goes on is told by the index', async () => {
      const path = await large(false);
      const opened = await counted(path, () => TranscriptWriter.open(path, () => 1));
      assert.ok(opened.read <= 1024 * 1024, `${opened.read} bytes`);
      const writer = opened.result;
      writer.append('later', { type: 'prompt', text: 'p', attachments: [], attempt: 1 });
      writer.append('later', { type: 'handover', attempt: 1, startSha: 'abc' });
      const text = 'x'.repeat(64 * 1024);
      for (let n = 0; n < 320; n += 1) writer.append('later', { type: 'output', stream: 'stdout', text });
      await writer.sync();
      const found = await counted(path, () => readAttempt(path, 'later', 1));
      assert.equal(found.result[0]?.type, 'handover');
      assert.ok(found.read <= 3 * 1024 * 1024, `${found.read} bytes`);
      await writer.close();
    });

    it('memory does not grow with it', async () => {
      const path = await large(false);
      const before = process.memoryUsage().rss;
      assert.equal((await readAttempt(path, 'late', 1))[0]?.type, 'handover'); // Without an index, back to the hand-over, in blocks.
      assert.equal((await readTurn(path, 'late')).entries.length, 502);
      assert.equal(await someLine(path, (line) => line.includes('line 499'), never), true);
      assert.equal(await someLine(path, (line) => line.includes('never said'), never), false);
      const grown = process.memoryUsage().rss - before;
      assert.ok(grown < 300 * 1024 * 1024, `${grown} bytes`);
    });
  });

  describe('while they are written', () => {
    it('much that waits for the disk is written in pieces, in order, and told with its place (W14)', async () => {
      const path = join(temporaryFolder(), 't.jsonl');
      const told: { seq: number; start: number; end: number }[] = [];
      const { largestWrite } = await counted(path, async () => {
        const writer = await TranscriptWriter.open(path, () => 1);
        writer.onWritten = (entries, { start, end }) => told.push(...entries.map(({ seq }) => ({ seq, start, end })));
        for (let n = 0; n < 5_000; n += 1)
          writer.append('t', { type: 'output', stream: 'stdout', text: `${n}`.padEnd(2_000, '.') });
        assert.equal(writer.backlog, 5_000);
        await writer.sync();
        assert.equal(writer.backlog, 0);
        await writer.close();
      });
      assert.ok(largestWrite < 300 * 1024, `${largestWrite} bytes`);
      assert.deepEqual(
        told.map(({ seq }) => seq),
        Array.from({ length: 5_000 }, (_, n) => n + 1),
      );
      const bytes = readFileSync(path);
      for (const { seq, start, end } of told.filter((_, n) => n % 97 === 0))
        assert.ok(bytes.toString('utf8', start, end).includes(`"seq":${seq},`));
    });

    it('what a full disk did not take is written later, in order, with nothing doubled', async () => {
      const path = join(temporaryFolder(), 't.jsonl');
      const writer = await TranscriptWriter.open(path, () => 1);
      const probe = await open(path, 'r');
      const prototype = Object.getPrototypeOf(probe) as Pick<FileHandle, 'write'>;
      await probe.close();
      const { write: written } = prototype;
      let room = 700_000;
      prototype.write = async function (this: FileHandle, data: Buffer, offset: number, length: number, position: number) {
        if (room <= 0) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
        const some = Math.min(length, room);
        room -= some;
        return (written as (...all: unknown[]) => Promise<{ bytesWritten: number; buffer: Buffer }>).call(
          this,
          data,
          offset,
          some,
          position,
        );
      } as FileHandle['write'];
      const told: number[] = [];
      writer.onWritten = (entries) => told.push(...entries.map(({ seq }) => seq));
      try {
        for (let n = 0; n < 1_000; n += 1)
          writer.append('t', { type: 'output', stream: 'stdout', text: `${n}`.padEnd(1_000, '.') });
        await assert.rejects(writer.sync());
        assert.ok(told.length > 0 && told.length < 1_000);
        writer.append('t', { type: 'ended', outcome: 'completed', attempt: 1 });
        room = Number.POSITIVE_INFINITY;
        await writer.sync();
      } finally {
        prototype.write = written;
      }
      await writer.close();
      const expected = Array.from({ length: 1_001 }, (_, n) => n + 1);
      assert.deepEqual(told, expected);
      assert.deepEqual(
        (await readTranscript(path)).map(({ seq }) => seq),
        expected,
      );
      assert.equal((await readAttempt(path, 't', 1)).at(-1)?.type, 'ended');
    });

    it('an index that can not be written is done without', async () => {
      const path = join(temporaryFolder(), 't.jsonl');
      mkdirSync(indexPath(path)); // A folder in its place.
      await write(path, [{ turnId: 'turn-1', draft: { type: 'handover', attempt: 1 } }]);
      assert.equal((await readTranscript(path)).length, 1);
    });

    it('they are removed with their index', async () => {
      const path = join(temporaryFolder(), 't.jsonl');
      await write(path, [{ turnId: 't', draft: { type: 'handover', attempt: 1 } }]);
      await removeTranscript(path);
      assert.ok(!existsSync(path) && !existsSync(indexPath(path)));
      await removeTranscript(path);
    });
  });
});
