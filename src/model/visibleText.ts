/**
 * Text from outside with what deceives in it made visible, as `⟨U+202E⟩`: what turns the direction of text, what can't be seen, what
 * looks like another letter. Joiners, selectors and marks stay where a real language or an emoji has them. Pure; page and host use it.
 */

/** Scripts whose letters join or form clusters, so that U+200C and U+200D beside them can be seen. */
const joining = [
  'Adlam Arabic Bengali Chakma Devanagari Grantha Gujarati Gurmukhi Hanifi_Rohingya Kannada Khmer Malayalam Mandaic Manichaean',
  'Mongolian Myanmar Newa Nko Oriya Phags_Pa Sinhala Sogdian Syriac Tamil Telugu Tibetan Tirhuta',
].flatMap((names) => names.split(' '));
/** Scripts written without spaces, whose words U+200B keeps apart. */
const unspaced = ['Khmer', 'Lao', 'Myanmar', 'New_Tai_Lue', 'Tai_Le', 'Tai_Tham', 'Thai', 'Tibetan', 'Javanese', 'Balinese'];
const rightToLeft = ['Adlam', 'Arabic', 'Hebrew', 'Nko', 'Syriac', 'Thaana'];
const oneOf = (scripts: readonly string[]): RegExp =>
  new RegExp(`^[${scripts.map((script) => `\\p{Script_Extensions=${script}}`).join('')}]$`, 'u');
const isJoining = oneOf(joining);
const isUnspaced = oneOf(unspaced);
const isRightToLeft = oneOf(rightToLeft);
const isHan = oneOf(['Han']);
const isMongolian = oneOf(['Mongolian']);
const isHebrew = oneOf(['Hebrew']);
/** What has variants that Unicode's list names: symbols, and letters of a few scripts. Letters of Latin have none. */
const hasVariants =
  /^(?:[\p{Sm}\p{So}\p{sc=Han}\p{sc=Myanmar}\p{sc=Phags_Pa}\p{sc=Manichaean}\u3000-\u303f\uff00-\uff65](?<![+<=>|~]))$/u;
const isPicture = /^\p{Extended_Pictographic}$/u;
const isLetterOrMark = /^[\p{L}\p{M}\p{Nd}]$/u;
const isLetter = /^\p{L}$/u;
const isHidden = /^[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}]$/u;

const flagOfRegion = '\\u{1F3F4}[\\u{E0030}-\\u{E0039}\\u{E0061}-\\u{E007A}]{3,6}\\u{E007F}';
const hidden =
  '[\\p{Default_Ignorable_Code_Point}\\p{Bidi_Control}\\p{Noncharacter_Code_Point}\\p{Cs}\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f\\u2028\\u2029\\u2800\\ufff9-\\ufffb]';
/** More marks on one letter than any language sets, which cover the lines above and below. */
const mostMarks = 12;
const heap = `(?:(?!${hidden})\\p{M}){${mostMarks + 1},}`;
/** More hidden characters in a row than anyone needs to see one by one. */
const mostHidden = 8;
const crowd = `(?:${hidden}){${mostHidden + 1},}`;

/** Letters of other scripts that nobody can tell from Latin ones. */
const lookAlikes =
  'АВЕЅІЈКМНОРСТУХԌԚԜаеѕіјорсухһԁԛԝѵ' + // Cyrillic
  'ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο' + // Greek
  'ՕՏօոսհ'; // Armenian
const lookAlike = `[${lookAlikes}]`;

const suspects = new RegExp(`${hidden}|${heap}|${lookAlike}`, 'u');
const found = new RegExp(`${flagOfRegion}|${crowd}|${heap}|${hidden}`, 'gu');
const isHiddenFirst = new RegExp(`^${hidden}`, 'u');
/** A word, with the code that follows it when it was made visible before. */
const words = /[\p{L}\p{M}]+(?:⟨U\+[0-9A-F]{4,6}⟩)?/gu;
const lookAlikeNotShown = new RegExp(`${lookAlike}(?!⟨U\\+)`, 'gu');
const isLookAlike = new RegExp(lookAlike, 'u');
const isLatin = /\p{Script=Latin}/u;
/** Neither Latin nor of the letters that look like it. */
const isOther = new RegExp(`(?!${lookAlike})(?!\\p{Script=Latin})\\p{L}`, 'u');

const codeOf = (character: string): string =>
  `⟨U+${(character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0')}⟩`;

