import assert from 'node:assert/strict';
import { join } from 'node:path';
import fc from 'fast-check';
import { readTranscript, readTranscriptFrom, TranscriptWriter } from '../../../src/store/transcripts.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

const textOf = (entry: { type: string }) => ('text' in entry ? entry.text : undefined);

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
});
