/** What a wall clock in a named zone shows, and when it shows it. Intl knows the zones; there is no table of ours. */

export interface WallTime {
  year: number;
  /** From 1. */
  month: number;
  day: number;
  hour: number;
  minute: number;
}

const dayTime = 24 * 60 * 60_000;

/** Whether Intl knows the zone by this name. */
export function isZone(name: string): boolean {
  try {
    return formatOf(name) !== undefined;
  } catch {
    return false;
  }
}

/** Made once for a zone, for that takes longer than all else here; what others name is bounded. */
const formats = new Map<string, Intl.DateTimeFormat>();
const mostFormats = 100;

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known) return known;
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  if (formats.size >= mostFormats) formats.clear();
  formats.set(zone, made);
  return made;
}

/** What the clock of `zone` shows at `moment` (milliseconds since 1970). */
export function wallTimeAt(moment: number, zone: string): WallTime & { second: number } {
  const parts = formatOf(zone).formatToParts(moment);
  const part = (type: string) => Number(parts.find((one) => one.type === type)?.value);
  return {
    year: part('year'),
    month: part('month'),
    day: part('day'),
    hour: part('hour'),
    minute: part('minute'),
    second: part('second'),
  };
}

const asIfUtc = ({ year, month, day, hour, minute }: WallTime, second = 0): number =>
  Date.UTC(year, month - 1, day, hour, minute, second);

function offsetAt(moment: number, zone: string): number {
  const wall = wallTimeAt(moment, zone);
  return asIfUtc(wall, wall.second) - Math.floor(moment / 1_000) * 1_000;
}

/**
 * The moments at which the clock of `zone` shows `wall`, in order: one as a rule, two where clocks are set back. Where they
 * are set forward and never show it, the moment at which a clock that was not set forward would.
 */
export function momentsOf(wall: WallTime, zone: string): number[] {
  const guess = asIfUtc(wall);
  const before = offsetAt(guess - dayTime, zone);
  const after = offsetAt(guess + dayTime, zone);
  const found = [...new Set([before, after])]
    .map((offset) => guess - offset)
    .filter((moment) => offsetAt(moment, zone) === guess - moment)
    .sort((a, b) => a - b);
  return found.length > 0 ? found : [guess - before];
}

/** The day that is `days` after that of `wall`, at midnight. */
export function midnightAfter(wall: WallTime, days: number): WallTime {
  const day = new Date(Date.UTC(wall.year, wall.month - 1, wall.day + days));
  return { year: day.getUTCFullYear(), month: day.getUTCMonth() + 1, day: day.getUTCDate(), hour: 0, minute: 0 };
}

/** False for the 30th of February. */
export function isDay({ year, month, day }: Pick<WallTime, 'year' | 'month' | 'day'>): boolean {
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}
