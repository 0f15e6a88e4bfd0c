/** What agents, git and repositories say, in toasts, picks, status bar, tree and the rest: nothing of it is more than words (faults U1, U16). */
import assert from 'node:assert/strict';
import { makeCatalog } from '../../../src/agents/catalog.ts';
import { oneLine } from '../../../src/model/inertText.ts';
import { visible } from '../../../src/model/visibleText.ts';
import type { Engine } from '../../../src/sessions/engine.ts';
import { queueSnapshot } from '../../../src/sessions/nextTurn.ts';
import { type Change, emptyChange, Projection } from '../../../src/store/projection.ts';
import { drawRow, EventEmitter, forget, person, ran, type Shown, shown } from '../../support/fakeVscode.ts';
import { hostileTexts, realTexts } from '../../support/hostileTexts.ts';
import { branchRow, sessionRow, turnRow } from '../../support/stores.ts';

const surfaces = await import('../../../src/surfaces.ts');
const { Notifications } = await import('../../../src/notifications.ts');
const { StatusBar } = await import('../../../src/statusBar.ts');
const { BranchesView } = await import('../../../src/tree/branchesView.ts');

const ours = new Set(['git-branch', 'git-commit', 'warning', 'bell-dot', 'loading~spin', 'lock']);
const longest: Partial<Record<Shown['surface'], number>> = { message: 1_000, tooltip: 70_000, modal: 70_000 };
const severalLines: readonly Shown['surface'][] = ['tooltip', 'modal'];

/** What is wrong with what was shown. */
function wrong({ surface, text, links, icons, mnemonics }: Shown): string | undefined {
  if (links.length > 0) return `a link to ${links.join()}`;
  if (mnemonics.length > 0) return `a mnemonic ${mnemonics.join()}`;
  const strange = icons.filter((icon, index) => index > 0 || !ours.has(icon) || !text.startsWith(`$(${icon})`));
  if (strange.length > 0) return `an icon ${strange.join()}`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: none of these may be there
  if (/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/.test(text)) return 'a control character';
  if (text.includes('\n') && !severalLines.includes(surface)) return 'a line break';
  if (text.length > (longest[surface] ?? 400)) return `${text.length} characters`;
  if (!text.isWellFormed()) return 'half a character';
  const seen = text.replace(/[\u2060\ufeff]/g, '');
  if (visible(seen) !== seen) return 'what deceives';
  return undefined;
}

function assertInert(from: string): void {
  assert.ok(shown.length > 0);
  for (const one of shown) {
    const found = wrong(one);
    assert.equal(found, undefined, `${from.slice(0, 60)} in ${one.surface}: ${found}: ${JSON.stringify(one.text.slice(0, 200))}`);
  }
}

