import assert from 'node:assert/strict';
import fc from 'fast-check';
import { branchNameFromPrompt, branchNameProblem, titleFromPrompt } from '../../../src/model/branchNames.ts';
import {
  fileNameOf,
  inertButton,
  inertHint,
  inertLabel,
  inertLines,
  inertMessage,
  oneLine,
  shortened,
} from '../../../src/model/inertText.ts';
import { visible } from '../../../src/model/visibleText.ts';
import { hostileTexts, realTexts } from '../../support/hostileTexts.ts';

const graphemes = (text: string) =>
  Array.from(new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(text), ({ segment }) => segment);

describe('Text that deceives (fault U16)', () => {
  for (const [language, text] of Object.entries(realTexts)) {
    it(`is not what people write: ${language}`, () => {
      assert.equal(visible(text), text);
      assert.equal(visible(`"${text}": ${text}\n\t${text}.`), `"${text}": ${text}\n\t${text}.`);
    });
  }

  const shownAs: [what: string, text: string, shown: string][] = [
    ['an override of direction', 'user\u202etxt.exe\u202c', 'user⟨U+202E⟩txt.exe⟨U+202C⟩'],
    ['isolates', '\u2066a\u2069', '⟨U+2066⟩a⟨U+2069⟩'],
    ['a direction mark among Latin letters', 'a\u200fb\u200e', 'a⟨U+200F⟩b⟨U+200E⟩'],
    [
      'what has no width among Latin letters',
      'a\u200bb\u200cc\u200dd\u2060e\ufefff',
      'a⟨U+200B⟩b⟨U+200C⟩c⟨U+200D⟩d⟨U+2060⟩e⟨U+FEFF⟩f',
    ],
    ['two joiners where a language has one', 'می\u200c\u200cخ', 'می⟨U+200C⟩⟨U+200C⟩خ'],
    ['a soft hyphen', 'pass\u00adword', 'pass⟨U+00AD⟩word'],
    ['letters that are blank', 'a\u3164b\uffa0c\u2800d', 'a⟨U+3164⟩b⟨U+FFA0⟩c⟨U+2800⟩d'],
    ['orders in tags', 'x\u{e0041}\u{e0042}', 'x⟨U+E0041⟩⟨U+E0042⟩'],
    ['data in selectors', '😀\ufe0f\u{e0100}a\ufe01', '😀\ufe0f⟨U+E0100⟩a⟨U+FE01⟩'],
    ['controls', '\u0000\u0007\u001b[31m\u007f\u009b', '⟨U+0000⟩⟨U+0007⟩⟨U+001B⟩[31m⟨U+007F⟩⟨U+009B⟩'],
    ['halves of characters', 'a\ud800b\udfff', 'a⟨U+D800⟩b⟨U+DFFF⟩'],
    ['letters that look like Latin ones in a Latin word', 'pаypal', 'pа⟨U+0430⟩ypal'],
    ['more marks than any language sets', `Z${'\u0351'.repeat(100)}`, `Z${'\u0351'.repeat(12)}⟨88 more marks⟩`],
    ['a crowd of what is hidden', 'a\u202e'.concat('\u202e'.repeat(999)), `a${'⟨U+202E⟩'.repeat(8)}⟨992 more hidden⟩`],
  ];
  for (const [what, text, shown] of shownAs)
    it(`is made visible: ${what}`, () => {
      assert.equal(visible(text), shown);
      assert.equal(visible(shown), shown);
    });

  it('takes no longer than what is read, however long and bad it is', () => {
    const started = performance.now();
    for (const text of [
      'w'.repeat(5_000_000),
      '\u202e'.repeat(500_000),
      'a\u200f'.repeat(100_000),
      '😀\u200d'.repeat(100_000),
      'аb'.repeat(100_000),
    ])
      visible(text);
    for (const text of [`x${' '.repeat(500_000)}y`, '\n'.repeat(1_000_000), 'x \n'.repeat(300_000), '['.repeat(1_000_000)])
      inertMessage(text);
    assert.ok(performance.now() - started < 20_000);
  });
});

