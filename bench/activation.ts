/** Activation in a real VS Code, against VS Code's own git extension in the same start, as its own performance view tells. */
import { join } from 'node:path';
import type { Browser, Locator } from 'playwright-core';
import { startTimeOf } from '../src/platform/processes.ts';
import { launchBrowser } from '../test/support/browsers.ts';
import { patience, untilSeen } from '../test/support/patience.ts';
import { makeRepository } from '../test/support/repositories.ts';
import { ensureHost } from '../scripts/vscodeHost.ts';
import { makePackage, vsix } from '../scripts/package.ts';
import { installExtension, type Server, startServer } from '../scripts/vscodeServer.ts';
import { Window } from '../test/support/workbench.ts';
import { compareAll } from './figures.ts';

/** Load, call and finish of an extension's activation, added, in milliseconds. */
function timeOf(table: string, extension: string): number | undefined {
  const cells = table
    .split('\n')
    .find((line) => line.includes(extension))
    ?.split('|')
    .map((cell) => cell.trim());
  const numbers = cells?.map(Number).filter((value, index) => index > 1 && cells[index] !== '' && Number.isFinite(value));
  return numbers && numbers.length >= 3 ? numbers.slice(0, 3).reduce((sum, value) => sum + value, 0) : undefined;
}

interface Activation {
  own: number;
  other: number;
}

function timesIn(table: string): Activation | undefined {
  const own = timeOf(table, 'branchline.branchline');
  const other = timeOf(table, 'vscode.git ');
  return own === undefined || other === undefined ? undefined : { own, other };
}

/** Opens a window that is up when `isUp` says so, and reads both times there; `use` is done in it before it is closed. */
async function measure(
  server: Server,
  browser: Browser,
  repository: string,
  isUp: (window: Window) => Locator,
  use?: (window: Window) => Promise<void>,
): Promise<Activation> {
  const page = await browser.newPage();
  page.setDefaultTimeout(patience);
  await page.goto(server.url(repository));
  const window = new Window(page);
  await window.showBranchline();
  await isUp(window).waitFor();
  await page.locator('.statusbar-item', { hasText: 'main' }).first().waitFor(); // Git has activated, too.
  await window.command('Developer: Startup Performance');
  await page.locator('.monaco-editor .view-line', { hasText: 'System Info' }).first().waitFor();
  await page.keyboard.press('Control+F');
  await page.keyboard.type('branchline.branchline');
  await page.keyboard.press('Escape');
  const rows = page.locator('.monaco-editor .view-line');
  let found: Activation | undefined;
  await untilSeen(async () => {
    found = timesIn((await rows.allTextContents()).join('\n').replaceAll('\u00a0', ' '));
    return found !== undefined;
  }, "VS Code's performance view shows both extensions");
  await use?.(window);
  const host = server.extensionHosts.at(-1);
  if (host === undefined) throw new Error('The server did not tell of an extension host.');
  await page.close({ runBeforeUnload: true });
  if (!page.isClosed()) await page.waitForEvent('close');
  // VS Code may keep the extension host of a window that is gone for minutes, and it owns the storage for as long.
  if (startTimeOf(host) !== undefined) process.kill(host, 'SIGKILL');
  await untilSeen(() => startTimeOf(host) === undefined, 'the extension host of the closed window has gone');
  return found as Activation;
}

const welcome = (window: Window) => window.page.locator('.monaco-button', { hasText: 'Queue Session' });
const branch = (window: Window) => window.row('Branch true');

async function queueOne(window: Window): Promise<void> {
  await welcome(window).click();
  await window.pick('branch', 'New branch named from the prompt');
  await window.pick('kind', 'Note');
  await window.type('Queue Session', 'true');
  await window.row(/Note true, completed/).waitFor();
}

export async function benchActivation(folder: string): Promise<void> {
  await makePackage();
  const options = { host: ensureHost('newest'), folder: join(folder, 's') };
  installExtension(options, vsix);
  const server = await startServer(options);
  const browser = await launchBrowser();
  const against = 'vscode.git in the same start';
  const pairOf = ({ own, other }: Activation) => ({ ours: own, theirs: other });
  try {
    const used = makeRepository(folder, 'used');
    await measure(server, browser, used, welcome, queueOne);
    await compareAll(
      {
        'activation in a new workspace': { against, atMost: 1 },
        'activation with a stored queue': { against, atMost: 1 },
      },
      async (round) => ({
        'activation in a new workspace': pairOf(await measure(server, browser, makeRepository(folder, `new${round}`), welcome)),
        'activation with a stored queue': pairOf(await measure(server, browser, used, branch)),
      }),
    );
  } finally {
    await browser.close();
    await server.stop();
  }
}
