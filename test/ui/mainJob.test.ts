import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { untilSeen } from '../support/patience.ts';
import { git } from '../support/repositories.ts';
import { type Window, Workbench } from '../support/workbench.ts';

describe('The sidebar', () => {
  let workbench: Workbench;
  let window: Window;
  before(async () => {
    workbench = await Workbench.start({ 'branchline.worktrees.setup': ['while ! test -e ../../../setup; do sleep 0.05; done'] });
    window = await workbench.open();
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await workbench.picture(this.currentTest.title);
  });
  after(async () => {
    await workbench?.stop();
  });

  const queueOn = async (branch: string, agent: string, prompt: string) => {
    const asked = window.quickInput.locator('.quick-input-title', { hasText: 'kind' });
    // A workbench whose extension host has just come up may drop a click.
    await untilSeen(async () => {
      await window.row(`Branch ${branch}`).hover();
      await window.row(`Branch ${branch}`).locator('.action-label[aria-label^="Queue Session"]').click();
      return asked.waitFor({ timeout: 10_000 }).then(
        () => true,
        () => false,
      );
    }, 'it is asked what kind of session it is');
    await window.pick('kind', 'Note');
    await window.pick('agent', agent);
    await window.type(`Queue Session on ${branch}`, prompt);
  };

  it('starts with one button that leads to queued work on a new branch (requirements 1, 2, 25)', async () => {
    await window.page.locator('.monaco-button', { hasText: 'Queue Session' }).click();
    await window.pick('branch', 'New branch…');
    await window.type('new branch', 'ui/one');
    await window.pick('base', 'HEAD');
    await window.pick('kind', 'Commit');
    await window.pick('agent', 'Shell');
    await window.type('Queue Session on ui/one', 'echo 1 > one.txt');
    await window.row(/Commit echo 1 > one.txt, waits for the worktree/).waitFor();
    await window.row('Running setup (4 of 4)').first().waitFor();
    assert.equal(
      await window
        .row(/^Commit/)
        .locator('.codicon-clock, .codicon-history')
        .count(),
      1,
    );
    await window.status.filter({ hasText: 'ui/one: Running setup (4 of 4) · 1 queued' }).waitFor();
  });

  it('runs it when the worktree is ready', async () => {
    writeFileSync(join(workbench.folder, 'setup'), '');
    await window.row(/Commit echo 1 > one.txt, completed/).waitFor();
    await window.status.waitFor({ state: 'hidden' });
    assert.equal(git(workbench.repository, 'log', '--format=%s', 'main..ui/one'), 'echo 1 > one.txt');
  });

  it('asks for permission in the tree, the status bar and a notification, and takes the answer', async () => {
    await queueOn('ui/one', 'Test Agent', 'ask Run the deployment');
    await window
      .row(/needs your approval/)
      .first()
      .waitFor();
    await window.status.filter({ hasText: 'Approval needed' }).waitFor();
    await window.toast('Run the deployment').getByRole('button', { name: 'Allow', exact: true }).click();
    await window.row(/Note ask Run the deployment, completed/).waitFor();
  });

  it("shows an agent's words as words: nothing in a toast is a link, and what hides is seen (faults U1, U16)", async () => {
    await queueOn('ui/one', 'Test Agent', 'ask [Details](command:workbench.action.openSettings) of \u202egnp.exe for علی‌رضا');
    const toast = window.toast('Details');
    await toast.filter({ hasText: '⟨U+202E⟩gnp.exe for علی‌رضا' }).waitFor();
    assert.equal(await toast.locator('.notification-list-item-message a').count(), 0);
    await toast.getByRole('button', { name: 'Allow', exact: true }).click();
    await window.row(/Note ask \[Details\].*completed/).waitFor();
  });

  it('keeps every line break of a prompt, pasted into a box or edited from the tree (fault U3)', async () => {
    const lines = 'say one\nsay two\n\nsay three';
    await queueOn('ui/one', 'Test Agent', 'wait ../lines');
    await window.row(/Note wait ..\/lines, running/).waitFor();
    await window.page.evaluate((text) => navigator.clipboard.writeText(text), lines);
    await window.row('Branch ui/one').hover();
    await window.row('Branch ui/one').locator('.action-label[aria-label^="Queue Session"]').click();
    await window.pick('kind', 'Note');
    await window.pick('agent', 'Test Agent');
    await window.quickInput.locator('.quick-input-title', { hasText: 'Queue Session on ui/one' }).waitFor();
    await window.page.keyboard.press('Control+V');
    await window.page.keyboard.press('Enter');
    const edit = async () => {
      await window.row(/Note say one, 1 ahead/).click();
      await window.page.keyboard.press('F2');
      const editor = (await workbench.frameOf(window, 'sidebar')).getByRole('textbox', { name: /^Edit/ });
      await editor.waitFor();
      return editor;
    };
    const editor = await edit();
    assert.equal(await editor.inputValue(), lines);
    await editor.press('Control+End');
    await window.page.keyboard.press('Shift+Enter');
    await window.page.keyboard.type('say four');
    await window.page.keyboard.press('Enter');
    await editor.waitFor({ state: 'detached' });
    assert.equal(await (await edit()).inputValue(), `${lines}\nsay four`);
    await window.page.keyboard.press('Escape');
    writeFileSync(join(workbench.folder, 'sample.worktrees', 'ui', 'lines'), '');
    await window.row(/Note say one, completed/).waitFor();
  });

  it('moves nothing when something else is in view, and says where it was queued (fault U18)', async () => {
    await window.page.locator('.activitybar a[aria-label^="Explorer"]').click();
    await window.page.keyboard.press('F1');
    await window.page.keyboard.type('Branchline: Queue Session');
    await window.page.keyboard.press('Enter');
    await window.pick('branch', 'ui/one');
    await window.pick('kind', 'Note');
    await window.pick('agent', 'Shell');
    await window.type('Queue Session on ui/one', 'echo from afar');
    const toast = window.toast('Queued on ui/one');
    await toast.waitFor();
    await window.page.locator('.composite.title', { hasText: 'Explorer' }).waitFor();
    await toast.getByRole('button', { name: 'Show' }).click();
    await window.row(/Note echo from afar, completed/).waitFor();
  });

  it('reorders by keyboard, and runs in the order shown (requirements 17, 19)', async () => {
    await queueOn('ui/one', 'Test Agent', 'wait ../go');
    await window.row(/Note wait ..\/go, running/).waitFor();
    await queueOn('ui/one', 'Shell', 'echo first >> ../order');
    await queueOn('ui/one', 'Shell', 'echo second >> ../order');
    await window.row(/Note echo second/).click();
    await window.row(/Note echo second.*1 ahead|Note echo second.*place/).waitFor();
    await window.page.keyboard.press('Alt+ArrowUp');
    await window.row(/Note echo second >> ..\/order, 1 ahead/).waitFor();
    assert.match(
      (await window
        .row(/Note echo (first|second)/)
        .nth(0)
        .getAttribute('aria-label')) ?? '',
      /second/,
    );
  });

  it('removes with an undo', async () => {
    await window.row(/Note echo first/).click();
    await window.page.keyboard.press('Delete');
    await window.row(/Note echo first/).waitFor({ state: 'detached' });
    await window.toast('Removed').getByRole('button', { name: 'Undo' }).click();
    await window.row(/Note echo first >> ..\/order, 2 ahead/).waitFor();
  });

  it('goes on over a reload of the window (invariant 8)', async () => {
    const before = workbench.extensionHost;
    await window.page.reload();
    await workbench.untilNewHost(before);
    await window.showBranchline();
    await window.row(/Note wait ..\/go, running/).waitFor();
    writeFileSync(join(workbench.folder, 'sample.worktrees', 'ui', 'go'), '');
    await window.row(/Note echo first >> ..\/order, completed/).waitFor();
    assert.equal(readFileSync(join(workbench.folder, 'sample.worktrees', 'ui', 'order'), 'utf8'), 'second\nfirst\n');
  });

  it('asks again in a toast after a reload (fault U12)', async () => {
    await queueOn('ui/one', 'Test Agent', 'ask Deploy once more');
    await window.toast('Deploy once more').waitFor();
    const before = workbench.extensionHost;
    await window.page.reload();
    await workbench.untilNewHost(before);
    await window.showBranchline();
    // A window that comes up shows what is told then in its list of notifications.
    const told = window.page.locator('.notification-list-item', { hasText: 'Deploy once more' }).first();
    await window.page.locator('.statusbar-item[id="status.notifications"] .codicon-bell-dot').waitFor();
    if (!(await told.isVisible())) await window.page.locator('.statusbar-item[id="status.notifications"]').click();
    await told.hover();
    await told.getByRole('button', { name: 'Allow', exact: true }).click();
    await window.row(/Note ask Deploy once more, completed/).waitFor();
  });

  it('goes on after the extension host was killed', async () => {
    const before = workbench.extensionHost as number;
    await queueOn('ui/one', 'Test Agent', 'wait ../killed');
    await window.row(/Note wait ..\/killed, running/).waitFor();
    process.kill(before, 'SIGKILL');
    writeFileSync(join(workbench.folder, 'sample.worktrees', 'ui', 'killed'), '');
    await window.row(/Note wait ..\/killed, completed/).waitFor(); // A busy VS Code tries the old host again, at intervals, first.
    assert.notEqual(workbench.extensionHost, before);
  });

  it('pauses after a failure, says so everywhere, and goes on by retry or resume (requirement 9)', async () => {
    await queueOn('ui/one', 'Test Agent', 'fail The model gave up');
    await window.row(/Note fail The model gave up, failed/).waitFor();
    await window.status.filter({ hasText: 'ui/one' }).waitFor();
    await window.row(/Branch ui\/one, paused: a turn failed/).waitFor();
    await window.toast('The model gave up').getByRole('button', { name: 'Retry' }).click();
    await window.toast('The model gave up').first().waitFor();
    await window.row('Branch ui/one').hover();
    await window.row('Branch ui/one').locator('.action-label[aria-label^="Resume Queue"]').click();
    await window.row(/Branch ui\/one, paused/).waitFor({ state: 'detached' });
  });

  it('says exactly what would be lost before it removes a branch (requirement 44)', async () => {
    writeFileSync(join(workbench.folder, 'sample.worktrees', 'ui', 'one', 'unsaved.txt'), 'work');
    await window.row('Branch ui/one').click({ button: 'right' });
    await window.page.getByRole('menuitem', { name: 'Remove Branch from Branchline…' }).hover();
    await window.page.keyboard.press('Enter');
    const dialog = window.page.locator('.monaco-dialog-box');
    await dialog.filter({ hasText: '1 file has uncommitted changes, which would be lost (unsaved.txt)' }).waitFor();
    await dialog.getByRole('button', { name: 'Remove and Lose Work' }).click();
    await window.page.locator('.monaco-button', { hasText: 'Queue Session' }).waitFor();
    assert.ok(git(workbench.repository, 'branch', '--list', 'ui/one'));
  });

  it('shows a second window the queue, why it cannot change it, and lets it take over (requirement 52)', async () => {
    const second = await workbench.open();
    await readOnlyNote(second).waitFor();
    await window.page.close({ runBeforeUnload: true });
    await second.page.locator('.monaco-button', { hasText: 'Queue Session' }).waitFor();
    await readOnlyNote(second).waitFor({ state: 'hidden' });
    window = second;
  });

  it('works in the window that a person uses: taken over by a button, and from a window that went without goodbye (fault W6)', async () => {
    const second = await workbench.open();
    await readOnlyNote(second).waitFor();
    const useHere = async (one: Window) =>
      (await workbench.frameOf(one, 'sidebar')).locator('.banner').getByRole('button', { name: 'Use here' }).click();
    await useHere(second);
    await readOnlyNote(second).waitFor({ state: 'hidden' });
    await readOnlyNote(window).waitFor();
    await useHere(window);
    await readOnlyNote(window).waitFor({ state: 'hidden' });
    await readOnlyNote(second).waitFor();
    const before = workbench.extensionHost;
    await window.page.close(); // Its extension host is kept for it by VS Code.
    window = second;
    await second.page.bringToFront();
    await readOnlyNote(second).waitFor({ state: 'hidden' });
    assert.equal(workbench.extensionHost, before, 'no host has ended');
    await second.page.locator('.monaco-button', { hasText: 'Queue Session' }).click();
    await second.pick('branch', 'New branch…');
    await second.type('new branch', 'ui/two');
    await second.pick('base', 'HEAD');
    await second.pick('kind', 'Note');
    await second.pick('agent', 'Test Agent');
    await second.type('Queue Session on ui/two', 'say typed at once');
    await second.row(/Note say typed at once, completed/).waitFor();
  });
});