/** A queue in which every word that comes from outside is this one. */
function engineSaying(text: string) {
  const state = new Projection();
  const permission = {
    id: 'p',
    title: text,
    options: [
      { optionId: 'a', name: text, kind: 'allow_once' as const },
      { optionId: 'b', name: text, kind: 'reject_once' as const },
    ],
  };
  const error = { message: text };
  const path = `/${text}`;
  state.load({
    branch: [
      branchRow('failed', {
        name: text,
        repository: path,
        worktreeState: 'failed',
        worktreePath: path,
        worktreeError: error,
        base: text,
      }),
      branchRow('asks', { name: text, worktreeState: 'ready' }),
    ],
    session: [
      sessionRow('s', 'asks', { title: text, agent: text, retired: text }),
      sessionRow('t', 'failed', { title: text, agent: text }),
    ],
    turn: [
      turnRow('t1', 's', 'asks', { state: 'running', prompt: text, permission, startedAt: 1 }),
      turnRow('t2', 's', 'asks', {
        prompt: text,
        position: 2,
        attachments: [{ name: text, mimeType: 'x/y', sha256: '0', size: 1 }],
      }),
      turnRow('t3', 't', 'failed', { state: 'failed', prompt: text, error, startedAt: 1, endedAt: 2 }),
    ],
  });
  const changed = new EventEmitter<Change>();
  const engine = {
    state,
    isOwner: true,
    readOnlyReason: text,
    ready: Promise.resolve(),
    opened: Promise.resolve(),
    onDidChange: changed.event,
    catalog: makeCatalog({}, 'shellAgent.js'),
    queueSnapshot: () =>
      queueSnapshot(state, { catalog: makeCatalog({}, 'shellAgent.js'), limit: 4, trusted: true, inFlight: [], now: Date.now() }),
  };
  return { state, engine: engine as unknown as Engine, changed };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('Words from outside', () => {
  beforeEach(forget);
  after(forget);

  it('are inert in everything that shows words', async () => {
    for (const text of hostileTexts) {
      forget();
      await surfaces.tell('error', text, text, { label: text, value: text });
      await surfaces.confirm(text, [text, text], text);
      await surfaces.pick([text, { label: text, icon: 'git-branch', description: text, detail: text, value: 1 }], {
        title: text,
        placeHolder: text,
      });
      await surfaces.pickSeveral([{ label: text, value: 1 }], { title: text, placeHolder: text });
      await surfaces.askForLine({ title: text, placeHolder: text, prompt: text, problem: () => text });
      void surfaces.askForText({ title: text, placeHolder: text, prompt: text, value: text, problem: () => text });
      surfaces.openTerminal(text, '/');
      await surfaces.showChanges(text, []);
      drawRow(
        surfaces.treeRow({
          id: 'x',
          label: text,
          description: text,
          icon: 'x',
          tooltip: [text, text],
          accessibleLabel: text,
          collapsible: 'none',
        }),
      );
      assertInert(text);
    }
  });

  it('are inert in toasts about turns and worktrees', async () => {
    for (const text of hostileTexts) {
      forget();
      const { state, engine, changed } = engineSaying(text);
      const before = [...state.turns()];
      const quiet = new Projection();
      quiet.load({
        branch: [...state.branches()].map((branch) => ({ ...branch, worktreeState: 'provisioning' as const })),
        session: [...state.sessions()],
        turn: before.map((turn) => ({ ...turn, state: 'running' as const, permission: null })),
      });
      const engineNow = engine as unknown as { state: Projection };
      engineNow.state = quiet;
      const notifications = new Notifications(engine, () => 'all');
      await settled();
      engineNow.state = state;
      changed.fire({ ...emptyChange(), turns: new Set(before.map(({ id }) => id)), branches: new Set(['failed']) });
      await settled();
      notifications.dispose();
      assert.deepEqual(
        shown.filter(({ surface }) => surface === 'message').length,
        3,
        'a permission, a failed turn, a failed worktree',
      );
      assertInert(text);
    }
  });

  it('are inert in the status bar, the tree and its message', async () => {
    for (const text of hostileTexts) {
      forget();
      const { engine } = engineSaying(text);
      const status = new StatusBar(engine);
      const tree = new BranchesView(engine);
      await settled();
      (engine as unknown as { readOnlyReason: undefined }).readOnlyReason = undefined;
      new StatusBar(engine).dispose();
      const again = new StatusBar(engine);
      await settled();
      for (const root of await tree.getChildren()) {
        drawRow(tree.getTreeItem(root));
        for (const branch of await tree.getChildren(root)) {
          drawRow(tree.getTreeItem(branch));
          for (const row of await tree.getChildren(branch)) drawRow(tree.getTreeItem(row));
        }
      }
      await surfaces.tell('information', text);
      for (const one of [status, again, tree]) one.dispose();
      assert.ok(shown.some(({ surface }) => surface === 'row'));
      assertInert(text);
    }
  });

  it('of real languages are shown as they were written', async () => {
    for (const [language, text] of Object.entries(realTexts)) {
      forget();
      await surfaces.tell('error', text);
      drawRow(
        surfaces.treeRow({
          id: 'x',
          label: text,
          description: '',
          icon: 'x',
          tooltip: [text],
          accessibleLabel: text,
          collapsible: 'none',
        }),
      );
      surfaces.openTerminal(text, '/');
      for (const one of shown.filter(({ text: said }) => said !== ''))
        assert.equal(one.text.replace(/[\u2060\ufeff]/g, ''), visible(oneLine(text)), `${language} in ${one.surface}`);
    }
  });

  it('answer the request that was asked, also where two options have one name', async () => {
    const { state, engine, changed } = engineSaying('Allow');
    const asking = state.turn('t1');
    const quiet = new Projection();
    quiet.load({
      branch: [...state.branches()],
      session: [...state.sessions()],
      turn: [{ ...asking, permission: null } as never],
    });
    const engineNow = engine as unknown as { state: Projection };
    engineNow.state = quiet;
    const notifications = new Notifications(engine, () => 'attention');
    await settled();
    engineNow.state = state;
    person.press = 1;
    changed.fire({ ...emptyChange(), turns: new Set(['t1']) });
    await settled();
    notifications.dispose();
    assert.deepEqual(ran, [
      { command: 'branchline.respondToPermission', args: [{ permissionId: 'p', optionId: 'b', fromToast: true }] },
    ]);
  });
});
