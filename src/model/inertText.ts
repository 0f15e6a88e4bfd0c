/**
 * Words for VS Code's own surfaces: nothing in them is taken for more than words (invariant 14). What VS Code would take for a link, an
 * icon or a mnemonic is broken by U+2060, which has no width: to the eye, everything that was there is still there. Pure.
 *
 * What each surface takes for more, as VS Code's sources say (1.105 to 1.139):
 *
 * | surface | line breaks | active |
 * |---|---|---|
 * | message, progress | become spaces; cut at 1,000 | `[text](https:… \| command:… \| file:…)` is a link |
 * | modal message and detail | shown | nothing |
 * | button | one line | `$(icon)` in some places; `&&`, and `&x` where it moves to a menu, are mnemonics |
 * | prompt and problem of an input box | one line | links as in a message, `$(icon)` |
 * | label, description, detail of a pick; status bar text; terminal name; title of an editor | one line | `$(icon)`, `$(icon~spin)` |
 * | label, description and tooltip of a tree row, tooltip of the status bar, given as strings | tooltips show them | nothing |
 *
 * A tooltip that is a `MarkdownString` would make links of bare addresses whatever is escaped, so there is none.
 */
import { visible } from './visibleText.ts';

/** WORD JOINER. One from outside has been made visible before one of ours comes in. */
const breaker = '\u2060';
/** ZERO WIDTH NO-BREAK SPACE: has no width either, and is a space to whoever looks for the letter of a mnemonic. */
const space = '\ufeff';
const ellipsis = '…';
const lineBreak = '⏎';

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** The text, or its beginning and an ellipsis; at most `longest` UTF-16 units, and no character that a person sees is cut in two. */
export function shortened(text: string, longest: number): string {
  if (text.length <= longest) return text;
  let end = 0;
  // Only what may fit is split into graphemes, and a little more, so that the last of them is whole.
  for (const { index, segment } of graphemes.segment(text.slice(0, longest + 64))) {
    if (index + segment.length > longest - 1) break;
    end = index + segment.length;
  }
  return `${(end === 0 ? beginningOf(text, longest - 1) : text.slice(0, end)).trimEnd()}${ellipsis}`;
}

/** Not between the halves of one code point. */
const beginningOf = (text: string, length: number): string => text.slice(0, length).replace(/[\ud800-\udbff]$/, '');

/** On one line; a line break is seen as `⏎`, for words that are one below the other are not the same as side by side. */
export function oneLine(text: string): string {
  return text
    .split(/\r\n|[\n\r\u2028\u2029]/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(` ${lineBreak} `)
    .replace(/\t/g, ' ');
}

/** A message that grows by what breaks its links still ends before VS Code cuts it. */
const lengths = { message: 900, line: 300, label: 200, name: 60, fact: 2_000 } as const;
const mostLines = 30;

/** Of any scheme: which ones are links is VS Code's to change. */
const withoutLinks = (text: string): string => text.replace(/\](?=\([a-z][a-z\d+.-]*:)/gi, `]${breaker}`);
const withoutIcons = (text: string): string => text.replace(/\$(?=\([A-Za-z0-9~-]+\))/g, `$${breaker}`);
const withoutMnemonics = (text: string): string => text.replace(/&(?=\S)/g, `&${space}`);

/** Nobody reads what is far behind the end of what fits, so it is not looked at either. */
const farBehind = 8;

function plainLine(text: string, longest: number): string {
  const trimmed = text.trim();
  const looked = longest * farBehind;
  const whole = trimmed.length <= looked;
  return shortened(visible(oneLine(whole ? trimmed : `${beginningOf(trimmed, looked)}${ellipsis}`)), longest);
}

/** Of a notification or of progress. */
export const inertMessage = (text: string): string => withoutLinks(plainLine(text, lengths.message));

/** Of a notification's or a dialog's button. */
export const inertButton = (text: string): string => withoutMnemonics(withoutIcons(plainLine(text, lengths.name)));

/** What an input box says below what is typed. */
export const inertHint = (text: string): string => withoutIcons(withoutLinks(plainLine(text, lengths.line)));

/** Of a pick, the status bar, a title; `icon` is ours. */
export function inertLabel(text: string, icon?: string): string {
  const label = withoutIcons(plainLine(text, lengths.label));
  return icon === undefined ? label : `$(${icon})${label === '' ? '' : ` ${label}`}`;
}

/** Of a terminal. */
export const inertName = (text: string): string => withoutIcons(plainLine(text, lengths.name));

/** Where VS Code takes nothing for more than words, on one line: rows of trees, what screen readers say. */
export const inertLine = (text: string): string => plainLine(text, lengths.line);

/** Facts below one another, as a modal's detail or a tooltip: each on its own line, none can look like two. */
export function inertLines(lines: readonly string[]): string {
  const shown = lines.slice(0, mostLines).map((line) => plainLine(line, lengths.fact));
  if (lines.length > mostLines) shown.push(ellipsis);
  return shown.join('\n');
}

/** Of a document that is on no disk: letters with their marks and joiners, digits, spaces; a title in any language stays readable. */
export function fileNameOf(text: string, otherwise: string): string {
  const plain = visible(oneLine(text))
    .replace(/(?![\u200c\u200d])[^\p{L}\p{M}\p{N}\p{Emoji_Presentation} _-]/gu, ' ')
    .replace(/ {2,}/g, ' ')
    .trim();
  return shortened(plain, lengths.name).replace(ellipsis, '').trimEnd() || otherwise;
}
