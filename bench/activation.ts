/** Activation in a real VS Code, against VS Code's own git extension in the same start, as its own performance view tells. */
import { join } from 'node:path';
import { launchBrowser } from '../test/support/browsers.ts';
import { makeRepository } from '../test/support/repositories.ts';
import { ensureHost } from '../scripts/vscodeHost.ts';
import { makePackage, vsix } from '../scripts/package.ts';
import { installExtension, startServer } from '../scripts/vscodeServer.ts';
import { figure, median } from './figures.ts';

/** Load, call and finish of an extension's activation, added, in milliseconds. */
function timeOf(table: string, extension: string): number | undefined {
  const cells = table.split('\n').find((line) => line.includes(extension))?.split('|').map((cell) => cell.trim());
  const numbers = cells?.map(Number).filter((value, index) => index > 1 && cells[index] !== '' && Number.isFinite(value));
  return numbers && numbers.length >= 3 ? numbers.slice(0, 3).reduce((sum, value) => sum + value, 0) : undefined;
}

export async function benchActivation(folder: string): Promise<void> {
  await makePackage();
  const repository = makeRepository(folder, 'repo');
  const options = { host: ensureHost('newest'), folder: join(folder, 's') };
  installExtension(options, vsix);
  const server = await startServer(options);
  const browser = await launchBrowser();
  const own: number[] = [];
  const other: number[] = [];
  try {
    for (let round = 0; round < 5; round += 1) {
      const page = await browser.newPage();
      await page.goto(server.url(repository));
      await page.locator('.activitybar a[aria-label^="Branchline"]').click();
      await page.locator('.monaco-button', { hasText: 'Queue Session' }).waitFor();
      await page.keyboard.press('F1');
      await page.locator('.quick-input-widget input').first().fill('>Developer: Startup Performance');
      await page.locator('.quick-input-list .monaco-list-row.focused', { hasText: 'Startup Performance' }).waitFor();
      await page.keyboard.press('Enter');
      await page.locator('.monaco-editor .view-line', { hasText: 'System Info' }).first().waitFor();
      await page.keyboard.press('Control+F');
      await page.keyboard.type('branchline.branchline');
      await page.keyboard.press('Escape');
      const lines = await page.locator('.monaco-editor .view-line').allTextContents();
      const table = lines.map((line) => line.replaceAll('\u00a0', ' ')).join('\n');
      const [a, b] = [timeOf(table, 'branchline.branchline'), timeOf(table, 'vscode.git ')];
      if (a === undefined || b === undefined) throw new Error(`VS Code's performance view does not show both extensions:\n${table}`);
      own.push(a);
      other.push(b);
      await page.close();
    }
  } finally {
    await browser.close();
    await server.stop();
  }
  figure('activation', median(own) / median(other), `vscode.git, ${median(other).toFixed(0)} ms`, 1);
}
