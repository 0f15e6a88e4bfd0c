/**
 * Runs the attacks for long and prints what they did as a table. Usage: npm run test:faults [-- --rounds N] [--seed N] [NAME ...]
 * `--rounds` is how many times the short run inside `npm test`; a seed that is printed replays a run. NAME is a file of
 * test/faults, or `vscode` for the kills in a real VS Code.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './vscodeHost.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
  },
});
const attacks = new Map(
  readdirSync(join(root, 'test', 'faults'))
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => [name.replace('.test.ts', ''), `test/faults/${name}`]),
);
attacks.set('vscode', 'test/ui/kills.test.ts');
const wanted = positionals.length > 0 ? positionals : [...attacks.keys()];
const unknown = wanted.find((name) => !attacks.has(name));
if (unknown) throw new Error(`There is no attack "${unknown}"; there are ${[...attacks.keys()].join(', ')}.`);

const folder = mkdtempSync(join(tmpdir(), 'branchline-faults-'));
const report = join(folder, 'report.jsonl');
const environment = { ...process.env, BRANCHLINE_ROUNDS: values.rounds, BRANCHLINE_SEED: values.seed, BRANCHLINE_REPORT: report };
const prepared = spawnSync(process.execPath, [wanted.includes('vscode') ? 'scripts/package.ts' : 'scripts/build.ts'], {
  cwd: root,
  stdio: ['ignore', 'ignore', 'inherit'],
});
if (prepared.status !== 0) process.exit(1);
const broke: string[] = [];
for (const name of wanted) {
  const started = Date.now();
  const { status, stdout, stderr } = spawnSync('mocha', [attacks.get(name) as string], {
    cwd: root,
    encoding: 'utf8',
    env: environment,
    maxBuffer: 1 << 28,
  });
  console.log(`${name}: ${status === 0 ? 'held' : 'BROKE'} in ${((Date.now() - started) / 1000).toFixed(0)} s`);
  if (status === 0) continue;
  broke.push(name);
  console.log(stdout + stderr);
}
const columns = ['lost', 'doubled', 'orphans', 'illegal', 'unexplained'];
const rows = existsSync(report)
  ? readFileSync(report, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, number | string>)
  : [];
console.table(
  rows.map(({ attack, rounds, seed: _, ...counts }) => ({
    attack,
    rounds, // A column that an attack does not count is empty: what it sees ends its test at once.
    ...Object.fromEntries(columns.map((name) => [name, counts[name] ?? ''])),
    besides: Object.entries(counts)
      .flatMap(([name, count]) => (columns.includes(name) ? [] : [`${name} ${count}`]))
      .join(', '),
  })),
);
console.log(`seed ${values.seed}, rounds ${values.rounds}; ${broke.length === 0 ? 'all held' : `BROKE: ${broke.join(', ')}`}`);
rmSync(folder, { recursive: true, force: true });
process.exit(broke.length === 0 ? 0 : 1);
