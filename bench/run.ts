/**
 * Measures what the project promises, each figure against a baseline of the same run.
 * Usage: npm run bench [-- --json] [-- NAME ...], names as in `benches`. Ends with 1 when a figure could not be measured.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../scripts/vscodeHost.ts';
import { benchActivation } from './activation.ts';
import { benchPrompt, benchProvisioning } from './agents.ts';
import { benchChanges } from './changes.ts';
import { benchEnqueue } from './enqueue.ts';
import { attempt, figures, isShort, tableOf } from './figures.ts';
import { benchLines } from './lines.ts';
import { benchStorage } from './storage.ts';
import { benchTimeline } from './timeline.ts';
import { benchTurnEnd } from './turnEnd.ts';
import { benchWork } from './work.ts';

const benches: Record<string, (folder: string) => Promise<void>> = {
  enqueue: benchEnqueue,
  storage: benchStorage,
  changes: benchChanges,
  prompt: benchPrompt,
  provisioning: benchProvisioning,
  work: benchWork,
  turnEnd: benchTurnEnd,
  lines: benchLines,
  activation: benchActivation,
  timeline: benchTimeline,
};

const json = process.argv.includes('--json');
const wanted = process.argv.slice(2).filter((name) => !name.startsWith('-'));
const unknown = wanted.find((name) => !(name in benches));
if (unknown) throw new Error(`There is no bench "${unknown}"; there are ${Object.keys(benches).join(', ')}.`);
execFileSync(process.execPath, ['scripts/build.ts', '--production'], { cwd: root, stdio: json ? 'ignore' : 'inherit' });
for (const [name, bench] of Object.entries(benches)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  if (!json) console.log(`Measuring ${name} ...`);
  const folder = mkdtempSync(join(tmpdir(), 'bb-'));
  await attempt([name], () => bench(folder)); // What ends a bench before its figures begin.
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
const all = [...figures.values()];
const failed = all.filter(({ kind }) => kind === 'failed').length;
if (json) console.log(JSON.stringify({ figures: Object.fromEntries(figures) }, null, 2));
else {
  console.table(tableOf(figures));
  console.log(`${all.length} figures, ${all.filter(isShort).length} short of their target, ${failed} failed`);
}
process.exit(failed === 0 ? 0 : 1);
