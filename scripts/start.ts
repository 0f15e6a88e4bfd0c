/**
 * Opens VS Code with Branchline on a sample repository with work in its queue: desktop VS Code where there is one, else
 * a VS Code of the cache in the browser. Usage: node scripts/start.ts [--browser] [--port N]
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createVSIX } from '@vscode/vsce';
import { makeRepository } from '../test/support/repositories.ts';
import { makePackage, vsix } from './package.ts';
import { cacheFolder, ensureHost, root } from './vscodeHost.ts';
import { installExtension, startServer } from './vscodeServer.ts';

const sampleFiles = {
  'README.md':
    '# Sample\n\nA small project to try Branchline on. The queue holds some work already; add yours with the + of the view.\n',
  'greeting.mjs': 'export const greeting = (name) => `Hello, ${name}!`;\n',
  'greeting.test.mjs':
    "import assert from 'node:assert/strict';\nimport { test } from 'node:test';\nimport { greeting } from './greeting.mjs';\n\ntest('greets by name', () => {\n  assert.equal(greeting('Ada'), 'Hello, Ada!');\n});\n",
};

function run(program: string, ...args: string[]): void {
  const { status } = spawnSync(program, args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' });
  if (status !== 0) process.exit(status ?? 1);
}

const argument = (name: string): string | undefined => {
  const index = process.argv.indexOf(name);
  return index < 0 ? undefined : process.argv[index + 1];
};
const sampleVsix = join(cacheFolder, 'sample.vsix');
const folder = join(cacheFolder, 'start');

await makePackage();
mkdirSync(cacheFolder, { recursive: true });
await createVSIX({
  cwd: join(root, 'scripts', 'sample'),
  dependencies: false,
  packagePath: sampleVsix,
  allowMissingRepository: true,
  skipLicense: true,
});
mkdirSync(folder, { recursive: true });
const repository = join(folder, 'sample');
if (!existsSync(repository)) makeSample();
const desktop =
  !process.argv.includes('--browser') &&
  spawnSync('code', ['--version'], { stdio: 'ignore', shell: process.platform === 'win32' }).status === 0;
if (desktop) {
  const isolated = ['--user-data-dir', join(folder, 'user'), '--extensions-dir', join(folder, 'extensions')];
  run('code', ...isolated, '--install-extension', vsix, '--install-extension', sampleVsix, '--force');
  run('code', ...isolated, '--disable-workspace-trust', '--new-window', repository);
  console.log(`VS Code is open on ${repository}. Click the Branchline icon in the activity bar.`);
} else {
  const host = ensureHost('newest');
  const port = Number(argument('--port') ?? 8423);
  // In the folder's own place, so that the sockets of agents' hosts have short paths.
  const options = { host, folder: join(cacheFolder, 's'), port, ownHome: true };
  for (const file of [vsix, sampleVsix]) installExtension(options, file);
  const server = await startServer(options);
  const url = server.url(repository);
  console.log(
    `\nVS Code ${host.version} with Branchline is running on a sample repository. Open:\n\n  ${url}\n\nCtrl+C ends it; the queue is still there the next time.`,
  );
  openBrowser(url);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void server.stop().then(() => process.exit(0)));
}

function makeSample(): void {
  makeRepository(folder, 'sample', sampleFiles);
  mkdirSync(join(repository, '.vscode'));
  writeFileSync(join(repository, '.git', 'info', 'exclude'), '.vscode/\n');
  writeFileSync(
    join(repository, '.vscode', 'settings.json'),
    `${JSON.stringify({ 'branchline.worktrees.setup': ['case "$BRANCHLINE_BRANCH" in docs/*) sleep 40 ;; *) sleep 4 ;; esac'] }, null, 2)}\n`,
  );
}

/** Opens the user's browser where there is a desktop; the address is printed in any case. */
function openBrowser(url: string): void {
  if (process.platform === 'linux' && !process.env.DISPLAY && !process.env.WAYLAND_DISPLAY) return;
  const program = process.platform === 'darwin' ? 'open' : process.platform === 'win32' ? 'explorer' : 'xdg-open';
  const child = spawn(program, [url], { stdio: 'ignore', detached: true });
  child.on('error', () => undefined);
  child.unref();
}
