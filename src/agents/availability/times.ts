/** When an agent will work again, as its words say it ("resets 3:10am (Asia/Seoul)", "try again in 3 days 4 hours"). Pure. */
import { monthOf } from './monthNames.ts';
import { isDay, isZone, midnightAfter, momentsOf, type WallTime, wallTimeAt } from './zones.ts';

export interface Clock {
  /** Milliseconds since 1970. */
  now: number;
  /** The zone of whoever runs the agent: for times that name none, or one that nobody knows. */
  zone: string;
}

interface TimeOfDay {
  hour: number;
  minute: number;
  start: number;
  end: number;
}

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** Characters after a word such as "resets" in which its time is looked for. */
const reach = 100;
/** Places at which a time is looked for at most. */
const mostLeads = 12;
/** A time of day without a date that is no longer ago is one that just went by, not tomorrow's. */
const justNow = 15 * minute;

const leads =
  /\b(?:reset(?:s|ting)?(?:_at|_in)?|renew(?:s|ed)?|again|retry(?:ing)?(?:[- ]after)?|wait|until|available|access|resume[sd]?)\b/gi;

const units: [RegExp, number][] = [
  [/weeks?|wks?|w/y, 7 * day],
  [/days?|d/y, day],
  [/hours?|hrs?|h/y, hour],
  [/ms|milliseconds?/y, 1],
  [/minutes?|mins?|m/y, minute],
  [/seconds?|secs?|s/y, second],
];

/** Milliseconds for "3 days 4 hours", "8h44m7s", "2 h 5 min", "an hour", at the start of the text; undefined for anything else. */
export function duration(text: string): number | undefined {
  const amount = /\s*,?\s*(?:and\s+)?(\d{1,9}(?:\.\d{1,9})?|(?:an?|one)(?![a-z]))\s*/y;
  let total: number | undefined;
  for (let at = 0; ; ) {
    amount.lastIndex = at;
    const found = amount.exec(text);
    if (!found) return total;
    const [unit, time] = units.find(([pattern]) => follows(pattern, text, amount.lastIndex)) ?? [];
    if (!unit || !time) return total;
    total = (total ?? 0) + (/^\d/.test(found[1] as string) ? Number(found[1]) : 1) * time;
    at = unit.lastIndex;
  }
}

/** Sets `lastIndex` behind the whole word that the pattern stands for. */
function follows(pattern: RegExp, text: string, at: number): boolean {
  pattern.lastIndex = at;
  return pattern.test(text) && !/\p{L}/u.test(text.charAt(pattern.lastIndex));
}

/** The moment that the words name, or undefined. May lie in the past. */
export function timeInWords(words: string, clock: Clock): number | undefined {
  const text = words.replace(/[\u00a0\u2000-\u200a\u202f]/g, ' ').replace(/[\u200b-\u200f]/g, '');
  const bar = /\|\s?(\d{10}|\d{13})(?!\d)/.exec(text);
  if (bar) return epoch(Number(bar[1]));
  let lead = 0;
  for (const { 0: word, index } of text.matchAll(leads)) {
    lead += 1;
    if (lead > mostLeads) break;
    const after = text.slice(index + word.length, index + word.length + reach).replace(/\r?\n(?!\s*\n)/g, ' ');
    const found = inFuture(after, clock) ?? at(after, clock, false);
    if (found !== undefined) return found;
  }
  // Sentences in other languages have other words, but a whole date is one in all of them. One that is past is a log's.
  const date = at(text.slice(0, 1_000), clock, true);
  return date !== undefined && date > clock.now ? date : undefined;
}

/** Seconds or milliseconds since 1970 as milliseconds. */
export const epoch = (value: number): number => (value > 1e11 ? value : value * 1_000);

function inFuture(text: string, { now }: Clock): number | undefined {
  const before = /^[\s:,]*(?:(?:for|about|approximately|another|at least|less than|in|after|within)\s+){0,4}/i.exec(text);
  const time = duration(text.slice(before?.[0].length ?? 0).toLowerCase());
  return time === undefined ? undefined : now + time;
}

