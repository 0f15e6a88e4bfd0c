/** Activation in a real VS Code, against VS Code's own git extension in the same start, as its own performance view tells. */
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { launchBrowser } from '../test/support/browsers.ts';
import { makeRepository } from '../test/support/repositories.ts';
import { ensureHost } from '../scripts/vscodeHost.ts';
import { makePackage, vsix } from '../scripts/package.ts';
import { installExtension, startServer } from '../scripts/vscodeServer.ts';
import { Window } from '../test/support/workbench.ts';
import { figure, median } from './figures.ts';

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

async function measure(browser: Browser, url: string): Promise<{ own: number; other: number }> {
  const page = await browser.newPage();
  await page.goto(url);
  await new Window(page).showBranchline();
  await page.locator('.monaco-button', { hasText: 'Queue Session' }).waitFor();
  await page.locator('.statusbar-item', { hasText: 'main' }).first().waitFor(); // Git has activated, too.
  await page.keyboard.press('F1');
  await page.locator('.quick-input-widget input').first().fill('>Developer: Startup Performance');
  await page.locator('.quick-input-list .monaco-list-row.focused', { hasText: 'Startup Performance' }).waitFor();
  await page.keyboard.press('Enter');
  await page.locator('.monaco-editor .view-line', { hasText: 'System Info' }).first().waitFor();
  await page.keyboard.press('Control+F');
  await page.keyboard.type('branchline.branchline');
  await page.keyboard.press('Escape');
  const table = (await page.locator('.monaco-editor .view-line').allTextContents()).join('\n').replaceAll('\u00a0', ' ');
  await page.close({ runBeforeUnload: true });
  const [own, other] = [timeOf(table, 'branchline.branchline'), timeOf(table, 'vscode.git ')];
  if (own === undefined || other === undefined)
    throw new Error(`VS Code's performance view does not show both extensions:\n${table}`);
  return { own, other };
}

export async function benchActivation(folder: string): Promise<void> {
  await makePackage();
  const options = { host: ensureHost('newest'), folder: join(folder, 's') };
  installExtension(options, vsix);
  const server = await startServer(options);
  const browser = await launchBrowser();
  const times = {
    'in a new workspace': [] as { own: number; other: number }[],
    'with a stored queue': [] as { own: number; other: number }[],
  };
  try {
    for (let round = 0; round < 4; round += 1) {
      const url = server.url(makeRepository(folder, `repo${round}`));
      times['in a new workspace'].push(await measure(browser, url));
      times['with a stored queue'].push(await measure(browser, url));
    }
  } finally {
    await browser.close();
    await server.stop();
  }
  for (const [name, values] of Object.entries(times)) {
    const other = median(values.map((value) => value.other));
    figure(`activation ${name}`, median(values.map((value) => value.own)) / other, `vscode.git, ${other.toFixed(0)} ms`, 1);
  }
}
