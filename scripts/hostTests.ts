/**
 * Runs the tests of `test/host` inside the extension host of a real VS Code, on the newest and the lowest version that the
 * project supports. Usage: node scripts/hostTests.ts [newest|lowest] [SUITE]
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { launchBrowser, runTests } from '../test/support/browsers.ts';
import { makeRepository } from '../test/support/repositories.ts';
import { ensureHost, type HostName, root } from './vscodeHost.ts';
import { startServer } from './vscodeServer.ts';

const bundles = join(root, 'out', 'host');
/** Suites of one window each; those in one list share storage and follow one another. */
const windows = [['story'], ['beforeReload', 'afterReload']];

export async function bundleHostTests(suite: string): Promise<string> {
  const outfile = join(bundles, `${suite}.cjs`);
  await build({
    absWorkingDir: root,
    entryPoints: ['test/host/index.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node22',
    external: ['vscode', 'mocha'],
    define: { SUITE: JSON.stringify(suite) },
    logLevel: 'warning',
  });
  return outfile;
}

async function runOn(name: HostName, only: string | undefined): Promise<boolean> {
  const host = ensureHost(name);
  console.log(`VS Code ${host.version}`);
  const browser = await launchBrowser();
  let ok = true;
  try {
    for (const suites of windows) {
      if (only && !suites.includes(only)) continue;
      const folder = mkdtempSync(join(tmpdir(), 'bh-'));
      mkdirSync(join(folder, 'home'), { recursive: true });
      writeFileSync(join(folder, 'home', '.gitconfig'), '[init]\n\tdefaultBranch = main\n');
      const repository = makeRepository(folder);
      const output = join(folder, 'output.txt');
      const said: string[] = [];
      const server = await startServer({
        host,
        folder,
        testDriver: true,
        environment: { BRANCHLINE_TEST_OUTPUT: output },
        log: (text) => said.push(text),
      });
      try {
        for (const suite of suites) {
          const page = await browser.newPage();
          const tests = await bundleHostTests(suite);
          rmSync(output, { force: true });
          const url = server.url(repository, [
            ['extensionDevelopmentPath', root],
            ['extensionTestsPath', tests],
          ]);
          const code = await runTests(page, url, (text) => said.push(text)).catch((error: Error) => error.message);
          process.stdout.write(existsSync(output) ? readFileSync(output, 'utf8') : '');
          if (code !== 0) {
            ok = false;
            console.log(`${suite} on ${host.version}: ${code}\n${said.join('').slice(-3_000)}`);
          }
          await page.close({ runBeforeUnload: true });
          if (!page.isClosed()) await page.waitForEvent('close');
        }
      } finally {
        await server.stop();
        rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
      }
    }
  } finally {
    await browser.close();
  }
  return ok;
}

if (import.meta.main) {
  const [name, only] = process.argv.slice(2);
  let ok = true;
  for (const one of name ? [name as HostName] : (['newest', 'lowest'] as const)) ok = (await runOn(one, only)) && ok;
  process.exit(ok ? 0 : 1);
}