/** A date, a time of day, or both. `whole`: only a date with its year and a time of day beside it. */
function at(text: string, clock: Clock, whole: boolean): number | undefined {
  const seconds = /^\D{0,8}(\d{10}|\d{13})(?!\d)/.exec(text);
  if (seconds && !whole) return epoch(Number(seconds[1]));
  const iso =
    /(\d{4})-(\d{2})-(\d{2})(?:T|,? (?:at )?)(\d{1,2}):(\d{2})(?::\d{2}(?:\.\d{1,9})?)?\s?(Z\b|UTC\b|GMT\b|[+-]\d{2}:?\d{2})?/.exec(
      text,
    );
  if (iso) {
    const [, year, month, date, hours, minutes] = iso.map(Number) as [number, number, number, number, number, number];
    const wall = { year, month, day: date, hour: hours, minute: minutes };
    if (month > 12 || !isDay(wall) || hours > 23 || minutes > 59) return undefined;
    const rest = text.slice(iso.index);
    return first(wall, iso[6] ? (fixed(iso[6]) ?? zoneIn(rest, clock).zone) : zoneIn(rest, clock).zone, clock.now);
  }
  const { zone, start } = zoneIn(text, clock);
  const words = text.slice(0, start);
  const time = timeOfDay(words);
  const date = dateIn(words, time, zone, clock, whole);
  if (date !== 'none' || whole) return date === 'none' || (whole && !time) ? undefined : date;
  return time && nextTime(time, zone, clock.now);
}

/** The moment when the clock shows this: the first that is still to come where there are two. */
function first(wall: WallTime, zone: string | number, now: number): number {
  if (typeof zone === 'number') return Date.UTC(wall.year, wall.month - 1, wall.day, wall.hour, wall.minute) - zone;
  const moments = momentsOf(wall, zone);
  return moments.find((moment) => moment > now) ?? (moments.at(-1) as number);
}

/** A time of day without a date: the next one, or the one that just went by. */
function nextTime({ hour: hours, minute: minutes }: TimeOfDay, zone: string | number, now: number): number | undefined {
  const today = typeof zone === 'number' ? wallTimeAt(now + zone, 'UTC') : wallTimeAt(now, zone);
  let past: number | undefined;
  for (const days of [-1, 0, 1, 2]) {
    const wall = { ...midnightAfter(today, days), hour: hours, minute: minutes };
    const moment = first(wall, zone, now);
    if (moment <= now) past = moment;
    else return past !== undefined && now - past <= justNow ? past : moment;
  }
  return past;
}

const shorthand: Record<string, string> = {
  UTC: 'UTC',
  GMT: 'UTC',
  PT: 'America/Los_Angeles',
  PST: 'America/Los_Angeles',
  PDT: 'America/Los_Angeles',
  MST: 'America/Denver',
  MDT: 'America/Denver',
  CST: 'America/Chicago',
  CDT: 'America/Chicago',
  ET: 'America/New_York',
  EST: 'America/New_York',
  EDT: 'America/New_York',
  CET: 'Europe/Berlin',
  CEST: 'Europe/Berlin',
  JST: 'Asia/Tokyo',
  KST: 'Asia/Seoul',
};

/** Milliseconds east of Greenwich for "+09:00" and the like. */
function fixed(offset: string): number | undefined {
  if (/^(?:Z|UTC|GMT)$/.test(offset)) return 0;
  const [, sign, hours, minutes] = /^([+-])(\d{1,2}):?(\d{2})?$/.exec(offset) ?? [];
  if (!sign || Number(hours) > 14) return undefined;
  return (sign === '-' ? -1 : 1) * (Number(hours) * hour + Number(minutes ?? 0) * minute);
}

