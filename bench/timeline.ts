/** The timeline's page in a real browser: first paint, frames and keys while sessions stream, memory after an hour's worth of it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { chromium } from 'playwright-core';
import { ensureBrowser, root } from '../scripts/vscodeHost.ts';
import { makeCatalog } from '../src/agents/catalog.ts';
import { queueSnapshot } from '../src/sessions/nextTurn.ts';
import { Projection } from '../src/store/projection.ts';
import { modelOf } from '../src/webview/model.ts';
import { firstScope, type ToView } from '../src/webview/protocol.ts';
import { branchRow, sessionRow, turnRow } from '../test/support/stores.ts';
import { figure, median } from './figures.ts';

const sessions = 20;
const perSecond = 50;

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
  const queue = queueSnapshot(state, { catalog, limit: 20, trusted: true, inFlight: 0 });
  const model = modelOf(firstScope, {
    state,
    queue,
    catalog,
    defaultAgent: 'shell',
    readOnly: null,
    hasRepository: true,
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

export async function benchTimeline(): Promise<void> {
  const browser = await chromium.launch({
    executablePath: ensureBrowser(),
    args: ['--no-sandbox', '--disable-gpu', '--js-flags=--expose-gc', '--enable-precise-memory-info'],
  });
  try {
    const script = readFileSync(join(root, 'dist', 'timeline.js'), 'utf8');
    const state = stateWith(10_000);
    const paints: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const page = await browser.newPage({ viewport: { width: 1_200, height: 800 } });
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
      paints.push(host + shown);
      await page.close();
    }
    figure('timeline, first paint with 10,000 turns', median(paints), 'page opened', 300, 'ms');

    const page = await browser.newPage({ viewport: { width: 1_200, height: 800 } });
    await open(page);
    await page.evaluate(
      ([text, message]) => {
        new Function(text as string)();
        window.postMessage(message, '*');
      },
      [script, snapshotOf(state)] as const,
    );
    await page.locator('.row-title').first().click();
    const measured = await page.evaluate(
      async ({ count, rate }) => {
        const frame = () => new Promise<number>((resolve) => requestAnimationFrame(resolve));
        const post = (message: unknown) => window.postMessage(message, '*');
        const opened = document.querySelector<HTMLElement & { sessionId: string }>('branchline-conversation')?.sessionId ?? '';
        post({ type: 'conversation', sessionId: opened, entries: [], left: 0 });
        let seq = 0;
        const words = ['Reading the **code**\n', 'of `src/index.ts`, ', 'then the tests. ', '\n\nNext:\n\n- one\n- two\n\n'];
        const say = (number: number) => ({
          seq: number,
          at: 1,
          turnId: 't',
          type: 'text',
          role: 'agent',
          text: words[number % words.length],
        });
        // As the host does: what was said since, for the open session, every 40 ms; the others' is not sent to the page.
        const burst = (entries: number) =>
          post({
            type: 'entries',
            sessionId: opened,
            entries: Array.from({ length: entries }, () => {
              seq += 1;
              return say(seq);
            }),
          });
        const frames: number[] = [];
        const keys: number[] = [];
        const area = document.querySelector('textarea') as HTMLTextAreaElement;
        let last = await frame();
        const end = performance.now() + 8_000;
        let due = performance.now();
        while (performance.now() < end) {
          while (due < performance.now()) {
            burst(Math.ceil((rate * 40) / 1_000));
            for (let n = 1; n < count; n += 4) post({ type: 'entries', sessionId: `other${n}`, entries: [say(seq)] });
            due += 40;
          }
          if (frames.length % 15 === 0) {
            const at = performance.now();
            area.value += 'x';
            area.dispatchEvent(new InputEvent('input', { bubbles: true }));
            await frame();
            keys.push(performance.now() - at);
          }
          const now = await frame();
          frames.push(now - last);
          last = now;
        }
        const collect = (globalThis as unknown as { gc: () => void }).gc;
        const memory = () => {
          collect();
          return (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize;
        };
        const hour = async (minutes: number) => {
          for (let n = 0; n < minutes * 6; n += 1) {
            burst(rate * 10);
            await frame();
          }
          await frame();
          await frame();
        };
        await hour(20);
        const first = memory();
        await hour(40);
        return { frames, keys, growth: memory() / first };
      },
      { count: sessions, rate: perSecond },
    );
    const sorted = measured.frames.toSorted((a, b) => a - b);
    figure(
      'timeline, longest frame while streaming',
      sorted.at(-1) ?? 0,
      `20 sessions, 50 updates/s each; median ${median(sorted).toFixed(0)} ms`,
      50,
      'ms',
    );
    figure(
      'timeline, longest answer to a key while streaming',
      Math.max(...measured.keys),
      `median ${median(measured.keys).toFixed(0)} ms; a frame is 17 ms`,
      34,
      'ms',
    );
    figure('timeline, memory after an hour of streaming', measured.growth, 'after 20 minutes', 1.15);
  } finally {
    await browser.close();
  }
}
