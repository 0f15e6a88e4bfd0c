/** A figure: a value with its unit, what it is measured against in the same run, and the target. */
export interface Figure {
  value: number;
  unit: string;
  baseline: string;
  target: string;
  ok: boolean;
}

export const figures: Record<string, Figure> = {};

/** Keeps a figure that should be at most `most`; a ratio unless a unit is given. */
export function figure(name: string, value: number, baseline: string, most: number, unit = 'x'): void {
  figures[name] = {
    value: Number(value.toPrecision(4)),
    unit,
    baseline,
    target: `<= ${most}${unit === 'x' ? 'x' : ` ${unit}`}`,
    ok: value <= most,
  };
}

export const median = (values: readonly number[]): number => percentile(values, 50);

export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN;
}

export async function timed(action: () => unknown): Promise<number> {
  const start = performance.now();
  await action();
  return performance.now() - start;
}
