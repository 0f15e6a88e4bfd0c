import { format } from 'node:util';
import { type Browser, chromium, type Page } from 'playwright-core';
import { ensureBrowser } from '../../scripts/vscodeHost.ts';
import { patience, testLimit } from './patience.ts';

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: ensureBrowser(),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--disable-dev-shm-usage',
    ],
  });
}

/** Runs what `url` names as `extensionTestsPath`; resolves with the exit code. `onLog` gets the workbench's own words; mocha writes to a file. */
export async function runTests(page: Page, url: string, onLog: (text: string) => void): Promise<number> {
  const done = Promise.withResolvers<number>();
  await page.exposeFunction('codeAutomationLog', (_type: string, args: unknown[]) => onLog(`${format(...args)}\n`));
  await page.exposeFunction('codeAutomationExit', (code: number) => done.resolve(code));
  const timer = setTimeout(() => done.reject(new Error(`The tests did not end within ${testLimit / 1_000} s.`)), testLimit);
  try {
    await page.goto(url, { timeout: patience });
    return await done.promise;
  } finally {
    clearTimeout(timer);
  }
}