/** What a window says that only shows the queue. */
const readOnlyNote = (window: Window) =>
  window.page.locator('.pane-body', { hasText: /Another window has (this workspace|taken over)/ }).first();

describe('A first start without an agent', () => {
  let workbench: Workbench;
  before(async () => {
    workbench = await Workbench.start({ 'branchline.agents': {} });
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await workbench.picture(this.currentTest.title);
  });
  after(async () => {
    await workbench?.stop();
  });

  it('asks once who should do it, and never takes words for a script by itself (fault U2)', async () => {
    const window = await workbench.open();
    const timeline = await workbench.frameOf(window, 'sidebar');
    const composer = timeline.locator('branchline-composer textarea');
    await composer.fill('touch up the wording of README.md');
    await composer.press('Enter');
    await timeline.locator('.composer .problem', { hasText: 'Choose who should do it' }).waitFor();
    assert.equal(await composer.inputValue(), 'touch up the wording of README.md');
    await window.page.locator('.monaco-button', { hasText: 'Queue Session' }).click();
    await window.pick('branch', 'New branch named from the prompt');
    await window.pick('kind', 'Note');
    await window.quickInput.locator('.monaco-list-row', { hasText: 'Set Up an Agent…' }).waitFor();
    await window.page.keyboard.press('Escape');
    await timeline.getByLabel('Agent').selectOption({ label: 'Shell' });
    await composer.fill('echo chosen');
    await composer.press('Enter');
    await timeline.locator('.row', { hasText: 'echo chosen' }).locator('.state-completed').waitFor();
    await composer.fill('echo again');
    await composer.press('Enter');
    await timeline.locator('.row', { hasText: 'echo again' }).locator('.state-completed').waitFor();
    await window.page.reload();
    await window.showBranchline();
    const again = await workbench.frameOf(window, 'sidebar');
    await again.locator('branchline-composer textarea').waitFor();
    assert.equal(await again.getByLabel('Agent').count(), 0, 'it is not asked any more');
  });
});

