/**
 * Whether an agent can't work now, from the error that it answered or the last words of a turn that it called a success.
 * Pure: the clock comes in. What agents say stands in patterns.ts.
 *
 * A pattern that is missed costs a failed turn; one that is too wide costs a wait.
 */
import {
  aboutSigningIn,
  authRequired,
  codes,
  dayQuota,
  errorMark,
  googleMidnight,
  type Kind,
  notAboutSigningIn,
  notTheNetwork,
  type Saying,
  sayingMark,
  sayings,
  shortDelay,
  statuses,
  timeFields,
  type Without,
} from './patterns.ts';
import { type ErrorWords, longestText as longestError, plain, readError } from './reading.ts';
import { type Clock, duration, epoch, timeInWords } from './times.ts';
import { isZone, midnightAfter, momentsOf, wallTimeAt } from './zones.ts';

export interface Unavailable {
  kind: Kind;
  /** When it works again, in milliseconds since 1970: from a minute to eight days ahead. Where it is not known, see `nextWait`. */
  until?: number;
  /** The agent's words, on one line and short. Anybody's text: it is shown, never interpreted. */
  said: string;
}

const minute = 60_000;
const day = 24 * 60 * minute;
/** Bounds of `until`, from now. */
export const shortestWait = minute;
export const longestWait = 8 * day;

/** Characters. A longer answer talks of limits, rather than meeting one. */
export const longestLastText = 1_000;
const longestSaid = 300;
/** A text that is an error's and nothing else needs no words about the agent. */
const longestBareError = 120;
/** Characters that may follow the sentence that says it. */
const mostAfter = 500;

/** What the error says of the agent; undefined for one that is about this turn alone. Never throws. */
export function unavailableByError(error: unknown, clock: Clock): Unavailable | undefined {
  try {
    return byError(readError(error), clock);
  } catch {
    return undefined; // A getter of a strange error.
  }
}

/**
 * What the last text of a turn says of the agent, where the turn ended without an error: its last message alone, not what it
 * said before its tools ran. Undefined for a text that is long, or that only quotes such words. Never throws.
 */
export function unavailableByLastText(text: string, clock: Clock): Unavailable | undefined {
  if (text.length > longestError) return undefined;
  const own = ownWords(plain(text));
  const begin = undecorated(own);
  if (errorMark.test(begin.toLowerCase())) return byError(readError(begin), clock);
  if (own.length > longestLastText) return undefined;
  for (const sentence of beginnings(own)) {
    const marked = sayingMark.exec(sentence.toLowerCase());
    const words = marked ? sentence.slice(marked[0].length) : sentence;
    const saying = sayings.find(({ alone, says }) => {
      const said = startsWith(words, says);
      if (said > 0 && (isSpokenAbout(words.slice(said)) || (sentence !== begin && thisMachine.test(words.slice(0, said)))))
        return false;
      return (
        said > 0 && (alone || marked || (sentence === begin && said >= begin.length / 2 && begin.length <= longestBareError))
      );
    });
    if (saying) return unavailable(saying, words, [words], [], clock);
  }
  return undefined;
}

function byError(words: ErrorWords, clock: Clock): Unavailable | undefined {
  const texts = words.texts.map(plain);
  const lower = texts.map((text) => text.toLowerCase());
  for (const saying of sayings) {
    const index = lower.findIndex((text) => saying.says.test(text) && !(saying.kind === 'offline' && notTheNetwork.test(text)));
    if (index < 0) continue;
    // A code in the data may know more than the words: whose limit it is.
    const better = saying.without ? undefined : byCode(words);
    const kept = better?.kind === saying.kind ? { ...saying, ...better } : saying;
    // A limit that a code tells counts for more than other words beside it ("... or use /auth to switch").
    if (saying.kind !== 'limit' && better?.kind === 'limit')
      return unavailable(better, sentenceOf(texts), texts, words.fields, clock);
    return unavailable(kept, texts[bestOf(texts, saying, index)] as string, texts, words.fields, clock);
  }
  const code = byCode(words);
  const told = code?.kind === 'limit' ? code : (byStatus(words, lower) ?? code ?? byField(words, clock));
  return told && unavailable(told, sentenceOf(texts), texts, words.fields, clock);
}

