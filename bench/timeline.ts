/** The timeline's page in a real browser: first paint, frames and keys while sessions stream and at rest, memory after an hour's worth of it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { chromium } from 'playwright-core';
import { ensureBrowser, root } from '../scripts/vscodeHost.ts';
import { makeCatalog } from '../src/agents/catalog.ts';
import { queueSnapshot } from '../src/sessions/nextTurn.ts';
import { Projection } from '../src/store/projection.ts';
import { modelOf } from '../src/webview/model.ts';
import { firstScope, type ToView } from '../src/webview/protocol.ts';
import { branchRow, sessionRow, turnRow } from '../test/support/stores.ts';
import { attempt, compare, compareAll, inTurns, leastRounds } from './figures.ts';

const sessions = 20;
const perSecond = 50;
/** Milliseconds of a round. */
const watchTime = 2_000;
const viewport = { width: 1_200, height: 800 };

/** A store with this many turns, 100 on each branch; some run. */
function stateWith(turns: number): Projection {
  const branches = Math.max(1, Math.ceil(turns / 100));
  const state = new Projection();
  state.load({
    branch: Array.from({ length: branches }, (_, n) => branchRow(`b${n}`, { worktreeState: 'ready', name: `branch/${n}` })),
    session: Array.from({ length: turns }, (_, n) =>
      sessionRow(`s${n}`, `b${n % branches}`, { title: `Piece of work number ${n}` }),
    ),
    turn: Array.from({ length: turns }, (_, n) =>
      turnRow(
        `t${n}`,
        `s${n}`,
        `b${n % branches}`,
        n < sessions
          ? { state: 'running', startedAt: 1, position: n }
          : { state: 'completed', startedAt: n, endedAt: n, position: n },
      ),
    ),
  });
  return state;
}

function snapshotOf(state: Projection): Extract<ToView, { type: 'snapshot' }> {
  const catalog = makeCatalog({}, 'shellAgent.js');
  const queue = queueSnapshot(state, { catalog, limit: 20, trusted: true, inFlight: [], now: Date.now() });
  const model = modelOf(firstScope, {
    state,
    queue,
    catalog,
    defaultAgent: 'shell',
    readOnly: null,
    canTakeOver: false,
    hasRepository: true,
    now: Date.now(),
    stats: () => undefined,
    found: new Set(),
  });
  return { type: 'snapshot', version: 1, number: 1, scope: firstScope, ...model, drafts: {} };
}

/** The page as VS Code shows it, without VS Code. */
async function open(page: Page): Promise<void> {
  await page.setContent('<!DOCTYPE html><html><body class="vscode-dark" data-where="editor"></body></html>');
  await page.addStyleTag({ content: readFileSync(join(root, 'dist', 'style.css'), 'utf8') });
  await page.evaluate(() => {
    let state: unknown;
    Object.assign(globalThis, {
      acquireVsCodeApi: () => ({
        postMessage: () => undefined,
        getState: () => state,
        setState: (next: unknown) => {
          state = next;
        },
      }),
    });
    document.body.append(document.createElement('branchline-timeline'));
  });
}

/** Milliseconds from the call until the rows of this state are painted in a new page. */
async function paint(browser: Browser, script: string, state: Projection): Promise<number> {
  const page = await browser.newPage({ viewport });
  await open(page);
  const start = performance.now();
  const snapshot = snapshotOf(state);
  const host = performance.now() - start;
  const shown = await page.evaluate(
    async ([text, message]) => {
      const begun = performance.now();
      new Function(text as string)();
      window.postMessage(message, '*');
      while (document.querySelectorAll('.row').length === 0) await new Promise((resolve) => requestAnimationFrame(resolve));
      await new Promise((resolve) => requestAnimationFrame(resolve));
      return performance.now() - begun;
    },
    [script, snapshot] as const,
  );
  await page.close();
  return host + shown;
}

interface Watched {
  /** The longest of them, in milliseconds. */
  frame: number;
  key: number;
}

/** Frames and answers to keys for a while, with as many sessions at work as is said. */
const watch = (page: Page, streaming: number): Promise<Watched> =>
  page.evaluate(
    async ({ count, rate, time }) => {
      const frame = () => new Promise<number>((resolve) => requestAnimationFrame(resolve));
      const { burst, others } = globalThis as unknown as Streams;
      const area = document.querySelector('textarea') as HTMLTextAreaElement;
      const longest = { frame: 0, key: 0 };
      await frame();
      let last = await frame();
      let due = performance.now();
      const end = due + time;
      for (let n = 0; performance.now() < end; n += 1) {
        for (; count > 0 && due < performance.now(); due += 40) {
          burst(Math.ceil((rate * 40) / 1_000));
          others(count);
        }
        if (n % 15 === 0) {
          const at = performance.now();
          area.value += 'x';
          area.dispatchEvent(new InputEvent('input', { bubbles: true }));
          await frame();
          longest.key = Math.max(longest.key, performance.now() - at);
        }
        const now = await frame();
        longest.frame = Math.max(longest.frame, now - last);
        last = now;
      }
      return longest;
    },
    { count: streaming, rate: perSecond, time: watchTime },
  );

