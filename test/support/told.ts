/** What the program that is killed says, line by line and synced: what it begins, and what was acknowledged. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from '../../src/sessions/engine.ts';

export type Told =
  | { begin: string }
  | { accepted: string; turnId: string; attachments: number }
  | { removing: string }
  | { cancelling: string }
  | { failed: string }
  /** The order of a branch is about to be changed. */
  | { touching: string }
  /** The order of what waits on a branch, as it was after a change that was acknowledged. */
  | { line: string; ids: string[] };

export function readTold(folder: string): Told[] {
  const path = join(folder, 'told.jsonl');
  return existsSync(path)
    ? readFileSync(path, 'utf8')
        .split('\n')
        .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Told]))
    : [];
}

export const waitingOn = (engine: Engine, branchId: string): string[] =>
  engine.state.line(branchId).flatMap((turn) => (turn.state === 'queued' ? [turn.id] : []));

/** What is wrong with the order of a branch, or undefined: what still waits keeps the order that was last acknowledged. */
export function wrongOrder(told: readonly Told[], engine: Engine): string | undefined {
  const lines = new Map<string, string[] | undefined>();
  for (const entry of told) {
    if ('touching' in entry) lines.set(entry.touching, undefined); // Until it is acknowledged either order may be there.
    if ('line' in entry) lines.set(entry.line, entry.ids);
  }
  for (const [branchId, ids] of lines) {
    const waiting = waitingOn(engine, branchId);
    const known = ids?.filter((id) => waiting.includes(id));
    const found = waiting.filter((id) => known?.includes(id));
    if (known && known.join() !== found.join()) return `on ${branchId} ${found.join()} wait in place of ${known.join()}`;
  }
  return undefined;
}
