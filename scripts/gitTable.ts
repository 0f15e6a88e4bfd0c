/**
 * Runs all cells of the table of `test/git` (kinds of repository times operations) and prints it. Usage: npm run test:git [-- NAME ...]
 * NAME is the name of a kind or of an operation, to run those alone. Words of tests that fail follow the table; without a name, all examples
 * of faults follow, too.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Kind, kinds } from '../test/git/kinds.ts';
import { type Operation, operations } from '../test/git/operations.ts';
import { suiteOf, whyAbsent } from '../test/git/table.ts';
import { root } from './vscodeHost.ts';

interface Report {
  tests: { fullTitle: string; err: { message?: string; stack?: string } }[];
}

const wanted = process.argv.slice(2);
const named = (list: readonly { name: string }[]) => list.filter(({ name }) => wanted.includes(name));
const unknown = wanted.find((name) => ![...kinds, ...operations].some((one) => one.name === name));
if (unknown !== undefined)
  throw new Error(`There is no "${unknown}"; there are ${[...kinds, ...operations].map(({ name }) => `"${name}"`).join(', ')}.`);
const rows = named(kinds).length > 0 ? (named(kinds) as Kind[]) : kinds;
const columns = named(operations).length > 0 ? (named(operations) as Operation[]) : operations;

const built = spawnSync(process.execPath, ['scripts/build.ts'], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
if (built.status !== 0) process.exit(1);

const folder = mkdtempSync(join(tmpdir(), 'branchline-table-'));
const output = join(folder, 'report.json');
const titleOf = (kind: Kind, operation: Operation) => `${suiteOf(kind)} ${operation.name}`;
const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const chosen = rows.flatMap((kind) => columns.map((operation) => escaped(titleOf(kind, operation))));
const { status } = spawnSync(
  'mocha',
  [
    ...['--parallel', '--jobs', '2', '--reporter', 'json', '--reporter-option', `output=${output}`],
    ...['--grep', `^(${chosen.join('|')})$`, 'test/git/table*.test.ts'],
  ],
  { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, BRANCHLINE_WHOLE_TABLE: '1' } },
);
const { tests } = JSON.parse(readFileSync(output, 'utf8')) as Report;
rmSync(folder, { recursive: true, force: true });

const results = new Map(tests.map(({ fullTitle, err }) => [fullTitle, err.message === undefined ? 'ok' : 'FAILED']));
const reasons: string[] = [];
/** One letter for each reason why a cell can't be there. */
const markOf = (reason: string): string => {
  if (!reasons.includes(reason)) reasons.push(reason);
  return String.fromCharCode(97 + reasons.indexOf(reason));
};
const width = Math.max(...rows.map(({ name }) => name.length)) + 2;
console.log(`\n${columns.map(({ name }, index) => `${String(index + 1).padStart(2)} ${name}`).join('\n')}\n`);
console.log(`${' '.repeat(width)}${columns.map((_, index) => String(index + 1).padEnd(7)).join('')}`);
for (const kind of rows) {
  const cells = columns.map((operation) => {
    const why = whyAbsent(kind, operation);
    return (why === undefined ? (results.get(titleOf(kind, operation)) ?? 'NOT RUN') : `(${markOf(why)})`).padEnd(7);
  });
  console.log(`${kind.name.padEnd(width)}${cells.join('')}`.trimEnd());
}
for (const reason of reasons) console.log(`\n(${markOf(reason)}) can't be there: ${reason}`);
for (const { fullTitle, err } of tests)
  if (err.message !== undefined) console.log(`\nFAILED ${fullTitle}\n${err.stack ?? err.message}`);
const missing = rows.some((kind) =>
  columns.some((operation) => !whyAbsent(kind, operation) && !results.has(titleOf(kind, operation))),
);
const failed = [...results.values()].filter((result) => result === 'FAILED').length;
console.log(`\n${results.size - failed} ok, ${failed} failed${missing ? ', some were not run' : ''}`);
const examples =
  wanted.length > 0
    ? 0
    : spawnSync('mocha', ['--parallel', '--jobs', '2', 'test/git/*aults.test.ts'], {
        cwd: root,
        stdio: ['ignore', 'inherit', 'inherit'],
        env: { ...process.env, BRANCHLINE_WHOLE_TABLE: '1' },
      }).status;
process.exit(status === 0 && examples === 0 && !missing ? 0 : 1);
