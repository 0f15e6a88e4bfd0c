import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Frame } from 'playwright-core';
import { rounds, seed } from '../faults/rounds.ts';
import { Harms } from '../support/report.ts';
import { randomFrom } from '../support/simulatedDisk.ts';
import { showBranch, type Window, Workbench } from '../support/workbench.ts';

describe('The extension host of a real VS Code, killed again and again', function () {
  this.timeout(0);
  let workbench: Workbench;
  let window: Window;
  before(async () => {
    workbench = await Workbench.start({
      'branchline.defaultAgent': 'test',
      'branchline.permissions': 'allowAll',
      'branchline.notifications': 'none',
      'branchline.queue.onFailure': 'continue',
    });
    window = await workbench.open();
    await window.page.setViewportSize({ width: 1_280, height: 1_000 });
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await workbench.picture(this.currentTest.title);
  });
  after(() => workbench?.stop());

  it('loses no prompt that a person has sent, runs each once, and goes on by itself (invariants 1, 2, 8)', async () => {
    const random = randomFrom(seed);
    const counts = join(workbench.folder, 'counts');
    mkdirSync(counts);
    const tally = { rounds: 0, sent: 0, unanswered: 0, interrupted: 0 };
    const harms = new Harms('lost', 'doubled');
    const sent: string[] = [];
    let timeline: Frame = await workbench.frameOf(window, 'sidebar');
    const composer = () => timeline.locator('branchline-composer textarea');
    const row = (name: string) => timeline.locator('.row', { hasText: `say ${name}` });
    const write = async (name: string) => {
      await composer().fill(`say ${name}\ncount ${join(counts, name)}\nburst 20`);
      await composer().press('Enter');
    };
    await timeline.getByLabel('Branch', { exact: true }).selectOption('?');
    await timeline.getByLabel('Name of the new branch').fill('kills');
    await write('first');
    await row('first').waitFor();
    await showBranch(timeline, 'kills');
    for (let n = 0; n < rounds(1); n += 1) {
      for (const name of [`${n}-a.`, `${n}-b.`]) {
        await write(name);
        await row(name).waitFor(); // Shown is accepted.
        sent.push(name);
      }
      const last = `${n}-last.`;
      await write(last);
      const host = workbench.extensionHost;
      await new Promise<void>((killed) => {
        setTimeout(() => {
          process.kill(host ?? 0, 'SIGKILL');
          killed();
        }, random() * 600);
      });
      await workbench.untilNewHost(host); // VS Code starts it by itself.
      timeline = await workbench.frameOf(window, 'sidebar');
      await row(`${n}-b.`).waitFor();
      // What was on its way is in the queue, or still in the composer: never in neither.
      await row(last).or(timeline.locator('branchline-composer')).first().waitFor();
      if (await row(last).isVisible()) sent.push(last);
      else {
        harms.expect(
          'lost',
          (await composer().inputValue()).startsWith(`say ${last}`),
          `${last} is neither in the queue nor in the composer`,
        );
        tally.unanswered += 1;
      }
      await composer().fill('');
      tally.rounds += 1;
      // After some kills VS Code would ask before it starts another one; a new window counts anew.
      await window.page.reload();
      await window.showBranchline();
      timeline = await workbench.frameOf(window, 'sidebar');
      await row(`${n}-b.`).waitFor();
    }
    for (const earlier = timeline.getByRole('button', { name: /Show \d+ earlier/ }); await earlier.isVisible(); ) {
      const shown = await timeline.locator('.row').count();
      await earlier.click();
      await timeline.locator('.row').nth(shown).waitFor({ state: 'attached' });
    }
    for (const name of sent) {
      await timeline
        .locator('.row', { hasText: `say ${name}` })
        .locator('.state-completed, .state-interrupted')
        .waitFor();
      const interrupted = await row(name).locator('.state-interrupted').isVisible();
      const times = existsSync(join(counts, name)) ? readFileSync(join(counts, name), 'utf8').split('\n').length - 1 : 0;
      harms.expect('doubled', times <= 1, `${name} ran ${times} times`);
      harms.expect('lost', times > 0 || interrupted, `${name} never ran`);
      tally.sent += 1;
      tally.interrupted += Number(interrupted);
    }
    const { rounds: kills, ...others } = tally;
    harms.report('kills in a real VS Code', { rounds: kills, ...others });
  });
});
