/**
 * Runs every suite one after the other (two cores: never side by side) and ends with `N passed, N failed`.
 * Usage: node scripts/test.ts [SUITE ...], see `suites` below.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { root } from './vscodeHost.ts';

const suites: Record<string, string[]> = {
  types: ['tsc', '-p', '.'],
  lint: ['biome', 'check', '--error-on-warnings', '.'],
  build: ['node', 'scripts/build.ts'],
  unit: ['mocha', 'test/unit/**/*.test.ts'],
  integration: ['mocha', '--parallel', '--jobs', '2', 'test/integration/**/*.test.ts'],
  faults: ['mocha', '--parallel', '--jobs', '2', 'test/faults/**/*.test.ts'],
  git: ['mocha', '--parallel', '--jobs', '2', 'test/git/**/*.test.ts'],
  host: ['node', 'scripts/hostTests.ts'],
  package: ['node', 'scripts/package.ts'],
  ui: ['mocha', 'test/ui/**/*.test.ts'],
};

/** Resolves when it is there, or could not be had: then the suite tries again, and says why. */
async function fetchHosts(): Promise<void> {
  const child = spawn(process.execPath, ['scripts/fetchHosts.ts'], { cwd: root, stdio: 'ignore' });
  if (child.pid) setPriority(child.pid, 10);
  await once(child, 'exit');
}

const wanted = process.argv.slice(2);
const names = wanted.length > 0 ? wanted : Object.keys(suites);
/** What runs in a real VS Code, which is fetched while the suites before run. */
const needHost = ['host', 'ui'];
const fetching = names.some((name) => needHost.includes(name)) ? fetchHosts() : undefined;
let passed = 0;
let failed = 0;

for (const name of names) {
  const command = suites[name];
  if (!command) throw new Error(`There is no suite "${name}"; there are ${Object.keys(suites).join(', ')}.`);
  if (needHost.includes(name)) await fetching;
  const started = Date.now();
  console.log(`\n== ${name}`);
  const { status, stdout, stderr } = spawnSync(command[0] as string, command.slice(1), {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  process.stdout.write(stdout + stderr);
  const count = (pattern: RegExp) =>
    Array.from(stdout.matchAll(pattern), (match) => Number(match[1])).reduce((sum, n) => sum + n, 0);
  const counted = /^\s*\d+ passing/m.test(stdout);
  const failing = count(/^\s*(\d+) failing/gm);
  passed += counted ? count(/^\s*(\d+) passing/gm) : Number(status === 0);
  failed += status === 0 ? failing : Math.max(failing, 1);
  console.log(`== ${name}: ${status === 0 ? 'ok' : 'FAILED'} in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
