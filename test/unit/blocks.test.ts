import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { TranscriptEntry } from '../../src/model/transcript.ts';
import { Conversation } from '../../src/webview/blocks.ts';

let seq = 0;
const entry = (fields: object): TranscriptEntry => {
  seq += 1;
  return { seq, at: seq, turnId: 't', ...fields } as TranscriptEntry;
};
const text = (words: string) => entry({ type: 'text', role: 'agent', text: words });

describe('A conversation in blocks', () => {
  beforeEach(() => {
    seq = 0;
  });

  it('joins what belongs together, and changes a tool call where it stands', () => {
    const conversation = new Conversation();
    for (const one of [
      text('a'),
      text('b'),
      entry({ type: 'text', role: 'thought', text: 'hm' }),
      entry({ type: 'tool', toolCallId: '__proto__', title: 'Read', kind: 'read', status: 'pending' }),
      entry({ type: 'output', stream: 'stdout', text: 'x' }),
      entry({ type: 'output', stream: 'stderr', text: 'y' }),
      entry({ type: 'tool', toolCallId: '__proto__', status: 'completed' }),
    ])
      assert.equal(conversation.add(one), false);
    assert.deepEqual(
      conversation.blocks.map((block) => [
        block.type,
        'text' in block ? block.text : block.type === 'tool' ? block.call.status : '',
      ]),
      [
        ['text', 'ab'],
        ['thought', 'hm'],
        ['tool', 'completed'],
        ['output', 'x'],
        ['output', 'y'],
      ],
    );
  });

  it('leaves out what comes again, and tells of a gap (requirement 55)', () => {
    const conversation = new Conversation();
    const first = text('a');
    const second = text('b');
    const third = text('c');
    assert.deepEqual(
      [first, second, first, second].map((one) => conversation.add(one)),
      [false, false, false, false],
    );
    const fourth = text('d');
    assert.equal(conversation.add(fourth), true);
    assert.equal(conversation.add(third), false);
    assert.equal(conversation.add(fourth), false);
    assert.deepEqual(
      conversation.blocks.map((block) => 'text' in block && block.text),
      ['abcd'],
    );
  });

  it('loses nothing of a long text, and no block grows for ever', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 3_000, unit: fc.constantFrom('a', ' ', '\n', '\n\n', '```\n') }), { maxLength: 40 }),
        (parts) => {
          seq = 0;
          const conversation = new Conversation();
          for (const part of parts) conversation.add(text(part));
          assert.equal(conversation.blocks.map((block) => ('text' in block ? block.text : '')).join(''), parts.join(''));
          for (const block of conversation.blocks) assert.ok(!('text' in block) || block.text.length <= 24_000);
          assert.equal(new Set(conversation.blocks.map(({ key }) => key)).size, conversation.blocks.length);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('cuts what comes in large pieces, too, and gives each block a key of its own', () => {
    for (const parts of [['x'.repeat(200_000)], ['a', 'x'.repeat(65_536), 'x'.repeat(65_536), 'b']]) {
      seq = 0;
      const conversation = new Conversation();
      for (const part of parts) conversation.add(text(part));
      assert.equal(conversation.blocks.map((block) => ('text' in block ? block.text : '')).join(''), parts.join(''));
      assert.ok(conversation.blocks.every((block) => 'text' in block && block.text.length <= 24_000));
      assert.equal(new Set(conversation.blocks.map(({ key }) => key)).size, conversation.blocks.length);
    }
  });

  it('cuts no character in two', () => {
    const conversation = new Conversation();
    conversation.add(text(`x${'\u{1f33f}'.repeat(30_000)}`));
    for (const block of conversation.blocks) assert.ok('text' in block && block.text.isWellFormed());
  });

  it('keeps no more than about a million characters', () => {
    const conversation = new Conversation();
    for (let n = 0; n < 3_000; n += 1) conversation.add(text(`${'x'.repeat(1_000)}\n\n`));
    const size = conversation.blocks.reduce((sum, block) => sum + ('text' in block ? block.text.length : 0), 0);
    assert.ok(size < 1_100_000 && size > 300_000, String(size));
    assert.ok(conversation.gone > 0);
  });

  it('keeps the end of a conversation without end, and still finds its open tool calls', () => {
    const conversation = new Conversation();
    conversation.add(entry({ type: 'tool', toolCallId: 'old', title: 'Old', status: 'pending' }));
    for (let n = 0; n < 5_000; n += 1) conversation.add(entry({ type: 'notice', text: String(n) }));
    conversation.add(entry({ type: 'tool', toolCallId: 'new', title: 'New', status: 'pending' }));
    conversation.add(entry({ type: 'tool', toolCallId: 'new', status: 'failed' }));
    conversation.add(entry({ type: 'tool', toolCallId: 'old', status: 'completed' }));
    const last = conversation.blocks.at(-1);
    assert.ok(conversation.blocks.length <= 1_201);
    assert.equal(last?.type === 'tool' && last.call.status, 'failed');
  });
});
