/**
 * Line breaks in an input box, which has one line: each is seen as a mark, and is a line break again when the text leaves the box. A box
 * makes spaces of the line breaks of what is pasted, so what was pasted is compared with the clipboard. Pure.
 */

const marks = ['⏎', '↵', '␤', '␊'];

/** A mark that does not stand for itself in any of these texts. */
export const markFor = (...texts: readonly string[]): string =>
  marks.find((mark) => !texts.some((text) => text.includes(mark))) ?? '⏎⏎';

const withoutReturns = (text: string): string => text.replace(/\r\n?/g, '\n');
export const marked = (text: string, mark: string): string => withoutReturns(text).replaceAll('\n', mark);
export const unmarked = (text: string, mark: string): string => text.replaceAll(mark, '\n');

/** How much of `now` is new, when it came of `before` by one change at one place. */
export function insertedLength(before: string, now: string): number {
  const most = Math.min(before.length, now.length);
  let start = 0;
  while (start < most && before[start] === now[start]) start += 1;
  let end = 0;
  while (end < most - start && before[before.length - 1 - end] === now[now.length - 1 - end]) end += 1;
  return now.length - start - end;
}

export interface Pasted {
  /** What stands in the box in place of the text that was pasted. */
  from: number;
  boxed: string;
  /** Lines as they were copied. */
  lines: string;
}

/**
 * The paste that made `now` of `before`, when `copied` is what was pasted and has line breaks; undefined for anything else. A box may
 * also leave line breaks out instead of making spaces of them.
 */
export function pasteBetween(before: string, now: string, copied: string): Pasted | undefined {
  const lines = withoutReturns(copied);
  if (!lines.includes('\n')) return undefined;
  let same = 0;
  while (same < before.length && same < now.length && before[same] === now[same]) same += 1;
  for (const boxed of [lines.replaceAll('\n', ' '), lines.replaceAll('\n', '')]) {
    // The same letters before and behind the place leave open where it begins; whichever fits gives the same text.
    for (let from = same; from >= 0; from -= 1) {
      const rest = now.slice(from + boxed.length);
      if (now.startsWith(boxed, from) && before.length - from >= rest.length && before.endsWith(rest))
        return { from, boxed, lines };
    }
  }
  return undefined;
}

/** The box's text with the lines that were pasted; what was typed meanwhile stays. */
export function withLines(text: string, { from, boxed, lines }: Pasted, mark: string): string {
  return text.startsWith(boxed, from) ? `${text.slice(0, from)}${marked(lines, mark)}${text.slice(from + boxed.length)}` : text;
}
