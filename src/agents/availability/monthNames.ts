/** Names of months in the languages that agents write dates in, as Intl writes them. */

/** In this order: where two languages mean different months by one word, the earlier one is right. */
const languages = 'en de fr es pt it nl sv da nb fi pl cs tr ru uk id hu ro ar hi'.split(' ');
let known: Map<string, number> | undefined;

/** Letters only, so that "Aug." and "août" are found however they are written. */
const bare = (word: string): string => word.toLowerCase().replace(/[^\p{L}\p{M}]/gu, '');

function names(): Map<string, number> {
  if (known) return known;
  known = new Map();
  for (const language of languages) {
    for (const style of ['long', 'short'] as const) {
      // With a day beside it, for languages that decline their months.
      for (const options of [{ month: style, day: 'numeric' }, { month: style }] as const) {
        const format = new Intl.DateTimeFormat(language, { ...options, timeZone: 'UTC' });
        for (let month = 1; month <= 12; month += 1) {
          const name = bare(
            format.formatToParts(Date.UTC(2026, month - 1, 15)).find(({ type }) => type === 'month')?.value ?? '',
          );
          if (name.length > 1 && !known.has(name)) known.set(name, month);
        }
      }
    }
  }
  known.set('sept', 9); // Written beside "Sep" in English.
  return known;
}

/** The month (from 1) that the word names, or undefined. */
export const monthOf = (word: string): number | undefined => names().get(bare(word));
