/**
 * Runs the attacks of `test/faults` for long. Usage: npm run test:faults [-- --rounds N] [--seed N] [NAME ...]
 * `--rounds` is how many times the short run inside `npm test`; a seed that is printed replays a run.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './vscodeHost.ts';

function option(name: string, fallback: string): string {
  const index = process.argv.indexOf(name);
  return index < 0 ? fallback : process.argv[index + 1] ?? fallback;
}

const environment = { ...process.env, BRANCHLINE_ROUNDS: option('--rounds', '20'), BRANCHLINE_SEED: option('--seed', String(Math.floor(Math.random() * 1e9))) };
const names = process.argv.slice(2).filter((value, index, all) => !value.startsWith('--') && !all[index - 1]?.startsWith('--'));
const build = spawnSync(process.execPath, ['scripts/build.ts'], { cwd: root, stdio: 'inherit' });
if (build.status !== 0) process.exit(1);
const rows: Record<string, { result: string; counts: string }> = {};
let failed = false;
for (const file of readdirSync(join(root, 'test', 'faults')).filter((name) => name.endsWith('.test.ts'))) {
  const name = file.replace('.test.ts', '');
  if (names.length > 0 && !names.includes(name)) continue;
  const { status, stdout, stderr } = spawnSync('mocha', [`test/faults/${file}`], { cwd: root, encoding: 'utf8', env: environment });
  if (status !== 0) console.log(stdout + stderr);
  failed ||= status !== 0;
  rows[name] = { result: status === 0 ? 'held' : 'BROKE', counts: stdout.split('\n').filter((line) => line.includes('(seed ')).map((line) => line.trim()).join('; ') };
}
console.table(rows);
process.exit(failed ? 1 : 0);
