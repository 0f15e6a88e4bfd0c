/** Commands on branches, their queues and their worktrees. */
import { existsSync } from 'node:fs';
import * as vscode from 'vscode';
import { messageOf, RefusedError } from '../model/errors.ts';
import type { Branch } from '../model/types.ts';
import { confirm, openTerminal, tell } from '../surfaces.ts';
import { canRetryProvisioning } from '../sessions/words.ts';
import { lossInWords } from '../worktrees/removal.ts';
import { type Call, type CommandContext, branchOf, engineOf, ownerOf, register } from './context.ts';

export function branchCommands(context: CommandContext): vscode.Disposable[] {
  const withBranch = async (
    call: Call,
    fits: (branch: Branch) => boolean,
    question: string,
    action: (branch: Branch) => Promise<unknown>,
  ): Promise<string | undefined> => {
    const branch = await branchOf(context, call, fits, question);
    if (!branch) return undefined;
    return (await action(branch)) === false ? undefined : branch.id;
  };
  /** The same for each branch that is selected; what it can't be done to is told. */
  const withBranches: typeof withBranch = async (call, fits, question, action) => {
    const { state } = engineOf(context);
    const ids = new Set(call.selected.flatMap((node) => (node.type === 'branch' ? [node.branchId] : [])));
    const selected = Array.from(ids, (id) => state.branch(id)).filter((branch) => branch !== undefined);
    if (selected.length < 2) return withBranch(call, fits, question, action);
    const able = selected.filter(fits);
    if (able.length === 0) throw new RefusedError('This can be done to none of the selected branches now.');
    let first: string | undefined;
    for (const branch of able) if ((await action(branch)) !== false) first ??= branch.id;
    const unable = selected.filter((branch) => !fits(branch)).map(({ name }) => `"${name}"`);
    if (unable.length > 0)
      void tell(
        'information',
        `Done to ${able.length} of ${selected.length} branches. There was nothing to do for ${unable.join(', ')}.`,
      );
    return first;
  };
  const owner = () => ownerOf(context);
  const worktreeOf = (branch: Branch): string => {
    if (branch.worktreePath && existsSync(branch.worktreePath) && branch.worktreeState !== 'provisioning')
      return branch.worktreePath;
    throw new RefusedError(`The worktree of "${branch.name}" is not there yet. It is made when a turn is queued on the branch.`);
  };

  return [
    register(context, 'pauseQueue', 'branchId', (call) =>
      withBranches(
        call,
        (branch) => branch.paused === 'no',
        'Which queue do you want to pause?',
        async (branch) => (await owner()).queue.pause(branch.id),
      ),
    ),
    register(context, 'resumeQueue', 'branchId', (call) =>
      withBranches(
        call,
        (branch) => branch.paused !== 'no',
        'Which queue do you want to resume?',
        async (branch) => (await owner()).queue.resume(branch.id),
      ),
    ),
    register(context, 'retryProvisioning', 'branchId', (call) =>
      withBranches(call, canRetryProvisioning, 'Which worktree should be tried again?', async (branch) =>
        (await owner()).queue.retryProvisioning(branch.id),
      ),
    ),
    register(context, 'stopProvisioning', 'branchId', (call) =>
      withBranches(
        call,
        (branch) => branch.worktreeState === 'provisioning' || branch.worktreeState === 'queued',
        'Which preparation should be stopped?',
        async (branch) => (await owner()).provisioner.stop(branch.id),
      ),
    ),
    register(context, 'showSetupLog', 'branchId', (call) =>
      withBranch(
        call,
        () => true,
        'The setup log of which branch?',
        async (branch) => {
          const path = (await owner()).provisioner.logOf(branch.id);
          if (!existsSync(path))
            throw new RefusedError(
              `No setup command has run for "${branch.name}".${branch.worktreeError ? ` ${branch.worktreeError.message}` : ' The setting "branchline.worktrees.setup" names them.'}`,
            );
          await vscode.window.showTextDocument(vscode.Uri.file(path), { preview: true });
        },
      ),
    ),
    register(context, 'openWorktree', 'branchId', (call) =>
      withBranch(
        call,
        (branch) => branch.worktreePath !== null,
        'Which worktree do you want to open?',
        async (branch) => {
          await vscode.commands.executeCommand('vscode.openFolder', vscode.Uri.file(worktreeOf(branch)), {
            forceNewWindow: true,
          });
        },
      ),
    ),
    register(context, 'openTerminal', 'branchId', (call) =>
      withBranch(
        call,
        (branch) => branch.worktreePath !== null,
        'A terminal in which worktree?',
        async (branch) => {
          openTerminal(branch.name, worktreeOf(branch));
        },
      ),
    ),
    register(context, 'openChanges', 'turnId', async (call) => {
      const { state, opened } = engineOf(context);
      await opened;
      // A plain id may be that of a turn, a session or a branch.
      const id = call.target.turnId ?? '';
      const turn = state.turn(id);
      const session = state.session(call.target.sessionId ?? (turn ? '' : id));
      if (turn) return context.changes.ofTurn(turn);
      if (session) return context.changes.ofSession(session);
      const onBranch = state.branch(id) ? { ...call, target: { branchId: id } } : call;
      return withBranch(
        onBranch,
        (branch) => branch.worktreePath !== null,
        'The changes of which branch?',
        async (branch) => context.changes.ofBranch(branch),
      );
    }),
    register(context, 'removeBranch', 'branchId', async (call, second) => {
      const { removal } = await owner();
      const several = call.selected.flatMap((node) =>
        node.type === 'branch' ? (engineOf(context).state.branch(node.branchId) ?? []) : [],
      );
      if (several.length > 1) return (await askToRemove(context, several)) ? several[0]?.id : undefined;
      return withBranch(
        call,
        () => true,
        'Which branch do you want to remove from Branchline?',
        async (branch) => {
          const given =
            ((typeof call.input === 'object' ? call.input : second) as { force?: unknown } | null | undefined)?.force === true;
          if (given || call.byProgram) return removal.remove(branch.id, given);
          return askToRemove(context, [branch]);
        },
      );
    }),
  ];
}