/** The zone that the text names, and where it does; the clock's own, and the text's end, where it names none. */
function zoneIn(text: string, clock: Clock): { zone: string | number; start: number } {
  const own = isZone(clock.zone) ? clock.zone : 'UTC';
  const named = /\(([A-Za-z][A-Za-z0-9_+/-]{1,48})\)/.exec(text);
  if (named) {
    const name = named[1] as string;
    return { zone: shorthand[name.toUpperCase()] ?? (isZone(name) ? name : own), start: named.index };
  }
  const short = /\b(UTC|GMT)\s?([+-]\d{1,2}(?::?\d{2})?)?(?![\w/])|\b(P[SD]?T|M[SD]T|C[SD]T|E[SD]?T|CES?T|[JK]ST)\b/.exec(text);
  if (!short) return { zone: own, start: text.length };
  const zone = short[2] ? fixed(short[2]) : shorthand[(short[1] ?? short[3]) as string];
  return { zone: zone ?? own, start: short.index };
}

const earlyMarks = '午前|오전|上午|凌晨|早上';
const lateMarks = '午後|오후|下午|晚上';

function timeOfDay(text: string): TimeOfDay | undefined {
  const half = String.raw`([ap])\.?\s?m\b\.?`;
  const patterns: [RegExp, (found: RegExpExecArray) => [string | undefined, string | undefined, string | undefined]][] = [
    [
      new RegExp(`(${earlyMarks}|${lateMarks})\\s?(\\d{1,2})\\s?[:時시点](?:\\s?(\\d{2}))?`, 'u'),
      (found) => [found[2], found[3], new RegExp(lateMarks, 'u').test(found[1] as string) ? 'p' : 'a'],
    ],
    [
      new RegExp(`(?<![\\d:.])(\\d{1,2}):(\\d{2})(?::\\d{2})?(?![\\d:])(?:\\s?${half})?`, 'i'),
      (found) => [found[1], found[2], found[3]],
    ],
    [new RegExp(`(?<![\\d:.])(\\d{1,2})\\s?${half}`, 'i'), (found) => [found[1], '0', found[2]]],
    [/(?<![\d:.])(\d{1,2})\s?h\s?(\d{2})(?!\d)/, (found) => [found[1], found[2], undefined]],
    [/(?:klo|kl\.|pukul|,)\s(\d{1,2})\.(\d{2})(?!\.?\d)/, (found) => [found[1], found[2], undefined]],
  ];
  for (const [pattern, read] of patterns) {
    const found = pattern.exec(text);
    if (!found) continue;
    const [hours, minutes, mark] = read(found);
    const halved = mark?.toLowerCase();
    const value = Number(hours);
    const minuteValue = Number(minutes ?? 0);
    if (minuteValue > 59 || value > 23 || (halved && (value > 12 || value < 1))) continue;
    const start = found.index;
    return {
      hour: halved ? (value % 12) + (halved === 'p' ? 12 : 0) : value,
      minute: minuteValue,
      start,
      end: start + found[0].length,
    };
  }
  return undefined;
}

/**
 * The moment of a date in the text, at the time of day or at the day's beginning; undefined where there is no date. */
function dateIn(
  text: string,
  time: TimeOfDay | undefined,
  zone: string | number,
  clock: Clock,
  whole: boolean,
): number | 'none' | undefined {
  // A date stands before its time, or right behind it in the same sentence.
  const behind = time ? text.slice(time.end, time.end + 30).split(/[.!?](?=\s+\p{Lu}|$)/u)[0] : undefined;
  const found = (time ? datesOf(text.slice(0, time.start)) : datesOf(text)) ?? (behind ? datesOf(behind) : undefined);
  if (!found) return 'none';
  const today = typeof zone === 'number' ? wallTimeAt(clock.now + zone, 'UTC') : wallTimeAt(clock.now, zone);
  const moments: number[] = [];
  for (const { year, month, day: date, weekday } of found) {
    if (weekday !== undefined) {
      const past = new Date(Date.UTC(today.year, today.month - 1, today.day)).getUTCDay();
      const wall = midnightAfter(today, (weekday - past + 7) % 7);
      const moment = first({ ...wall, hour: time?.hour ?? 0, minute: time?.minute ?? 0 }, zone, clock.now);
      moments.push(moment > clock.now || clock.now - moment <= justNow ? moment : moment + 7 * day);
      continue;
    }
    if (whole && year === undefined) continue;
    for (const one of year === undefined ? [today.year - 1, today.year, today.year + 1] : [year]) {
      const wall = { year: one, month, day: date, hour: time?.hour ?? 0, minute: time?.minute ?? 0 };
      if (!time && wall.year === today.year && month === today.month && date === today.day) return undefined; // Some time today.
      if (isDay(wall)) moments.push(first(wall, zone, clock.now));
    }
  }
  // Of what the same words may mean, the one that is nearest: "Jan 2" at the end of a year, "8/7/2026" in either order.
  return moments.sort((a, b) => Math.abs(a - clock.now) - Math.abs(b - clock.now))[0];
}

