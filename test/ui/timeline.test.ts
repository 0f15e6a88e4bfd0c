import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { FrameLocator, Locator } from 'playwright-core';
import { hostileOutputs } from '../support/hostileOutputs.ts';
import { git } from '../support/repositories.ts';
import { showBranch, type Window, Workbench } from '../support/workbench.ts';

const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGP8z8DAwMDAxMDAwMDAAAANHQEDasKb6QAAAABJRU5ErkJggg==';

describe('The timeline', () => {
  let workbench: Workbench;
  let window: Window;
  let timeline: FrameLocator;
  let composer: Locator;
  before(async () => {
    workbench = await Workbench.start({
      'branchline.worktrees.setup': ['echo preparing; while ! test -e ../../../setup; do sleep 0.05; done'],
      'branchline.notifications': 'none',
      'branchline.defaultAgent': 'test',
    });
    window = await workbench.open();
    await window.page.setViewportSize({ width: 1_280, height: 850 });
    const edge = 348;
    await window.page.mouse.move(edge, 500);
    await window.page.mouse.down();
    await window.page.mouse.move(edge - 46, 500, { steps: 4 });
    await window.page.mouse.up();
    await toTimeline();
  });
  afterEach(async function () {
    if (this.currentTest?.state !== 'failed') return;
    await workbench.picture(this.currentTest.title);
    if (await toList().isVisible()) await back(); // The next tests begin at the list.
  });
  after(async () => {
    await workbench?.stop();
  });

  const toTimeline = async () => {
    timeline = window.page
      .frameLocator('.pane-body iframe.webview, .webview-container iframe.webview, iframe.webview')
      .first()
      .frameLocator('#active-frame');
    composer = timeline.locator('branchline-composer textarea');
    await composer.waitFor();
  };
  const row = (title: string | RegExp) => timeline.locator('.row', { hasText: title });
  const write = async (text: string, shown = text.split('\n')[0] as string) => {
    await composer.fill(text);
    await composer.press('Enter');
    await row(shown).first().waitFor();
  };
  const paste = (name: string) =>
    composer.evaluate(
      (area, [name, base64]) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], name, { type: 'image/png' }));
        area.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
      },
      [name, pixel] as const,
    );
  const thumbnail = (name: string) => timeline.locator(`.composer .thumbnails img[alt="${name}"]`);
  const toList = () => timeline.getByRole('button', { name: 'Back to the timeline' });
  const back = () => toList().click();
  const inWorktree = (path: string) => join(workbench.folder, 'sample.worktrees', 'ui', 'one', path);

  it('queues while the worktree is prepared, and shows each step (requirements 1, 2, 13, 25)', async () => {
    await timeline.getByLabel('Branch', { exact: true }).selectOption('?');
    await timeline.getByLabel('Name of the new branch').fill('ui/one');
    await timeline.getByRole('button', { name: /Queue.*waits for the worktree/ }).waitFor();
    await write('write a.txt one');
    await showBranch(timeline, 'ui/one');
    await timeline.locator('.steps .now', { hasText: 'Running setup' }).waitFor();
    assert.equal(await timeline.locator('.steps .done').count(), 3);
    await row('write a.txt one').locator('.codicon-clock').waitFor();
    await row('write a.txt one').filter({ hasText: 'waits for the worktree' }).waitFor();
    await timeline.getByRole('button', { name: 'Show the setup log' }).click();
    await timeline.locator('.provisioning pre', { hasText: 'preparing' }).waitFor();
    await timeline.locator('.provisioning-head .dim', { hasText: /^[1-9]\d* s$/ }).waitFor(); // It counts.
    await write('say second');
  });

  it('follows the row through its states, and what it did, in its place (requirements 3, 12, 49)', async () => {
    writeFileSync(join(workbench.folder, 'setup'), '');
    await row('write a.txt one').filter({ hasText: '1 commit' }).filter({ hasText: '+1' }).waitFor();
    await row('say second').locator('.state-completed').waitFor();
    assert.match((await timeline.locator('.row-title').first().textContent()) ?? '', /write a.txt one/);
    assert.equal(await timeline.locator('.provisioning').count(), 0);
    await timeline.getByRole('button', { name: 'Start', exact: true }).waitFor();
  });

  it('reorders by keyboard, and runs in that order (invariant 7)', async () => {
    await write('wait ../hold');
    await row('wait ../hold').locator('.state-running').waitFor();
    await write('append ../order first');
    await write('append ../order second');
    await timeline.getByRole('button', { name: /Queue.*turns ahead/ }).waitFor();
    await row('append ../order second').locator('.row-title').focus();
    await window.page.keyboard.press('Alt+ArrowUp');
    await timeline.locator('.row').nth(3).filter({ hasText: 'second' }).waitFor();
    assert.equal(
      await timeline
        .locator('.row-title:focus')
        .textContent()
        .then((text) => text?.includes('second')),
      true,
      'the focus stays on the row',
    );
  });

  it('edits in place, and removes with an undo', async () => {
    await row('append ../order first').locator('.row-title').focus();
    await window.page.keyboard.press('F2');
    await timeline.getByRole('textbox', { name: /^Edit/ }).fill('append ../order edited');
    await window.page.keyboard.press('Enter');
    await row('append ../order edited').locator('.row-title').focus();
    await window.page.keyboard.press('Delete');
    await row('append ../order edited').waitFor({ state: 'detached' });
    await timeline.getByRole('button', { name: 'Undo' }).click();
    await row('append ../order edited').waitFor();
    writeFileSync(inWorktree('../hold'), '');
    await row('append ../order edited').locator('.state-completed').waitFor();
    assert.equal(readFileSync(inWorktree('../order'), 'utf8'), 'second\nedited\n');
  });

  it('keeps a draft for each branch with its images, the open conversation and its place over a reload', async () => {
    await write(`burst 400`);
    await row('burst 400').locator('.state-completed').waitFor();
    await composer.fill('a draft that is not sent');
    await paste('draft.png');
    await thumbnail('draft.png').waitFor();
    const list = timeline.locator('.list');
    const title = await row('burst 400').locator('.row-title').elementHandle();
    const place = await list.evaluate((element, title) => {
      element.scrollTop = 20;
      title?.dispatchEvent(new MouseEvent('click', { bubbles: true })); // In the same frame, and not scrolled into view first.
      return element.scrollTop;
    }, title);
    assert.ok(place > 0);
    await timeline.locator('.block-text', { hasText: 'line 399' }).waitFor();
    await composer.fill('a follow-up draft');
    await workbench.waitForFile('drafts.json', /a follow-up draft/);
    const before = workbench.extensionHost;
    await window.command('Developer: Reload Window');
    await workbench.untilNewHost(before);
    await window.showBranchline();
    await toTimeline();
    await timeline.locator('.block-text', { hasText: 'line 399' }).waitFor();
    assert.equal(await composer.inputValue(), 'a follow-up draft');
    await composer.fill('');
    await back();
    await row('burst 400').waitFor();
    assert.equal(await composer.inputValue(), 'a draft that is not sent');
    await thumbnail('draft.png').waitFor();
    await timeline.locator('.list').evaluate(
      (element, place) =>
        new Promise<void>((resolve, reject) => {
          // It takes some frames.
          const look = (frames: number) => {
            if (Math.abs(element.scrollTop - place) < 1) resolve();
            else if (frames > 300)
              reject(
                new Error(
                  `The list is at ${element.scrollTop} of ${element.scrollHeight - element.clientHeight}, not at ${place}.`,
                ),
              );
            else requestAnimationFrame(() => look(frames + 1));
          };
          look(0);
        }),
      place,
    );
    await composer.fill('');
    await timeline.getByRole('button', { name: 'Remove draft.png' }).click();
    await thumbnail('draft.png').waitFor({ state: 'detached' });
  });

  it('takes a pasted image to the agent, byte for byte (requirement 8)', async () => {
    await paste('shot.png');
    await thumbnail('shot.png').waitFor();
    await write('images');
    await row('images').locator('.state-completed').waitFor();
    await row('images').locator('.row-title').click();
    await timeline
      .locator('.block-text', { hasText: createHash('sha256').update(Buffer.from(pixel, 'base64')).digest('hex') })
      .waitFor();
    await timeline.locator('.block-prompt img').waitFor();
  });

  it('follows up in the open session (requirement 14, 18)', async () => {
    await composer.fill('say followed up');
    await composer.press('Enter');
    await timeline.locator('.block-text', { hasText: 'followed up' }).waitFor();
    assert.equal(await timeline.locator('.block-prompt').count(), 2);
    await back();
  });

  it('shows thoughts, plans, tools with their changes, usage and code', async () => {
    await write(
      [
        'say Work',
        'think Hmm',
        'plan',
        'edit b.txt new text',
        'usage',
        'say ```ts',
        'say const a = "x";',
        'say ```',
        'ask Run it',
      ].join('\n'),
      'say Work',
    );
    await row('say Work').locator('.row-title').click();
    await timeline.locator('.thought summary').click();
    await timeline.locator('.thought', { hasText: 'Hmm' }).waitFor();
    await timeline.locator('.plan .in_progress', { hasText: 'Change it' }).waitFor();
    await timeline.locator('.tool', { hasText: 'Edit b.txt' }).locator('summary').click();
    await timeline.locator('.diff .added', { hasText: 'new text' }).waitFor();
    await timeline.locator('.hljs-keyword', { hasText: 'const' }).waitFor();
    await timeline.locator('.block-usage', { hasText: '12,345' }).waitFor();
    await timeline.getByRole('button', { name: 'one/b.txt' }).click();
    await window.page.locator('.tab', { hasText: 'b.txt' }).waitFor();
  });

  it('follows the end while the reader is there, stays put when not, and says that there is more below', async () => {
    const scroller = timeline.locator('.conversation-scroller');
    const distance = () => scroller.evaluate((element) => element.scrollHeight - element.scrollTop - element.clientHeight);
    await scroller.evaluate((element) => element.scrollTo(0, element.scrollHeight)); // The reader looked around before.
    await timeline.locator('.new-below').waitFor({ state: 'detached' });
    await scroller.evaluate((element) => element.scrollTo(0, element.scrollTop - 200));
    await timeline.getByRole('button', { name: 'New below' }).click();
    await timeline.locator('.new-below').waitFor({ state: 'detached' });
    assert.ok((await distance()) < 24);
  });

  it('answers a permission request by keyboard, and all places follow', async () => {
    const allow = timeline.locator('.block-permission vscode-button', { hasText: 'Reject' });
    await allow.focus();
    await window.page.keyboard.press('Enter');
    await timeline.locator('.block-permission', { hasText: 'Answered: Reject' }).waitFor();
    await timeline.locator('.block-text', { hasText: 'answer: no' }).waitFor();
    await window
      .row(/needs your approval/)
      .first()
      .waitFor({ state: 'detached' });
    await back();
  });

  it('opens the changes of a turn side by side, and copies a conversation as Markdown', async () => {
    await row('write a.txt one').hover();
    await row('write a.txt one').getByRole('button', { name: 'Open changes' }).click();
    const diffs = window.page.locator('.multiDiffEntry, .multi-diff-editor');
    await diffs.filter({ hasText: 'a.txt' }).first().waitFor();
    await window.command('View: Close All Editors');
    await timeline.getByRole('button', { name: 'Open changes of the branch' }).click();
    await diffs.filter({ hasText: 'b.txt' }).first().waitFor();
    await window.command('View: Close All Editors');
    await row('write a.txt one').locator('.row-title').click();
    await timeline.getByRole('button', { name: 'Open changes of the session' }).click();
    await diffs.filter({ hasText: 'a.txt' }).first().waitFor();
    await window.command('View: Close All Editors');
    await timeline.getByRole('button', { name: 'Copy as Markdown' }).click();
    await timeline.getByRole('status').filter({ hasText: 'Copied' }).waitFor({ state: 'attached' });
    assert.match(await window.page.evaluate(() => navigator.clipboard.readText()), /# write a.txt one[\s\S]*## Prompt/);
    await timeline.getByRole('button', { name: 'Open transcript as a document' }).click();
    await window.page.locator('.tab', { hasText: 'write a txt one.md' }).waitFor();
    await window.command('View: Close All Editors');
    await back();
  });

  it('pauses and resumes, drags, sends now, and cancels', async () => {
    await timeline.getByRole('button', { name: 'Pause queue' }).click();
    await timeline.locator('.banner', { hasText: 'The queue is paused' }).waitFor();
    await write('hang forever');
    await write('append ../drag one');
    await write('append ../drag two');
    await row('append ../drag one').filter({ hasText: 'paused' }).waitFor();
    await row('append ../drag two').dragTo(row('append ../drag one'));
    await timeline.locator('.row').filter({ hasText: '../drag' }).first().filter({ hasText: 'two' }).waitFor();
    await timeline.locator('.banner').getByRole('button', { name: 'Resume' }).click();
    await row('hang forever').locator('.state-running').waitFor();
    await row('append ../drag one').hover();
    await row('append ../drag one')
      .getByRole('button', { name: /Send now/ })
      .click();
    await row('append ../drag two').locator('.state-completed').waitFor();
    assert.equal(readFileSync(inWorktree('../drag'), 'utf8'), 'one\ntwo\n');
    await row('hang forever').locator('.state-cancelled').waitFor();
    await write('hang again');
    await row('hang again').locator('.state-running').waitFor();
    await row('hang again').hover();
    await row('hang again').getByRole('button', { name: 'Cancel' }).click();
    await row('hang again').locator('.state-cancelled').waitFor();
  });

  it('says what failed and why, and retries (requirement 9)', async () => {
    await write('fail The model gave up');
    await row('fail The model gave up').locator('.problem', { hasText: 'The model gave up' }).waitFor();
    await timeline.locator('.banner.warning', { hasText: 'a turn failed' }).waitFor();
    await row('fail The model gave up').hover();
    await row('fail The model gave up').getByRole('button', { name: 'Retry' }).click();
    await timeline.locator('.banner.warning').waitFor();
    await row('fail The model gave up').hover();
    await row('fail The model gave up').getByRole('button', { name: 'Remove' }).click();
    await row('fail The model gave up').waitFor({ state: 'detached' });
    await timeline.locator('.banner').getByRole('button', { name: 'Resume' }).click();
    await timeline.locator('.banner').waitFor({ state: 'detached' });
  });

  it('shows a preparation that failed with its reason, and tries it again (requirement 22)', async () => {
    const place = join(workbench.folder, 'sample.worktrees', 'ui', 'taken');
    mkdirSync(place);
    writeFileSync(join(place, 'mine.txt'), 'x');
    await timeline.getByLabel('Branch', { exact: true }).selectOption('?');
    await timeline.getByLabel('Name of the new branch').fill('ui/taken');
    await composer.fill('say made at last');
    await composer.press('Enter');
    await showBranch(timeline, 'ui/taken');
    await timeline.locator('.provisioning.failed', { hasText: 'is there already and is not a worktree' }).waitFor();
    rmSync(place, { recursive: true });
    await timeline.getByRole('button', { name: 'Retry' }).click();
    await row('say made at last').locator('.state-completed').waitFor();
    await showBranch(timeline, 'ui/one');
  });

  it('shows a second window what there is, and why nothing can be written', async () => {
    const second = await workbench.open();
    const frame = await workbench.frameOf(second, 'sidebar');
    await frame.locator('.banner', { hasText: 'Another window has this workspace' }).waitFor();
    await showBranch(frame, 'All branches');
    await frame.locator('.row', { hasText: 'write a.txt one' }).waitFor();
    assert.equal(await frame.locator('branchline-composer textarea').getAttribute('readonly'), '');
    await write('say one\nwait ../looked-on\nsay seen by both', 'say one');
    await frame.locator('.row-title', { hasText: 'say one' }).click();
    await frame.locator('.block-text', { hasText: 'one' }).waitFor();
    writeFileSync(inWorktree('../looked-on'), '');
    await frame.locator('.block-text', { hasText: 'seen by both' }).waitFor();
    await second.page.close({ runBeforeUnload: true });
  });

  it('opens what is chosen in the tree, whatever branch it shows', async () => {
    await showBranch(timeline, 'All branches');
    await window.row(/say made at last, completed/).click();
    await timeline.locator('.detail h1', { hasText: 'say made at last' }).waitFor();
    await timeline.locator('.block-text', { hasText: 'made at last' }).waitFor();
    await back();
    await showBranch(timeline, 'ui/one');
  });

  it('keeps a refused text with the reason', async () => {
    await timeline.getByLabel('Branch', { exact: true }).selectOption('?');
    await timeline.getByLabel('Name of the new branch').fill('not..valid');
    await composer.fill('say never');
    await composer.press('Enter');
    await timeline.locator('.composer .problem', { hasText: 'contains ".."' }).waitFor();
    assert.equal(await composer.inputValue(), 'say never');
    await composer.fill('');
    await timeline.getByLabel('Branch', { exact: true }).selectOption('');
  });

  it('takes files that are dropped or picked, and lets them be removed one by one', async () => {
    await composer.evaluate((area) => {
      const data = new DataTransfer();
      for (const name of ['one.txt', 'two.txt']) data.items.add(new File(['text'], name, { type: 'text/plain' }));
      area.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
    });
    const chip = (name: string) => timeline.locator('.composer .chip', { hasText: name });
    await chip('two.txt').waitFor();
    await composer.evaluate((area) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(21 * 1024 * 1024)], 'large.bin'));
      area.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
    });
    await timeline
      .locator('.composer .problem', { hasText: '"large.bin" is larger than 20 MB. Attach a smaller file' })
      .waitFor();
    await timeline.getByRole('button', { name: 'Remove one.txt' }).click();
    await chip('one.txt').waitFor({ state: 'detached' });
    await timeline.getByRole('button', { name: 'Attach files' }).click();
    await window.quickInput.locator('.quick-input-title', { hasText: 'Attach Files' }).waitFor();
    const path = window.quickInput.locator('input').first();
    await window.quickInput.locator('.monaco-list-row', { hasText: 'README.md' }).waitFor(); // It writes the folder into the field when it has read it.
    await path.fill(join(workbench.repository, 'README.md'));
    await window.quickInput.getByRole('button', { name: 'Attach' }).click();
    await chip('README.md').waitFor();
    await write('say attached\nimages\nsay [a page](https://example.com/page)', 'say attached');
    await row('say attached').locator('.state-completed').waitFor();
    await row('say attached').locator('.row-title').click();
    await timeline.locator('.block-text', { hasText: 'link two.txt' }).filter({ hasText: 'link README.md' }).waitFor();
  });

  it('opens a link only after a question of VS Code, which names its target', async () => {
    await timeline.getByRole('link', { name: 'a page' }).click();
    const dialog = window.page.locator('.monaco-dialog-box', { hasText: 'https://example.com/page' });
    await dialog.waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await dialog.waitFor({ state: 'detached' });
    await back();
    assert.equal(window.page.context().pages().length, 1, 'nothing was opened');
  });

  it('completes file names after @, and brings back what was written before', async () => {
    await composer.pressSequentially('look at @READ');
    await timeline.getByRole('option', { name: 'README.md' }).waitFor();
    await composer.press('Enter');
    assert.equal(await composer.inputValue(), 'look at @README.md ');
    await composer.fill('');
    await composer.press('ArrowUp');
    assert.match(await composer.inputValue(), /^say attached/);
    await composer.fill('');
  });

  it('filters, and searches titles, prompts and transcripts', async () => {
    await showBranch(timeline, 'All branches');
    await timeline.getByRole('button', { name: 'Filter and search' }).click();
    await timeline.getByRole('searchbox').fill('line 399');
    await timeline.locator('.row').nth(1).waitFor({ state: 'detached' });
    await row('burst 400').waitFor();
    await timeline.getByRole('searchbox').fill('');
    await timeline.getByLabel('State', { exact: true }).selectOption('failed');
    await timeline.locator('.hint', { hasText: 'Nothing fits the filter' }).waitFor();
    await timeline.getByLabel('State', { exact: true }).selectOption('');
    await timeline.getByLabel('Kind', { exact: true }).first().selectOption('note');
    await timeline.locator('.hint', { hasText: 'Nothing fits the filter' }).waitFor();
    await timeline.getByLabel('Kind', { exact: true }).first().selectOption('');
    await timeline.getByLabel('Agent', { exact: true }).first().selectOption('shell');
    await timeline.locator('.hint', { hasText: 'Nothing fits the filter' }).waitFor();
    await timeline.getByLabel('Agent', { exact: true }).first().selectOption('');
    await row('burst 400').waitFor();
    await timeline.getByRole('button', { name: 'Filter and search' }).click();
    await showBranch(timeline, 'ui/one');
  });

  it('opens as an editor tab, wide, with list and conversation side by side', async () => {
    await timeline.getByRole('button', { name: 'Open in an editor tab' }).click();
    await window.page.locator('.tab', { hasText: 'Branchline Timeline' }).waitFor();
    const editor = await workbench.frameOf(window, 'editor');
    await editor.locator('.row-title', { hasText: 'say Work' }).click();
    await editor.locator('.detail').waitFor();
    assert.ok(await editor.locator('.overview').isVisible());
    await window.command('View: Close All Editors');
  });

  const violations = async (frame: Pick<FrameLocator, 'locator'>, where: string) => {
    const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    const found = await frame.locator('body').evaluate(async (_, text) => {
      const load = new Function(`${text}; return axe;`) as () => {
        run: (
          options: unknown,
        ) => Promise<{ violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[] }>;
      };
      const result = await load().run({ resultTypes: ['violations'] });
      return result.violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(
          ({ id, nodes }) =>
            `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 120)} ${failureSummary.slice(0, 300)}`).join(' | ')}`,
        );
    }, source);
    assert.deepEqual(found, [], where);
  };

  for (const theme of ['Default Light Modern', 'Default Dark Modern', 'Default High Contrast']) {
    it(`has nothing serious for axe-core in ${theme}, at 250 and 1,200 px`, async () => {
      await workbench.setTheme(window, theme);
      await timeline
        .locator(
          `body.${theme.includes('Contrast') ? 'vscode-high-contrast' : theme.includes('Dark') ? 'vscode-dark' : 'vscode-light'}`,
        )
        .waitFor();
      await timeline.locator('.row').first().waitFor();
      await violations(timeline, `${theme}, list`);
      await row('say Work').locator('.row-title').click();
      await timeline.locator('.block-tool').first().waitFor();
      await violations(timeline, `${theme}, conversation`);
      await back();
      await timeline.getByRole('button', { name: 'Open in an editor tab' }).click();
      const editor = await workbench.frameOf(window, 'editor');
      await window.page.setViewportSize({ width: 1_560, height: 850 });
      await editor.locator('.row-title', { hasText: 'say Work' }).click();
      await editor.locator('.block-tool').first().waitFor();
      assert.ok((await editor.locator('body').evaluate((body) => body.clientWidth)) >= 1_200);
      await violations(editor, `${theme}, wide`);
      await window.command('View: Close All Editors');
      await window.page.setViewportSize({ width: 1_280, height: 850 });
    });
  }

  it('fits at 200 % zoom: nothing is cut off sideways, list and composer are both in view', async () => {
    await window.page.setViewportSize({ width: 640, height: 500 });
    await timeline.getByLabel('Branch', { exact: true }).selectOption('?');
    await composer.scrollIntoViewIfNeeded();
    await timeline.getByRole('button', { name: /Queue.*waits for the worktree/ }).waitFor(); // The widest that there is.
    const facts = await timeline.locator('body').evaluate((body) => ({
      wide: body.scrollWidth - body.clientWidth,
      tall: body.scrollHeight - body.clientHeight,
      list: (body.querySelector('.list')?.clientHeight ?? 0) >= 60,
      cut: Array.from(
        body.querySelectorAll('.overview button, .overview vscode-button, .overview select, .overview input, .overview textarea'),
      )
        .filter((one) => one.getBoundingClientRect().right > body.clientWidth + 1)
        .map((one) => one.outerHTML),
    }));
    await window.page.setViewportSize({ width: 1_280, height: 850 });
    await timeline.getByLabel('Branch', { exact: true }).selectOption('');
    assert.deepEqual(facts, { wide: 0, tall: 0, list: true, cut: [] });
  });

  it(`lets nothing run, and stays alive, whatever an agent says: ${hostileOutputs.length} hostile outputs`, async () => {
    const orders = hostileOutputs.map((update) => `raw ${JSON.stringify(update)}`).join('\n');
    const path = join(workbench.folder, 'hostile.txt');
    writeFileSync(path, orders);
    await write(`say Hostile\nplay ${path}\nsay the end is reached`, 'say Hostile');
    await row('say Hostile').locator('.state-completed').waitFor();
    await row('say Hostile').locator('.row-title').click();
    await timeline.locator('.block-text', { hasText: 'the end is reached' }).waitFor();
    const facts = await timeline.locator('body').evaluate((body) => ({
      pwned: 'pwned' in globalThis,
      scripts: body.querySelectorAll(
        '.conversation-scroller script, .conversation-scroller iframe, .conversation-scroller svg, .conversation-scroller object, .conversation-scroller style',
      ).length,
      handlers: Array.from(body.querySelectorAll('.conversation-scroller *')).filter((one) =>
        one.getAttributeNames().some((name) => /^on/.test(name) || name === 'style'),
      ).length,
      links: Array.from(body.querySelectorAll('.conversation-scroller a'), (link) => link.getAttribute('href') ?? '').filter(
        (href) => /^(javascript|command|data|vbscript|file|vscode):/i.test(href.trim()),
      ),
      wide:
        (body.querySelector('.conversation-scroller')?.scrollWidth ?? 0) -
        (body.querySelector('.conversation-scroller')?.clientWidth ?? 0),
    }));
    assert.deepEqual(facts, { pwned: false, scripts: 0, handlers: 0, links: [], wide: 0 });
    await back();
    await write('say still alive');
    await row('say still alive').locator('.state-completed').waitFor();
    assert.ok(!existsSync(inWorktree('pwned')));
    assert.equal(git(workbench.repository, 'status', '--porcelain'), '');
  });
});