/** Says exactly what would be lost before anything is (requirement 44); false when the person keeps it. One question for all of them. */
async function askToRemove(context: CommandContext, branches: readonly Branch[]): Promise<boolean> {
  const { removal } = await ownerOf(context);
  const { state } = engineOf(context);
  const facts: string[] = [];
  const force = new Set<string>();
  for (const branch of branches) {
    const { text, lost } = lossInWords(branch.name, await removal.atRisk(branch.id));
    const waiting = state.line(branch.id).length;
    const words = [
      waiting > 0 ? `${waiting === 1 ? '1 turn that runs or waits is' : `${waiting} turns that run or wait are`} cancelled.` : '',
      text,
      branch.adopted
        ? 'The worktree was there before Branchline and stays.'
        : `The folder ${branch.worktreePath ?? ''} is deleted.`,
    ].filter((part) => part !== '');
    if (branches.length === 1) facts.push(...words);
    else facts.push(`${branch.name}: ${words.join(' ')}`);
    if (lost) force.add(branch.id);
  }
  const [first] = branches;
  const isOne = branches.length === 1;
  facts.push(
    isOne ? `The git branch "${first?.name}" and its transcripts stay.` : 'The git branches and their transcripts stay.',
  );
  const question = isOne ? `Remove "${first?.name}" from Branchline?` : `Remove ${branches.length} branches from Branchline?`;
  if (!(await confirm(question, facts, force.size > 0 ? 'Remove and Lose Work' : 'Remove'))) return false;
  const failed: string[] = [];
  for (const branch of branches)
    await removal
      .remove(branch.id, force.has(branch.id))
      .catch((error: unknown) => failed.push(`${branch.name}: ${messageOf(error)}`));
  if (failed.length > 0) throw new RefusedError(failed.join('\n'));
  return true;
}
