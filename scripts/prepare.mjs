/**
 * Runs a script of this folder on a machine that has only Node >= 20, npm and git: installs what the lock file names
 * when that has changed, then starts the script with the Node that came with it.
 * Usage: node scripts/prepare.mjs SCRIPT [ARGUMENT ...]
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const windows = process.platform === 'win32';
const modules = join(root, 'node_modules');
const stamp = join(modules, '.branchline-lock');
const lock = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex');

if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== lock) {
  console.log('Installing dependencies ...');
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: 'inherit',
    shell: windows,
  });
  if (status !== 0) process.exit(status ?? 1);
  writeFileSync(stamp, lock);
}

const bin = join(modules, '.bin');
const node = join(bin, windows ? 'node.cmd' : 'node');
const environment = { ...process.env, PATH: `${bin}${windows ? ';' : ':'}${process.env.PATH ?? ''}` };
const [script, ...args] = process.argv.slice(2);
const { status } = spawnSync(existsSync(node) ? node : process.execPath, [join(root, script), ...args], {
  cwd: root,
  stdio: 'inherit',
  env: environment,
  shell: windows,
});
process.exit(status ?? 1);