/** The text with line breaks and tabs as they are, and with what deceives made visible. Nothing is taken away but by being shown as its code. */
export function visible(text: string): string {
  if (!suspects.test(text)) return text;
  const shown = text.replace(found, (one, at: number) => {
    const first = one.codePointAt(0) as number;
    if (first === 0x1f3f4) return one;
    if (one.length > 2)
      return isHiddenFirst.test(one) ? fewer(one, mostHidden, codeOf, 'hidden') : fewer(one, mostMarks, (mark) => mark, 'marks');
    return stays(first, text, at) ? one : codeOf(one);
  });
  return shown.replace(words, (word) =>
    isLookAlike.test(word) && isLatin.test(word) && !isOther.test(word)
      ? word.replace(lookAlikeNotShown, (letter) => `${letter}${codeOf(letter)}`)
      : word,
  );
}

function fewer(run: string, most: number, shown: (one: string) => string, what: string): string {
  const all = Array.from(run);
  return `${all.slice(0, most).map(shown).join('')}⟨${all.length - most} more ${what}⟩`;
}

function before(text: string, at: number): string {
  const last = text.charCodeAt(at - 1);
  return last >= 0xdc00 && last <= 0xdfff ? text.slice(Math.max(0, at - 2), at) : text.slice(Math.max(0, at - 1), at);
}

function after(text: string, at: number): string {
  const point = text.codePointAt(at);
  return point === undefined ? '' : String.fromCodePoint(point);
}

/** True where a language or an emoji has this character at this place. */
function stays(point: number, text: string, at: number): boolean {
  const previous = before(text, at);
  const next = after(text, at + (point > 0xffff ? 2 : 1));
  if (isHidden.test(previous) && point !== 0x200d) return false;
  switch (point) {
    case 0x200d: // ZERO WIDTH JOINER
      if (isPicture.test(next) && isPicture.test(pictureBefore(text, at))) return true;
      return !isHidden.test(previous) && !isHidden.test(next) && joins(previous, next);
    case 0x200c: // ZERO WIDTH NON-JOINER
      return !isHidden.test(next) && joins(previous, next);
    case 0x200b: // ZERO WIDTH SPACE
      return !isHidden.test(next) && (isUnspaced.test(previous) || isUnspaced.test(next));
    case 0x200e: // LEFT-TO-RIGHT MARK, RIGHT-TO-LEFT MARK, ARABIC LETTER MARK: beside the letters whose order they keep.
    case 0x200f:
    case 0x061c:
      return isRightToLeft.test(letterFrom(text, at, -1)) || isRightToLeft.test(letterFrom(text, at, 1));
    case 0xfe0f:
    case 0xfe0e:
      return isPicture.test(previous) || (/^[0-9#*]$/.test(previous) && next === '\u20e3');
    case 0x034f: // COMBINING GRAPHEME JOINER
      return isHebrew.test(previous);
    case 0x180b:
    case 0x180c:
    case 0x180d:
    case 0x180e:
    case 0x180f:
      return isMongolian.test(previous) && (point !== 0x180e || isMongolian.test(next));
    case 0x115f: // HANGUL CHOSEONG FILLER
      return isBetween(next, 0x1161, 0x11a7);
    case 0x1160: // HANGUL JUNGSEONG FILLER
      return isBetween(previous, 0x1100, 0x115e);
    case 0x2800: // BRAILLE PATTERN BLANK
      return isBetween(previous, 0x2801, 0x28ff) || isBetween(next, 0x2801, 0x28ff);
    default:
      if (point >= 0xfe00 && point <= 0xfe0d) return hasVariants.test(previous);
      if (point >= 0xe0100 && point <= 0xe01ef) return isHan.test(previous);
      return false;
  }
}

/** Persian sets U+200C after Latin letters and digits, too: `API‌ها`. */
const joins = (previous: string, next: string): boolean =>
  (isJoining.test(previous) && isLetterOrMark.test(previous)) || (isJoining.test(next) && isLetterOrMark.test(next));

function isBetween(character: string, first: number, last: number): boolean {
  const point = character.codePointAt(0);
  return point !== undefined && point >= first && point <= last;
}

/** The picture that a joiner at `at` follows, a colour of skin or a selector between them left out. */
function pictureBefore(text: string, at: number): string {
  let end = at;
  for (let previous = before(text, end); /^[\ufe0f\u{1f3fb}-\u{1f3ff}]$/u.test(previous); previous = before(text, end))
    end -= previous.length;
  return before(text, end);
}

const farthestLetter = 16;

/** The next letter on this side and on this line, digits and punctuation left out; empty where there is none near. */
function letterFrom(text: string, at: number, side: -1 | 1): string {
  let place = side < 0 ? at : at + 1;
  for (let steps = 0; steps < farthestLetter; steps += 1) {
    const character = side < 0 ? before(text, place) : after(text, place);
    if (character === '' || character === '\n') return '';
    if (isLetter.test(character)) return character;
    place += side * character.length;
  }
  return '';
}