type Told = Pick<Saying, 'kind' | 'without'>;

function byCode({ codes: given }: ErrorWords): Told | undefined {
  const found = given.map((code) => (Object.hasOwn(codes, code) ? codes[code] : undefined)).filter((one) => one !== undefined);
  return found.find(({ kind }) => kind === 'limit') ?? found[0];
}

function byStatus({ statuses: given }: ErrorWords, texts: readonly string[]): Told | undefined {
  const kinds = given.map((status) => statuses[status]).filter((kind) => kind !== undefined);
  const kind = kinds.find((one) => one === 'limit') ?? kinds[0];
  if (kind) return { kind };
  const isMeant = texts.some((text) => aboutSigningIn.test(text)) && !texts.some((text) => notAboutSigningIn.test(text));
  return given.includes(authRequired) && isMeant ? { kind: 'signIn' } : undefined;
}

/** Whoever names a time says with it that it is not now. */
function byField({ fields }: ErrorWords, clock: Clock): Told | undefined {
  return timeInFields(fields, clock) === undefined ? undefined : { kind: 'limit' };
}

function unavailable(
  { kind, without }: Told,
  said: string,
  texts: readonly string[],
  fields: ErrorWords['fields'],
  clock: Clock,
): Unavailable {
  const until = kind === 'signIn' ? undefined : untilOf(without, said, texts, fields, clock);
  return { kind, said: short(said), ...(until === undefined ? {} : { until: bounded(until, clock.now) }) };
}

function untilOf(
  without: Without | undefined,
  said: string,
  texts: readonly string[],
  fields: ErrorWords['fields'],
  clock: Clock,
): number | undefined {
  let found = timeInFields(fields, clock);
  for (const text of [said, ...texts]) {
    if (found !== undefined) break;
    found = timeInWords(text.slice(0, longestError), clock);
  }
  const ofDay = texts.some((text) => dayQuota.test(text.toLowerCase()));
  if (found !== undefined && !(ofDay && found - clock.now < shortDelay)) return found;
  if (ofDay) return midnight(googleMidnight, clock.now);
  if (!without) return undefined;
  return 'hours' in without ? clock.now + without.hours * 60 * minute : midnight(without.midnightIn, clock.now);
}

function midnight(zone: string, now: number): number | undefined {
  return isZone(zone) ? momentsOf(midnightAfter(wallTimeAt(now, zone), 1), zone)[0] : undefined;
}

function bounded(until: number, now: number): number {
  return Math.min(now + longestWait, Math.max(now + shortestWait, until));
}

function timeInFields(fields: ErrorWords['fields'], clock: Clock): number | undefined {
  for (const { names, is } of timeFields) {
    for (const [name, value] of fields) {
      if (!names.includes(name)) continue;
      const found = is === 'moment' ? momentOf(value, clock) : afterOf(value, clock, is);
      if (found !== undefined && Number.isFinite(found)) return found;
    }
  }
  return undefined;
}

function momentOf(value: unknown, clock: Clock): number | undefined {
  const number = numberOf(value);
  // Some name the seconds that are left where others name a moment.
  if (number !== undefined) return number > 1e9 ? epoch(number) : number >= 0 ? clock.now + number * 1_000 : undefined;
  if (typeof value !== 'string' || value.length > 100) return undefined;
  return dateOf(value) ?? timeInWords(`resets ${value}`, clock);
}

function afterOf(value: unknown, { now }: Clock, is: 'milliseconds' | 'after'): number | undefined {
  const number = numberOf(value);
  if (number !== undefined) {
    if (number < 0) return undefined;
    if (number > 1e9) return epoch(number);
    // As seconds it would be longer than anybody's limit.
    return now + (is === 'milliseconds' || number * 1_000 > longestWait ? number : number * 1_000);
  }
  if (typeof value === 'string' && value.length <= 100) {
    const time = duration(value.toLowerCase());
    return time === undefined ? dateOf(value) : now + time;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const seconds = numberOf((value as { seconds?: unknown }).seconds);
  return seconds === undefined || seconds < 0 ? undefined : now + seconds * 1_000;
}

function numberOf(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\s*\d{1,15}(?:\.\d{1,9})?\s*$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
}

/** An ISO date or an HTTP date, with its zone. */
function dateOf(value: string): number | undefined {
  const trimmed = value.trim();
  const known =
    /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})$/i.test(trimmed) ||
    /^\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(trimmed);
  const moment = known ? Date.parse(trimmed) : Number.NaN;
  return Number.isNaN(moment) ? undefined : moment;
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();

