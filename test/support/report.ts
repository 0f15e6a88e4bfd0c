/** What an attack did, in numbers: printed, and kept for the table of `npm run test:faults`. */
import { appendFileSync } from 'node:fs';
import { seed } from '../faults/rounds.ts';

export interface Counts {
  rounds: number;
  [what: string]: number;
}

/** Called when all of an attack has held; what did not hold has thrown before. */
export function report(attack: string, counts: Counts): void {
  const words = Object.entries(counts).map(([what, count]) => `${what} ${count}`).join(', ');
  console.log(`      ${attack}: ${words} (seed ${seed})`);
  if (process.env.BRANCHLINE_REPORT) appendFileSync(process.env.BRANCHLINE_REPORT, `${JSON.stringify({ attack, ...counts, seed })}\n`);
}