describe('Where nothing can be queued', () => {
  let workbench: Workbench;
  before(async () => {
    workbench = await Workbench.start({}, { workspaceTrust: true });
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await workbench.picture(this.currentTest.title);
  });
  after(async () => {
    await workbench?.stop();
  });

  it('says what to do without a folder, and without a repository, with no error', async () => {
    const none = await workbench.open(null);
    await none.page.locator('.pane-body', { hasText: 'Open a folder that is a git repository' }).first().waitFor();
    assert.equal(await none.page.locator('.notification-list-item .codicon-error').count(), 0);
    await none.page.close();
  });

  it('sees at once that an open folder becomes a repository (fault U13)', async () => {
    const folder = join(workbench.folder, 'plain');
    mkdirSync(folder);
    const plain = await workbench.open(folder);
    const none = plain.page.locator('.pane-body', { hasText: 'not a git repository' }).first();
    await none.waitFor();
    git(folder, 'init', '--quiet');
    await none.waitFor({ state: 'hidden' });
    await plain.page.close();
  });

  it('queues in an untrusted workspace, runs nothing, and says why', async () => {
    const window = await workbench.open();
    await window.page.locator('.pane-body', { hasText: 'This workspace is not trusted' }).first().waitFor();
    const timeline = await workbench.frameOf(window, 'sidebar');
    await timeline
      .locator('.banner', { hasText: 'nothing runs until you trust it' })
      .getByRole('button', { name: 'Manage trust' })
      .waitFor();
    await timeline.getByRole('button', { name: 'Queue (waits: the workspace is not trusted)' }).waitFor();
    await window.page.locator('.monaco-button', { hasText: 'Queue Session' }).click();
    await window.pick('branch', 'New branch named from the prompt');
    await window.pick('kind', 'Note');
    await window.pick('agent', 'Shell');
    await window.type('Queue Session', 'echo never');
    await window.row(/Note echo never, waits: workspace is not trusted/).waitFor();
    assert.equal(git(workbench.repository, 'worktree', 'list').split('\n').length, 1);
  });
});
