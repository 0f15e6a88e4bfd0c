/** Line breaks in a box of one line (fault U3). */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { insertedLength, marked, markFor, pasteBetween, unmarked, withLines } from '../../../src/model/typedLines.ts';
import { boxes, forget, person } from '../../support/fakeVscode.ts';

const { askForText } = await import('../../../src/surfaces.ts');

describe('Line breaks in a box of one line (fault U3)', () => {
  beforeEach(forget);
  after(forget);
  const ask = (value?: string) => {
    const answer = askForText({
      title: 'x',
      placeHolder: 'y',
      ...(value === undefined ? {} : { value }),
      problem: (text) => (text.trim() === '' ? 'Write something.' : undefined),
    });
    const box = boxes.at(-1);
    assert.ok(box);
    return { answer, box };
  };

  it('are there again when the text leaves it, as it was or changed', async () => {
    const { answer, box } = ask('one\ntwo\r\nthree');
    assert.equal(box.value, 'one⏎two⏎three');
    box.type('one⏎two⏎three!');
    box.accepted.fire();
    assert.equal(await answer, 'one\ntwo\nthree!');
    assert.ok(box.disposed);
  });

  const boxed = (lines: string, by: string) => lines.replace(/\r\n?|\n/g, by);
  for (const [how, by] of [
    ['makes spaces of them', ' '],
    ['leaves them out', ''],
  ] as const) {
    it(`are kept of what is pasted, where the box ${how}`, async () => {
      const { answer, box } = ask();
      person.clipboard = 'fix it\r\n- first\r\n- second';
      box.type('Please ');
      box.type(`Please ${boxed(person.clipboard, by)}`);
      box.type(`Please ${boxed(person.clipboard, by)} now`); // Typed before the clipboard was read.
      box.accepted.fire(); // At once.
      assert.equal(await answer, 'Please fix it\n- first\n- second now');
    });
  }

  it('are kept of what is pasted over a selection of the same length', async () => {
    const { answer, box } = ask('0123456789');
    person.clipboard = 'ab\ncd';
    box.type('01ab cd789');
    box.accepted.fire();
    assert.equal(await answer, '01ab\ncd789');
  });

  it('are not made of a clipboard that was not pasted', async () => {
    const { answer, box } = ask();
    person.clipboard = 'a\nb';
    box.type('something else');
    box.accepted.fire();
    assert.equal(await answer, 'something else');
  });

  it('say what is wrong and wait, and are left by hiding the box', async () => {
    const { answer, box } = ask();
    box.type(' ');
    assert.equal(box.validationMessage, 'Write something.');
    box.accepted.fire();
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(!box.disposed);
    box.hide();
    assert.equal(await answer, undefined);
  });

  it('come back from any text and any paste', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '\n', '⏎', '↵') });
    fc.assert(
      fc.property(text, text, text, text, fc.constantFrom(' ', ''), (head, gone, tail, lines, by) => {
        const mark = markFor(head, gone, tail, lines);
        const before = marked(head + gone + tail, mark);
        assert.equal(unmarked(before, mark), head + gone + tail);
        const now = `${marked(head, mark)}${boxed(lines, by)}${marked(tail, mark)}`;
        const pasted = pasteBetween(before, now, lines);
        if (!lines.includes('\n')) return assert.equal(pasted, undefined);
        assert.ok(pasted);
        const breaks = (all: string) => all.split('\n').length;
        const after = unmarked(withLines(now, pasted, mark), mark);
        assert.equal(breaks(after), breaks(head + lines + tail));
        assert.equal(after.replace(/[\n ]/g, ''), (head + lines + tail).replace(/[\n ]/g, ''));
        assert.ok(insertedLength(before, now) <= boxed(lines, by).length);
      }),
      { numRuns: 2_000 },
    );
  });
});
