/**
 * Figures. One says little in milliseconds, which are the machine's; so each is measured against what it can't beat, in the same
 * run, pair by pair, and told as the median of the ratios with their spread. What can be counted is counted.
 */
import { messageOf } from '../src/model/errors.ts';

/** The least rounds that a ratio is told from. */
export const leastRounds = 5;

/** Both in the same unit, measured one right after the other. */
export interface Pair {
  ours: number;
  theirs: number;
}

export interface Comparison {
  /** What it can't beat. */
  against: string;
  /** The target: at most so many times as much. */
  atMost: number;
  /** Of both measures; milliseconds where nothing is said. */
  unit?: string;
}

export type Figure =
  | { kind: 'ratio'; median: number; least: number; most: number; rounds: number; baseline: string; atMost: number }
  | { kind: 'count'; value: number; unit: string; of: string; atMost: number }
  | { kind: 'failed'; error: string };

export const figures = new Map<string, Figure>();

export const isShort = (figure: Figure): boolean =>
  figure.kind === 'ratio' ? figure.median > figure.atMost : figure.kind === 'count' && figure.value > figure.atMost;

/** Measures several figures in the same rounds, after one that warms up. A round that fails costs these figures, and no other. */
export async function compareAll<Name extends string>(
  comparisons: Record<Name, Comparison>,
  round: (number: number) => Promise<Record<Name, Pair>>,
  rounds = leastRounds,
): Promise<void> {
  const names = Object.keys(comparisons) as Name[];
  await attempt(names, async () => {
    await round(0);
    const measured: Record<Name, Pair>[] = [];
    for (let number = 1; number <= Math.max(rounds, leastRounds); number += 1) measured.push(await round(number));
    for (const name of names)
      figures.set(
        name,
        ratioOf(
          comparisons[name],
          measured.map((pairs) => pairs[name]),
        ),
      );
  });
}

/** As `compareAll`, for one figure. */
export const compare = (
  name: string,
  comparison: Comparison,
  round: (number: number) => Promise<Pair>,
  rounds = leastRounds,
): Promise<void> => compareAll({ [name]: comparison }, async (number) => ({ [name]: await round(number) }), rounds);

/** The median of the ratios, not the ratio of the medians: a minute in which all is slow is slow for both of a pair. */
function ratioOf({ against, atMost, unit = 'ms' }: Comparison, pairs: readonly Pair[]): Figure {
  const ratios = pairs.map(({ ours, theirs }) => ours / theirs);
  const baseline = median(pairs.map(({ theirs }) => theirs));
  return {
    kind: 'ratio',
    median: median(ratios),
    least: Math.min(...ratios),
    most: Math.max(...ratios),
    rounds: pairs.length,
    baseline: `${against}, ${Number(baseline.toPrecision(3))} ${unit}`,
    atMost,
  };
}

/** A figure that is no time: bytes, syncs. */
export function count(name: string, { of, unit, atMost }: { of: string; unit: string; atMost: number }, value: number): void {
  figures.set(name, { kind: 'count', value, unit, of, atMost });
}

/** Does what leads to these figures; when it fails, they have failed, and the run goes on. */
export async function attempt(names: readonly string[], action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    console.error(error); // All of it; the table has its first line.
    const [first = ''] = messageOf(error).split('\n');
    for (const name of names) if (!figures.has(name)) figures.set(name, { kind: 'failed', error: first });
  }
}

/** Measures both, each time in the other order, so that neither always finds the caches warm. */
export const inTurns =
  (ours: (round: number) => Promise<number>, theirs: (round: number) => Promise<number>) =>
  async (round: number): Promise<Pair> => {
    if (round % 2 === 0) return { ours: await ours(round), theirs: await theirs(round) };
    const second = await theirs(round);
    return { ours: await ours(round), theirs: second };
  };

export const median = (values: readonly number[]): number => percentile(values, 50);

export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN;
}

/** Milliseconds that it takes. */
export async function timed(action: () => unknown): Promise<number> {
  const start = performance.now();
  await action();
  return performance.now() - start;
}

const short = (value: number): string => String(Number(value.toPrecision(3)));

const verdictOf = (figure: Figure): string => (figure.kind === 'failed' ? 'FAILED' : isShort(figure) ? 'SHORT' : 'ok');

function rowOf(figure: Figure): Record<string, string | number> {
  const verdict = verdictOf(figure);
  switch (figure.kind) {
    case 'ratio':
      return {
        value: `${short(figure.median)}x`,
        spread: `${short(figure.least)} - ${short(figure.most)}`,
        rounds: figure.rounds,
        target: `<= ${figure.atMost}x`,
        '': verdict,
        against: figure.baseline,
      };
    case 'count': {
      const target = `<= ${figure.atMost} ${figure.unit}`;
      return { value: `${short(figure.value)} ${figure.unit}`, spread: '', rounds: '', target, '': verdict, against: figure.of };
    }
    case 'failed':
      return { value: '', spread: '', rounds: '', target: '', '': verdict, against: figure.error };
  }
}

/** The figures as rows of a table, by name. */
export const tableOf = (all: ReadonlyMap<string, Figure>): Record<string, Record<string, string | number>> =>
  Object.fromEntries(Array.from(all, ([name, figure]) => [name, rowOf(figure)]));
