/** A person at VS Code: the real workbench in a browser, with the packaged extension installed. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Frame, FrameLocator, Locator, Page } from 'playwright-core';
import { vsix } from '../../scripts/package.ts';
import { ensureHost, root } from '../../scripts/vscodeHost.ts';
import { installExtension, type Server, type ServerOptions, startServer } from '../../scripts/vscodeServer.ts';
import { launchBrowser } from './browsers.ts';
import { patience, untilSeen } from './patience.ts';
import { makeRepository } from './repositories.ts';
import { testAgent } from './testAgentSetting.ts';

/** Milliseconds until a click or key that the workbench may have dropped is given once more. */
const retry = 5_000;

export class Workbench {
  readonly folder: string;
  readonly repository: string;
  readonly #server: Server;
  readonly #browser: Browser;
  readonly #context: BrowserContext;

  private constructor(folder: string, repository: string, server: Server, browser: Browser, context: BrowserContext) {
    this.folder = folder;
    this.repository = repository;
    this.#server = server;
    this.#browser = browser;
    this.#context = context;
  }

  static async start(settings: Record<string, unknown> = {}, options: Partial<ServerOptions> = {}): Promise<Workbench> {
    const folder = mkdtempSync(join(tmpdir(), 'bu-'));
    mkdirSync(join(folder, 'home'), { recursive: true });
    writeFileSync(join(folder, 'home', '.gitconfig'), '[user]\n\tname = Ada\n\temail = ada@example.com\n');
    const repository = makeRepository(folder, 'sample');
    const all: ServerOptions = {
      host: ensureHost('newest'),
      folder,
      ...options,
      settings: { 'branchline.agents': { test: testAgent }, 'workbench.reduceMotion': 'on', ...settings },
    };
    installExtension(all, vsix);
    const server = await startServer(all);
    const browser = await launchBrowser();
    const context = await browser.newContext({
      viewport: { width: 1_280, height: 800 },
      permissions: ['clipboard-read', 'clipboard-write'],
    });
    return new Workbench(folder, repository, server, browser, context);
  }

  get extensionHost(): number | undefined {
    return this.#server.extensionHosts.at(-1);
  }

  /** Opens a window on a folder (the repository by default; null for none) with Branchline's container in view. */
  async open(folder: string | null = this.repository): Promise<Window> {
    const page = await this.#context.newPage();
    page.setDefaultTimeout(patience);
    await page.goto(this.#server.url(folder ?? undefined));
    await page.locator('.monaco-workbench .activitybar').waitFor();
    const window = new Window(page);
    await window.showBranchline();
    return window;
  }

  /** Resolves when a file of Branchline's storage holds the text. */
  async waitForFile(name: string, text: RegExp): Promise<void> {
    const storage = join(this.folder, 'data', 'data', 'User', 'workspaceStorage');
    await untilSeen(
      () =>
        readdirSync(storage).some((hash) => {
          const path = join(storage, hash, 'branchline.branchline', name);
          return existsSync(path) && text.test(readFileSync(path, 'utf8'));
        }),
      `${name} holds ${text}`,
    );
  }

  async untilNewHost(before: number | undefined): Promise<void> {
    await untilSeen(() => this.extensionHost !== before, 'another extension host runs');
  }

  /** The page of the timeline that is in the sidebar, or in an editor. */
  async frameOf(window: Window, where: 'sidebar' | 'editor'): Promise<Frame> {
    let found: Frame | undefined;
    await untilSeen(async () => {
      for (const frame of window.page.frames()) {
        const timeline = frame.locator(`body[data-where="${where}"] branchline-timeline`);
        if ((await timeline.count().catch(() => 0)) > 0) found = frame;
      }
      return found !== undefined;
    }, `the timeline is in the ${where}`);
    return found as Frame;
  }

  async setTheme(window: Window, theme: string): Promise<void> {
    const path = join(this.folder, 'data', 'data', 'Machine', 'settings.json');
    const settings = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify({ ...settings, 'workbench.colorTheme': theme }));
    const kind = theme.includes('Contrast') ? 'hc-black' : theme.includes('Dark') ? 'vs-dark' : 'vs';
    await window.page.locator(`.monaco-workbench.${kind}`).waitFor();
  }