describe('Text that is cut', () => {
  it('ends between what people see as characters, with an ellipsis', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.integer({ min: 12, max: 40 }), (text, longest) => {
        const cut = shortened(text, longest);
        assert.ok(cut.length <= longest && cut.isWellFormed());
        if (cut === text) return;
        const kept = graphemes(cut.slice(0, -1));
        assert.equal(cut.at(-1), '…');
        const whole = graphemes(text);
        if (kept.length > 0 && whole[0] && whole[0].length < longest) assert.deepEqual(kept, whole.slice(0, kept.length));
      }),
    );
    assert.equal(shortened('👩‍👩‍👧‍👦👩‍👩‍👧‍👦', 15), '👩‍👩‍👧‍👦…');
    assert.equal(shortened('👩‍👩‍👧‍👦'.repeat(50), 5).isWellFormed(), true);
  });

  it('on one line shows where a line ended', () => {
    assert.equal(oneLine('rm a\n\n\r\n  rm b\u2028c\n'), 'rm a ⏎ rm b ⏎ c');
  });

  it('gives each fact one line, whatever is in it', () => {
    assert.equal(inertLines(['Lost: a.txt\nNothing is lost.', 'b']), 'Lost: a.txt ⏎ Nothing is lost.\nb');
    assert.equal(inertLines(Array.from({ length: 1_000 }, () => 'x')).split('\n').length, 31);
  });
});

describe('Titles and names made from prompts (fault U16)', () => {
  it('keep marks and joiners of languages, and cut none in two', () => {
    for (const text of Object.values(realTexts)) {
      const long = titleFromPrompt(`${text} `.repeat(12));
      assert.deepEqual(graphemes(long.slice(0, -1)), graphemes(`${text} `.repeat(12)).slice(0, graphemes(long).length - 1), text);
      assert.equal(visible(titleFromPrompt(text)), titleFromPrompt(text));
      assert.equal(branchNameProblem(branchNameFromPrompt(text, () => false)), undefined, text);
    }
    const name = (prompt: string) => branchNameFromPrompt(prompt, () => false);
    assert.equal(name('लॉगिन पृष्ठ ठीक करो'), 'लॉगिन-पृष्ठ-ठीक-करो');
    assert.equal(name('می‌خواهم'), 'می-خواهم');
    assert.equal(name('ログインページ'), 'ログインページ');
    assert.equal(name('로그인 고치기'), '로그인-고치기'.normalize('NFC'));
    assert.equal(name('แก้หน้าเข้า'), 'แก้หน้าเข้า');
    assert.equal(fileNameOf('लॉगिन: पृष्ठ/ठीक?', 'Transcript'), 'लॉगिन पृष्ठ ठीक');
    assert.equal(fileNameOf('../..\u202e', 'Transcript'), 'U 202E');
    assert.equal(fileNameOf('../..', 'Transcript'), 'Transcript');
  });
});

describe('Inert text (invariant 14)', () => {
  const eye = (text: string) => text.replace(/[\u2060\ufeff]/g, '').replace(/⟨\d+ more/g, '⟨N more');
  it('shows the characters that were there', () => {
    for (const text of hostileTexts) {
      const line = visible(oneLine(text)).replace(/⟨\d+ more/g, '⟨N more');
      for (const made of [inertMessage(text), inertLabel(text), inertHint(text), inertButton(text)]) {
        const seen = eye(made);
        assert.ok(
          seen === line || (seen.endsWith('…') && line.startsWith(seen.slice(0, -1))),
          JSON.stringify([seen, line].map((one) => one.slice(0, 100))),
        );
      }
    }
  });

  it('breaks what would be active where it would be, and nothing else', () => {
    assert.equal(inertMessage('[a](command:x) $(b) a && b'), '[a]\u2060(command:x) $(b) a && b');
    assert.equal(
      inertLabel('[a](command:x) $(b) $(c~spin) $(d e)', 'git-branch'),
      '$(git-branch) [a](command:x) $\u2060(b) $\u2060(c~spin) $(d e)',
    );
    assert.equal(inertButton('A && B &c $(d)'), 'A &\ufeff& B &\ufeffc $\u2060(d)');
  });
});
