/** Toasts for what needs the user or has ended, as the setting says. Each offers the next steps. */
import * as vscode from 'vscode';
import { shortened } from './model/inertText.ts';
import type { Turn } from './model/types.ts';
import type { Engine } from './sessions/engine.ts';
import { heldInWords } from './sessions/words.ts';
import type { Change } from './store/projection.ts';
import { tell } from './surfaces.ts';

/** What is said behind a name or a reason has to stay in view, however long those are. */
const longestName = 100;
const longestReason = 500;

type Level = 'all' | 'attention' | 'none';

/** What was last seen of a thing, so that each news is told once. */
export class Notifications implements vscode.Disposable {
  readonly #engine: Engine;
  readonly #level: () => Level;
  readonly #turns = new Map<string, { state: string; permission: string | undefined; held: boolean }>();
  readonly #worktrees = new Map<string, string>();
  readonly #listener: { dispose(): void };
  #started = false;
  #wasOwner = false;

  constructor(engine: Engine, level: () => Level) {
    this.#engine = engine;
    this.#level = level;
    this.#listener = engine.onDidChange((change) => this.#look(change));
    void engine.ready
      .catch(() => undefined)
      .then(() => {
        for (const turn of engine.state.turns()) this.#remember(turn);
        for (const branch of engine.state.branches()) this.#worktrees.set(branch.id, branch.worktreeState);
        this.#started = true;
        this.#askAgain();
      });
  }

  #remember(turn: Turn): void {
    this.#turns.set(turn.id, { state: turn.state, permission: turn.permission?.id, held: turn.commit?.state === 'held' });
  }

  #look(change: Change): void {
    if (!this.#started) return;
    this.#askAgain();
    if (!this.#engine.isOwner) return;
    for (const id of change.turns) {
      const turn = this.#engine.state.turn(id);
      const before = this.#turns.get(id);
      if (!turn) {
        this.#turns.delete(id);
        continue;
      }
      this.#remember(turn);
      if (turn.permission && turn.permission.id !== before?.permission) void this.#askFor(turn);
      if (before && turn.commit?.state === 'held' && before.held !== true) void this.#held(turn);
      else if (before && turn.state !== before.state) void this.#ended(turn);
    }
    for (const id of change.branches) {
      const branch = this.#engine.state.branch(id);
      if (!branch) continue;
      const before = this.#worktrees.get(id);
      this.#worktrees.set(id, branch.worktreeState);
      if (branch.worktreeState === 'failed' && before !== 'failed' && this.#level() !== 'none')
        void this.#worktreeFailed(branch.id, branch.name, branch.worktreeError?.message ?? '');
    }
  }

  /** What waits for an answer is asked in each window that comes to own the queue, not only in the one that heard it. */
  #askAgain(): void {
    const { isOwner, state } = this.#engine;
    if (isOwner && !this.#wasOwner)
      for (const turn of state.asking()) {
        this.#remember(turn);
        void this.#askFor(turn);
      }
    this.#wasOwner = isOwner;
  }

  async #askFor(turn: Turn): Promise<void> {
    if (this.#level() === 'none' || !turn.permission) return;
    const { permission } = turn;
    const choices = permission.options.slice(0, 4).map((option) => ({ label: option.name, value: option }));
    const option = await tell('warning', `${this.#nameOf(turn)} asks: ${permission.title}`, ...choices);
    if (option)
      await vscode.commands.executeCommand('branchline.respondToPermission', {
        permissionId: permission.id,
        optionId: option.optionId,
        fromToast: true,
      });
  }

  async #ended(turn: Turn): Promise<void> {
    const level = this.#level();
    const name = this.#nameOf(turn);
    if ((turn.state === 'failed' || turn.state === 'interrupted') && level !== 'none') {
      const paused =
        this.#engine.state.branch(turn.branchId)?.paused === 'failure' && this.#engine.state.line(turn.branchId).length > 0;
      const next = paused ? ' The queue of this branch is paused.' : '';
      const actions = ['Retry', ...(paused ? ['Skip'] : []), 'Show'];
      const chosen = await tell(
        'error',
        `${name} ${turn.state}: ${shortened(turn.error?.message ?? '', longestReason)}${next}`,
        ...actions,
      );
      if (chosen === 'Retry') await vscode.commands.executeCommand('branchline.retryTurn', { turnId: turn.id, fromToast: true });
      if (chosen === 'Skip')
        await vscode.commands.executeCommand('branchline.resumeQueue', { branchId: turn.branchId, fromToast: true });
      if (chosen === 'Show')
        await vscode.commands.executeCommand('branchline.openTimeline', { turnId: turn.id, fromToast: true });
    } else if (turn.state === 'completed' && level === 'all') {
      const chosen = await tell('information', `${name} is done.`, 'Show Changes', 'Show');
      if (chosen === 'Show Changes')
        await vscode.commands.executeCommand('branchline.openChanges', { turnId: turn.id, fromToast: true });
      if (chosen === 'Show')
        await vscode.commands.executeCommand('branchline.openTimeline', { turnId: turn.id, fromToast: true });
    }
  }

  async #held(turn: Turn): Promise<void> {
    if (this.#level() === 'none') return;
    const branch = this.#engine.state.branch(turn.branchId)?.name ?? '';
    const why = shortened(heldInWords(turn.commit, branch) ?? '', longestReason);
    const chosen = await tell('warning', `${this.#nameOf(turn)}: ${why}`, 'Commit Again', 'Let the Agent Mend It', 'Show');
    const commands = { 'Commit Again': 'commitTurn', 'Let the Agent Mend It': 'letAgentMend', Show: 'openTimeline' } as const;
    const command = commands[chosen as keyof typeof commands];
    if (command) await vscode.commands.executeCommand(`branchline.${command}`, { turnId: turn.id, fromToast: true });
  }

  async #worktreeFailed(branchId: string, name: string, message: string): Promise<void> {
    const chosen = await tell('error', `Preparing "${name}" failed: ${message}`, 'Retry', 'Show Setup Log');
    if (chosen === 'Retry') await vscode.commands.executeCommand('branchline.retryProvisioning', { branchId, fromToast: true });
    if (chosen === 'Show Setup Log')
      await vscode.commands.executeCommand('branchline.showSetupLog', { branchId, fromToast: true });
  }

  #nameOf(turn: Turn): string {
    const session = this.#engine.state.session(turn.sessionId);
    const branch = this.#engine.state.branch(turn.branchId);
    return `"${shortened(session?.title ?? 'Turn', longestName)}" on ${shortened(branch?.name ?? 'a branch', longestName)}`;
  }

  dispose(): void {
    this.#listener.dispose();
  }
}
