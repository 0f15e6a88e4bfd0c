import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Dropped, OutputCap } from '../../../src/model/outputCap.ts';
import type { TranscriptDraft } from '../../../src/model/transcript.ts';

/** The fact of a gap, as any entry that a test can tell apart. */
const told = ({ bytes, entries }: Dropped): TranscriptDraft => ({ type: 'notice', text: `gap ${bytes} ${entries}` });
const gapOf = (draft: TranscriptDraft) => (draft.type === 'notice' ? /^gap (\d+) (\d+)$/.exec(draft.text) : null);
const output = (text: string): TranscriptDraft => ({ type: 'output', stream: 'stdout', text });
const textOf = (drafts: readonly TranscriptDraft[]) =>
  drafts.map((draft) => (gapOf(draft) ? '…' : 'text' in draft ? draft.text : `[${draft.type}]`)).join('');
const bytesOf = (drafts: readonly TranscriptDraft[]) =>
  drafts.reduce((sum, draft) => sum + (draft.type === 'output' || draft.type === 'text' ? Buffer.byteLength(draft.text) : 0), 0);

describe('The cap on what a turn writes', () => {
  it('lets everything pass at once while there is room', () => {
    const cap = new OutputCap({ limit: 1_000, told });
    for (let n = 0; n < 50; n += 1) assert.deepEqual(cap.take(output('0123456789')), [output('0123456789')]);
    assert.deepEqual(cap.end(), []);
  });

  it('keeps the beginning and the end, and tells how much is not there (W13)', () => {
    const cap = new OutputCap({ limit: 100, told });
    const given = [
      output('a'.repeat(40)),
      output(`${'b'.repeat(10)}${'c'.repeat(30)}`),
      output('d'.repeat(500)),
      output('the end'),
    ].flatMap((draft) => cap.take(draft));
    given.push(...cap.end());
    assert.equal(textOf(given), `${'a'.repeat(40)}${'b'.repeat(10)}…${'d'.repeat(18)}the end`);
    const gap = given.map(gapOf).find((one) => one);
    assert.deepEqual(gap?.slice(1).map(Number), [30 + 482, 1]);
  });

  it('bounds what has to pass, too: a call that asks is named, whatever it holds, and what is not there is told', () => {
    const limit = 100_000;
    const cap = new OutputCap({ limit, told });
    const given: TranscriptDraft[] = [];
    for (let n = 0; n < 300; n += 1) {
      const call: TranscriptDraft = { type: 'tool', toolCallId: `call-${n}`, title: 'Edit a.ts', rawInput: 'x'.repeat(10_000) };
      given.push(...cap.take(call, { must: true }));
    }
    given.push(...cap.end());
    const calls = given.filter(({ type }) => type === 'tool');
    assert.equal(calls.length, 300);
    assert.deepEqual(calls[0], { type: 'tool', toolCallId: 'call-0', title: 'Edit a.ts', rawInput: 'x'.repeat(10_000) });
    assert.ok(JSON.stringify(calls).length < limit + 10_000 + 300 * 100, String(JSON.stringify(calls).length));
    assert.ok(given.some((draft) => gapOf(draft)));
  });

  it('holds back no more than a quarter of the limit', () => {
    const cap = new OutputCap({ limit: 8 * 1024 * 1024, told });
    const before = process.memoryUsage().heapUsed;
    let given = 0;
    for (let n = 0; n < 20_000; n += 1) given += bytesOf(cap.take(output(`${n}`.padEnd(8_000, '.'))));
    const tail = cap.end();
    assert.ok(process.memoryUsage().heapUsed - before < 60 * 1024 * 1024);
    assert.equal(given, 4 * 1024 * 1024);
    assert.ok(bytesOf(tail) > 2 * 1024 * 1024 - 8_000 && bytesOf(tail) <= 2 * 1024 * 1024);
    assert.ok(textOf(tail).includes('19999'));
  });

  it('what has to stand in its place stands behind what was said before it', () => {
    const cap = new OutputCap({ limit: 400, told });
    const permission: TranscriptDraft = {
      type: 'permission',
      toolCallId: 't',
      permission: { id: 'p', title: 'May I', options: [] },
    };
    const drafts = [
      output('h'.repeat(200)),
      output('x'.repeat(80)),
      permission,
      output('y'.repeat(300)),
      permission,
      output('z'.repeat(99)),
    ];
    const given = drafts.flatMap((draft) => cap.take(draft));
    given.push(...cap.end());
    assert.equal(
      textOf(given),
      `${'h'.repeat(200)}…${'x'.repeat(50)}[permission]…${'y'.repeat(25)}[permission]${'z'.repeat(99)}`,
    );
  });

  it('a call that needs a permission passes whole', () => {
    const cap = new OutputCap({ limit: 100, told });
    cap.take(output('x'.repeat(1_000)));
    const call: TranscriptDraft = { type: 'tool', toolCallId: 't', title: 'Run', rawInput: 'y'.repeat(5_000) };
    assert.equal(cap.take(call, { must: true }).at(-1), call);
  });

  it('a call that ended does not look as if it ran, though what it gave is dropped', () => {
    const cap = new OutputCap({ limit: 2_000, told });
    cap.take(output('x'.repeat(1_500)));
    cap.take({ type: 'tool', toolCallId: 't', title: 'Run', kind: 'execute', status: 'in_progress' });
    cap.take({ type: 'tool', toolCallId: 't', status: 'completed', content: ['y'.repeat(5_000)] });
    const given = cap.end();
    assert.deepEqual(given.slice(1), [{ type: 'tool', toolCallId: 't', title: 'Run', kind: 'execute', status: 'completed' }]);
  });

  it('shows the latest to whoever looks on, ever less of it, and always has some for the end', () => {
    const cap = new OutputCap({ limit: 4_000, told });
    let shown = bytesOf(cap.take(output('x'.repeat(2_000))));
    const sizes: number[] = [];
    for (let n = 0; n < 20; n += 1) {
      cap.take(output(`${n} `.repeat(1_000)));
      const given = cap.show();
      assert.ok(given.some(gapOf));
      sizes.push(bytesOf(given));
      shown += bytesOf(given);
    }
    assert.deepEqual(sizes.slice(0, 3), [500, 250, 125]);
    cap.take(output('y'.repeat(5_000)));
    const end = cap.end();
    assert.equal(bytesOf(end), 1_000);
    assert.ok(shown + bytesOf(end) <= 4_000);
    assert.deepEqual(cap.show(), []);
  });

  it('writes no more than the limit of any stream, in order, cuts no character, and its account is exact', () => {
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.string({ unit: 'grapheme-composite', minLength: 1, maxLength: 60 }) },
      { weight: 1, arbitrary: fc.constantFrom('must', 'show') },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 8, max: 400 }), (steps, limit) => {
        const cap = new OutputCap({ limit, told });
        const given: TranscriptDraft[] = [];
        let all = '';
        for (const one of steps) {
          if (one === 'show') given.push(...cap.show());
          else if (one === 'must') given.push(...cap.take({ type: 'commit', sha: 'x', files: 1 }));
          else {
            all += one;
            given.push(...cap.take(output(one)));
          }
        }
        given.push(...cap.end());
        const kept = bytesOf(given);
        assert.ok(kept <= limit, `${kept} of ${limit}`);
        assert.ok(all.length === 0 || Buffer.byteLength(all) > limit / 2 || kept === Buffer.byteLength(all));
        const dropped = given.reduce((sum, draft) => sum + Number(gapOf(draft)?.[1] ?? 0), 0);
        assert.equal(kept + dropped, Buffer.byteLength(all));
        // What is there is what was said, piece by piece in order.
        let place = 0;
        for (const draft of given) {
          if (draft.type !== 'output') continue;
          const found = all.indexOf(draft.text, place);
          assert.ok(found >= 0);
          place = found + draft.text.length;
          assert.ok(!draft.text.includes('\ufffd') || all.includes('\ufffd'));
        }
        assert.equal(given.filter(({ type }) => type === 'commit').length, steps.filter((one) => one === 'must').length);
      }),
      { numRuns: 500 },
    );
  });
});