/** What the page is given to stream with. */
interface Streams {
  /** So many updates of the open session, in one message, as the host batches them. */
  burst(entries: number): void;
  /** One of the other sessions, of which the page shows a row. */
  others(count: number): void;
}

/** A page with a conversation open that can be streamed to. */
async function streamedPage(browser: Browser, script: string, state: Projection): Promise<Page> {
  const page = await browser.newPage({ viewport });
  await open(page);
  await page.evaluate(
    ([text, message]) => {
      new Function(text as string)();
      window.postMessage(message, '*');
    },
    [script, snapshotOf(state)] as const,
  );
  await page.locator('.row-title').first().click();
  await page.locator('branchline-conversation').waitFor();
  await page.evaluate(() => {
    const post = (message: unknown) => window.postMessage(message, '*');
    const opened = document.querySelector<HTMLElement & { sessionId: string }>('branchline-conversation')?.sessionId ?? '';
    post({ type: 'conversation', sessionId: opened, entries: [], left: 0 });
    let seq = 0;
    const words = ['Reading the **code**\n', 'of `src/index.ts`, ', 'then the tests. ', '\n\nNext:\n\n- one\n- two\n\n'];
    const entry = (number: number) => ({
      seq: number,
      at: 1,
      turnId: 't',
      type: 'text',
      role: 'agent',
      text: words[number % words.length],
    });
    const say = () => {
      seq += 1;
      return entry(seq);
    };
    Object.assign(globalThis, {
      burst: (entries: number) => post({ type: 'entries', sessionId: opened, entries: Array.from({ length: entries }, say) }),
      others: (count: number) => {
        for (let n = 1; n < count; n += 4) post({ type: 'entries', sessionId: `other${n}`, entries: [entry(seq)] });
      },
    });
  });
  return page;
}

/** Streams for so many minutes of a session at once, and says what the page holds then, in megabytes. */
const heapAfter = (page: Page, minutes: number): Promise<number> =>
  page.evaluate(
    async ({ minutes, rate }) => {
      const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
      const { burst } = globalThis as unknown as Streams;
      for (let n = 0; n < minutes * 6; n += 1) {
        burst(rate * 10);
        await frame();
      }
      await frame();
      await frame();
      (globalThis as unknown as { gc: () => void }).gc();
      return (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize / 1024 / 1024;
    },
    { minutes, rate: perSecond },
  );

export async function benchTimeline(): Promise<void> {
  const browser = await chromium.launch({
    executablePath: ensureBrowser(),
    args: ['--no-sandbox', '--disable-gpu', '--js-flags=--expose-gc', '--enable-precise-memory-info'],
  });
  try {
    const script = readFileSync(join(root, 'dist', 'timeline.js'), 'utf8');
    const large = stateWith(10_000);
    const small = stateWith(1);
    await compare(
      'timeline, first paint with 10,000 turns',
      { against: 'with one turn', atMost: 2 },
      inTurns(
        () => paint(browser, script, large),
        () => paint(browser, script, small),
      ),
    );
    const page = await streamedPage(browser, script, large);
    await compareAll(
      {
        'timeline, longest frame while streaming': { against: 'at rest', atMost: 3 },
        'timeline, longest answer to a key while streaming': { against: 'at rest', atMost: 2 },
      },
      async () => {
        const theirs = await watch(page, 0);
        const ours = await watch(page, sessions);
        return {
          'timeline, longest frame while streaming': { ours: ours.frame, theirs: theirs.frame },
          'timeline, longest answer to a key while streaming': { ours: ours.key, theirs: theirs.key },
        };
      },
    );
    await attempt(['timeline, memory after an hour of streaming'], async () => {
      const early: number[] = [];
      for (let n = 0; n < leastRounds + 1; n += 1) early.push(await heapAfter(page, 4));
      await heapAfter(page, 20);
      await compare(
        'timeline, memory after an hour of streaming',
        { against: 'in the first 20 minutes', unit: 'MB', atMost: 1.15 },
        async (round) => ({ ours: await heapAfter(page, 4), theirs: early[round] ?? Number.NaN }),
      );
    });
  } finally {
    await browser.close();
  }
}