interface DateWords {
  year?: number | undefined;
  month: number;
  day: number;
  /** 0 is Sunday. */
  weekday?: number;
}

const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

/** What dates the text may mean; undefined for none. */
function datesOf(text: string): DateWords[] | undefined {
  const numbers = (found: RegExpExecArray) => found.slice(1).map((part) => (part === undefined ? undefined : Number(part)));
  const eastern = /(?:(20\d{2})\s?[年년]\s?)?(\d{1,2})\s?[月월]\s?(\d{1,2})\s?[日일]/u.exec(text);
  if (eastern) {
    const [year, month = 0, date = 0] = numbers(eastern);
    return [{ year, month, day: date }];
  }
  const vietnamese = /(\d{1,2})\s?(?:thg|tháng)\s?(\d{1,2})(?:,?\s(20\d{2}))?/u.exec(text);
  if (vietnamese) {
    const [date = 0, month = 0, year] = numbers(vietnamese);
    return [{ year, month, day: date }];
  }
  const yearFirst = /(?<!\d)(20\d{2})([./-])\s?(\d{1,2})\2\s?(\d{1,2})(?!\d)/.exec(text);
  if (yearFirst) return [{ year: Number(yearFirst[1]), month: Number(yearFirst[3]), day: Number(yearFirst[4]) }];
  const yearLast = /(?<!\d)(\d{1,2})([./-])\s?(\d{1,2})\2\s?(20\d{2})(?!\d)/.exec(text);
  if (yearLast) {
    const [one, other, year] = [Number(yearLast[1]), Number(yearLast[3]), Number(yearLast[4])];
    const orders = [{ year, month: other, day: one }];
    if (yearLast[2] === '/') orders.unshift({ year, month: one, day: other });
    return orders.filter(({ month }) => month >= 1 && month <= 12);
  }
  for (const { 0: word, index } of text.matchAll(/[\p{L}\p{M}॰]{2,20}/gu)) {
    const month = monthOf(word);
    if (month === undefined) continue;
    const before = text.slice(Math.max(0, index - 20), index);
    const after = text.slice(index + word.length, index + word.length + 24);
    const dayBefore = /(?<![\d:])(\d{1,2})(?:\.|º|er)?\s*(?:de\s|,\s)?$/u.exec(before)?.[1];
    const dayAfter = /^[.,\s]{0,3}(\d{1,2})(?:st|nd|rd|th|\.)?(?![\d:])/i.exec(after)?.[1];
    const date = dayBefore ?? dayAfter;
    if (date === undefined) continue;
    const year = /(?<!\d)(20\d{2})(?!\d)/.exec(after)?.[1] ?? /(?<!\d)(20\d{2})(?!\d)/.exec(before)?.[1];
    return [{ month, day: Number(date), year: year === undefined ? undefined : Number(year) }];
  }
  const weekday = /\b(sun|mon|tue|wed|thu|fri|sat)(?:day|s|sday|nesday|r|rs|rsday|urday)?\b/i.exec(text)?.[1];
  if (weekday) return [{ month: 0, day: 0, weekday: weekdays.indexOf(weekday.toLowerCase()) }];
  return undefined;
}