  /** Pictures of all windows, for a test that failed. */
  async picture(name: string): Promise<void> {
    for (const [index, page] of this.#context.pages().entries()) {
      await page.screenshot({ path: join(root, 'out', 'ui', `${name.replace(/\W+/g, '-').slice(0, 60)}-${index}.png`) });
    }
  }

  async stop(): Promise<void> {
    await this.#browser.close();
    await this.#server.stop();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

export class Window {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  async showBranchline(): Promise<void> {
    const icon = this.page.locator('.activitybar a[aria-label^="Branchline"]');
    const chosen = this.page.locator('.activitybar .action-item.checked a[aria-label^="Branchline"]');
    const title = this.page.locator('.composite.title', { hasText: 'Branchline' });
    await icon.waitFor();
    // A click on the icon of a container that is just being restored hides it, so it is looked at again after each.
    await untilSeen(async () => {
      if (await title.isVisible()) return true;
      if (!(await chosen.isVisible())) await icon.click({ position: { x: 4, y: 4 } }); // A badge lies over the rest of it.
      await title.waitFor({ timeout: retry }).catch(() => undefined);
      return false;
    }, 'the container of Branchline is shown');
  }

  /** Rows of the tree, by what a screen reader says of them. */
  row(label: string | RegExp): Locator {
    const rows = this.page.locator('.pane-body .monaco-list-row[role="treeitem"]');
    return typeof label === 'string'
      ? rows.and(this.page.locator(`[aria-label*=${JSON.stringify(label)}]`))
      : rows.and(this.page.getByRole('treeitem', { name: label }));
  }

  get status(): Locator {
    return this.page.locator('.statusbar-item[id="branchline.branchline.branchline.status"]');
  }
  toast(text: string | RegExp): Locator {
    return this.page.locator('.notifications-toasts .notification-list-item', { hasText: text });
  }
  get quickInput(): Locator {
    return this.page.locator('.quick-input-widget');
  }

  async command(title: string): Promise<void> {
    const input = this.quickInput.locator('input').first();
    const found = this.quickInput.locator('.monaco-list-row.focused', { hasText: title });
    // A workbench that is just coming up drops keys, and a palette that is just going away takes a text with it.
    await untilSeen(async () => {
      if (await found.isVisible()) return true;
      await this.page.keyboard.press('F1');
      await input.fill(`>${title}`, { timeout: retry }).catch(() => undefined);
      await found.waitFor({ timeout: retry }).catch(() => undefined);
      return false;
    }, `the palette offers "${title}"`);
    await this.page.keyboard.press('Enter');
  }

  /** Chooses in the quick pick with this title. */
  async pick(title: string, item: string): Promise<void> {
    await this.quickInput.locator('.quick-input-title', { hasText: title }).waitFor();
    await this.quickInput.locator('.monaco-list-row', { hasText: item }).first().click();
  }

  async type(title: string, text: string): Promise<void> {
    await this.quickInput.locator('.quick-input-title', { hasText: title }).waitFor();
    await this.quickInput.locator('input').first().fill(text);
    await this.page.keyboard.press('Enter');
    await this.quickInput.locator('.quick-input-title', { hasText: title }).waitFor({ state: 'hidden' });
  }
}

/** Chooses what the timeline shows: a branch by its name, marked as unread or not, or 'All branches'. */
export async function showBranch(timeline: FrameLocator | Frame, name: string): Promise<void> {
  const select = timeline.getByLabel('Branch shown');
  const option = select.locator('option', { hasText: new RegExp(`^(● )?${name}$`) });
  await option.waitFor({ state: 'attached' });
  await select.selectOption((await option.getAttribute('value')) ?? '');
}
