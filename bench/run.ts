/**
 * Measures what the project promises, each figure against a baseline of the same run.
 * Usage: npm run bench [-- --json] [-- NAME ...], names as in `benches`.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../scripts/vscodeHost.ts';
import { benchActivation } from './activation.ts';
import { benchAgents, benchProvisioning } from './agents.ts';
import { benchChanges } from './changes.ts';
import { benchEnqueue } from './enqueue.ts';
import { figures } from './figures.ts';
import { benchStorage } from './storage.ts';
import { benchTimeline } from './timeline.ts';

const benches: Record<string, (folder: string) => Promise<void>> = {
  enqueue: benchEnqueue,
  storage: benchStorage,
  changes: benchChanges,
  prompt: benchAgents,
  provisioning: benchProvisioning,
  activation: benchActivation,
  timeline: benchTimeline,
};

const json = process.argv.includes('--json');
const wanted = process.argv.slice(2).filter((name) => !name.startsWith('-'));
execFileSync(process.execPath, ['scripts/build.ts', '--production'], { cwd: root, stdio: 'inherit' });
for (const [name, bench] of Object.entries(benches)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  if (!json) console.log(`Measuring ${name} ...`);
  const folder = mkdtempSync(join(tmpdir(), 'bb-'));
  try {
    await bench(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
if (json) console.log(JSON.stringify({ figures }, null, 2));
else {
  console.table(
    Object.fromEntries(
      Object.entries(figures).map(([name, { value, unit, baseline, target, ok }]) => [
        name,
        { value: `${value} ${unit}`, target, '': ok ? 'ok' : 'SHORT', baseline },
      ]),
    ),
  );
}
process.exit(0);
