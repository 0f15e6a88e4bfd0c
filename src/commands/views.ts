/** Commands that show something. */
import * as vscode from 'vscode';
import type { StatusText } from '../statusText.ts';
import { type CommandContext, engineOf, register } from './context.ts';

export function viewCommands(context: CommandContext): vscode.Disposable[] {
  return [
    register(context, 'openTimeline', 'branchId', async ({ target, selected }) => {
      const turn = target.turnId ? engineOf(context).state.turn(target.turnId) : undefined;
      const session = target.sessionId ? engineOf(context).state.session(target.sessionId) : undefined;
      const branchId = target.branchId ?? turn?.branchId ?? session?.branchId;
      const turnId = turn?.id ?? (session && engineOf(context).state.turnsOf(session.id).at(-1)?.id);
      await context.timeline.reveal({ branchId, turnId }, { preserveFocus: selected.length > 0 }); // A click in the tree leaves the focus there.
      return branchId;
    }),
    register(context, 'openTimelineInEditor', 'branchId', () => context.timeline.openInEditor()),
    register(context, 'takeOver', 'branchId', async () => {
      await engineOf(context).takeOver();
    }),
    register(context, 'showLog', 'branchId', () => context.log.show()),
    register(context, 'showEarlier', 'branchId', ({ target }) => {
      if (target.branchId) context.tree?.showEarlier(target.branchId);
    }),
    register(context, 'showWhatNeedsYou', 'branchId', async () => {
      const target: StatusText['target'] = context.status?.target;
      if (target === 'agents') await vscode.commands.executeCommand('branchline.showWaitingAgents');
      else if (target && context.tree) await context.tree.reveal(target, { focus: true });
      else await vscode.commands.executeCommand('branchline.branches.focus');
    }),
  ];
}
