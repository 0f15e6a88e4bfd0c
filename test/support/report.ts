/** What an attack did, in numbers: printed, and kept for the table of `npm run test:faults`. */
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { seed } from '../faults/rounds.ts';

export interface Counts {
  rounds: number;
  [what: string]: number;
}

export function report(attack: string, counts: Counts): void {
  const words = Object.entries(counts)
    .map(([what, count]) => `${what} ${count}`)
    .join(', ');
  console.log(`      ${attack}: ${words} (seed ${seed})`);
  if (process.env.BRANCHLINE_REPORT)
    appendFileSync(process.env.BRANCHLINE_REPORT, `${JSON.stringify({ attack, ...counts, seed })}\n`);
}

type Harm = 'lost' | 'doubled' | 'orphans' | 'illegal' | 'unexplained';

/** Counts what an attack has broken, so that a long run says how much of it, and fails at its end. */
export class Harms {
  readonly #counts: Partial<Record<Harm, number>> = {};
  readonly #why: string[] = [];

  /** `looksFor`: what this attack is able to see. */
  constructor(...looksFor: Harm[]) {
    for (const harm of looksFor) this.#counts[harm] = 0;
  }

  expect(harm: Harm, holds: boolean, why: string): void {
    if (holds) return;
    this.#counts[harm] = (this.#counts[harm] ?? 0) + 1;
    this.#why.push(`${harm}: ${why}`);
  }

  get count(): number {
    return this.#why.length;
  }

  /** Reports the counts, then throws when there was any harm. */
  report(attack: string, counts: Counts): void {
    report(attack, { ...counts, ...this.#counts });
    assert.deepEqual(this.#why, []);
  }
}