function short(text: string): string {
  const line = oneLine(undecorated(text));
  if (line.length <= longestSaid) return line;
  return `${line.slice(0, longestSaid - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** The innermost text that says it: without the JSON and the prefixes that others put around it. */
function bestOf(texts: readonly string[], saying: Saying, first: number): number {
  const inner = texts.findLastIndex((text) => saying.says.test(text.toLowerCase()) && isSentence(text));
  return inner < 0 ? first : inner;
}

const isSentence = (text: string): boolean => text.includes(' ') && !text.includes('{"') && !text.includes('{\n');

function sentenceOf(texts: readonly string[]): string {
  const sentences = texts.filter((text) => isSentence(text) && !/^internal error$/i.test(text.trim()));
  return sentences.find((text) => !text.includes('://')) ?? sentences[0] ?? texts[0] ?? '';
}

/** What is said, without code, quotations and what stands in backticks. */
function ownWords(text: string): string {
  const lines: string[] = [];
  let fence: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (fence !== undefined) {
      if (mark?.startsWith(fence)) fence = undefined;
    } else if (mark) fence = mark;
    else if (!/^ {0,3}>|^(?: {4}|\t)/.test(line)) lines.push(line);
  }
  return lines
    .join('\n')
    .replace(/`[^`\n]{0,1000}`/g, '…')
    .trim();
}

/** Without the signs and emphasis that agents put before a message. */
const undecorated = (text: string): string => text.replace(/^[^\p{L}\p{N}\n["'“”«{(]{0,12}/u, '');

/** Where a sentence about the agent itself may begin: the text, and the sentences of its last paragraph. */
function beginnings(text: string): string[] {
  const last = text.split(/\n\s*\n/).at(-1) ?? '';
  const found = [text, last];
  // Messages are joined without a space where one ends and the next begins.
  for (const { index, 0: end } of last.matchAll(/[.!?…)\]*](?:\s+|\n)?(?=[^\p{L}\p{N}\s]{0,3}\s?\p{Lu})|\n/gu))
    found.push(last.slice(index + end.length));
  return found.map(undecorated).filter((sentence) => sentence.length <= longestLastText);
}

/** What follows a colon when an agent says it of itself; anything else explains it, as in a list of cases. */
const afterColon = /^[*_]{0,2}\s*:[*_]{0,2}\s*(?:$|resets?|please|try|upgrade|wait|until|you|your|error|https?:|request)/i;
/** Words that are called `case one, case two` are not said of anybody. */
const isSpokenAbout = (after: string): boolean =>
  (/^[*_]{0,2}\s*:/.test(after) && !afterColon.test(after)) ||
  /^[*_]{0,2}\s*,(?!\s*(?:please|try|wait|until|resets?|upgrade|subscribe|or|and will)\b)/i.test(after);

/** A server that is not there on this machine is the work's own, a database as a rule, where more is said: no agent's service. */
const thisMachine = /(?:127(?:\.\d{1,3}){3}|localhost|::1|0\.0\.0\.0)(?::\d{1,5})?$/i;

/** What may follow the words when they are said, not spoken about. */
const goesOn =
  /^[*_]{0,2}\s*(?:$|[.,!:;·∙•|([\n—–-]|(?:resets?|for|please|try|upgrade|wait|and will reset|that restricts|until|on this model)\b)/i;

/** How many characters of the text say it, from its beginning on; 0 when it doesn't begin with it. */
function startsWith(words: string, says: RegExp): number {
  const found = says.exec(words.slice(0, mostAfter).toLowerCase());
  if (found?.index !== 0) return 0;
  const after = words.slice(found[0].length);
  return after.length <= mostAfter && goesOn.test(after) ? found[0].length : 0;
}
