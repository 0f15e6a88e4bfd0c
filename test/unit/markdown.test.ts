import assert from 'node:assert/strict';
import { plainOf } from '../../src/webview/ui/markdown.ts';
import { realTexts } from '../support/hostileTexts.ts';

describe('Output of a terminal as plain text', () => {
  it('shows what was written last on a line, also while nothing has been written over it', () => {
    assert.equal(plainOf('10%\r50%\r100%\ndone\r\nnext 1%\rnext 2%\r'), '100%\ndone\nnext 2%');
    assert.equal(plainOf('\r\r\rx\n\r\n\n'), 'x\n\n\n');
  });

  it('leaves out colours, titles and controls, and shows what hides', () => {
    assert.equal(plainOf('\u001b[31mred\u001b[0m \u001b]8;;javascript:x\u0007link\u001b]8;;\u0007\u0000\u0008'), 'red link');
    assert.equal(plainOf('a\u202eb\u200bc'), 'a\u27e8U+202E\u27e9b\u27e8U+200B\u27e9c');
  });

  it('leaves what people write as it is (fault U16)', () => {
    for (const [language, text] of Object.entries(realTexts)) assert.equal(plainOf(text), text, language);
  });

  it('takes lines of any length', () => {
    const long = 'w'.repeat(10_000_000);
    assert.equal(plainOf(long), long);
    assert.equal(plainOf('progress\r'.repeat(1_000_000)), 'progress');
    assert.equal(plainOf('\u001b]0;title'.repeat(100_000)), '');
  });
});
