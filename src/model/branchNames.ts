/**
 * Names of branches: what git accepts (git-check-ref-format(1)), and names made from prompts (requirements 26 and 42).
 */

/** Undefined when git accepts the name for a branch, else the reason, as the end of a sentence. */
export function branchNameProblem(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (Buffer.byteLength(name) > 200) return 'it is longer than 200 bytes';
  if (name === 'HEAD' || name === '@') return `"${name}" has a meaning of its own in git`;
  if (name.startsWith('-')) return 'it starts with a dash';
  if (name.startsWith('refs/')) return 'it starts with "refs/"; give the short name';
  if (name.startsWith('/') || name.endsWith('/') || name.includes('//')) return 'it has an empty part around a slash';
  if (name.includes('..')) return 'it contains ".."';
  if (name.includes('@{')) return 'it contains "@{"';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: git forbids exactly these
  const forbidden = /[\u0000-\u0020\u007f~^:?*[\\]/.exec(name);
  if (forbidden) {
    const shown =
      forbidden[0] === ' ' ? 'a space' : /[\u0021-\u007e]/.test(forbidden[0]) ? `"${forbidden[0]}"` : 'a control character';
    return `it contains ${shown}`;
  }
  // Bidirectional and zero-width characters are valid for git, but make one name look like another.
  if (/[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/.test(name)) return 'it contains an invisible character';
  if (name.endsWith('.')) return 'it ends with a dot';
  for (const part of name.split('/')) {
    if (part.startsWith('.')) return 'a part of it starts with a dot';
    if (part.endsWith('.lock')) return 'a part of it ends with ".lock"';
  }
  return undefined;
}

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** At most so many code points, and no character that a person sees cut in two, unless one alone has more. */
function beginningOf(text: string, most: number): string {
  const points = Array.from(text.slice(0, most * 2 + 2));
  if (points.length <= most) return text;
  let taken = '';
  let count = 0;
  for (const { segment } of graphemes.segment(points.join(''))) {
    count += Array.from(segment).length;
    if (count > most) break;
    taken += segment;
  }
  return taken || points.slice(0, most).join('');
}

/** A title for a session: the first line of the prompt, cut at a word near 60 characters. */
export function titleFromPrompt(prompt: string): string {
  const line =
    prompt
      .split('\n')
      .map((text) => text.trim())
      .find((text) => text !== '') ?? '';
  const clean = line.replace(/\s+/g, ' ');
  const cut = beginningOf(clean, 60);
  if (cut === clean) return clean || 'Untitled';
  const space = cut.lastIndexOf(' ');
  return `${(space > 30 ? cut.slice(0, space) : cut).trimEnd()}…`;
}

/** A readable branch name from the prompt, the first of `name`, `name-2`, ... that is not taken. */
export function branchNameFromPrompt(prompt: string, isTaken: (name: string) => boolean): string {
  const words = titleFromPrompt(prompt)
    .replace(/[\u200b\u200c]/g, ' ') // What keeps words or parts of words apart where no space does.
    .normalize('NFKD')
    .replace(/[\u0300-\u036f\p{Default_Ignorable_Code_Point}]/gu, '')
    .normalize('NFC')
    .toLowerCase()
    .split(/[^\p{L}\p{M}\p{N}]+/u)
    .filter((word) => /[\p{L}\p{N}]/u.test(word));
  let stem = '';
  for (const word of words) {
    const next = stem === '' ? word : `${stem}-${word}`;
    if (Array.from(next).length > 40) break;
    stem = next;
  }
  if (stem === '') stem = beginningOf(words[0] ?? 'work', 40);
  if (branchNameProblem(stem) !== undefined) stem = 'work';
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? stem : `${stem}-${number}`;
    if (!isTaken(name)) return name;
  }
}
