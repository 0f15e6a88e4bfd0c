/** Commands that show something. */
import * as vscode from 'vscode';
import type { StatusText } from '../statusText.ts';
import { type CommandContext, engineOf, register } from './context.ts';

export function viewCommands(context: CommandContext): vscode.Disposable[] {
  return [
    register(context, 'openTimeline', 'branchId', async (call) => {
      await vscode.commands.executeCommand('branchline.branches.focus');
      const sessionId = call.target.sessionId ?? (call.target.turnId ? engineOf(context).state.turn(call.target.turnId)?.sessionId : undefined);
      if (sessionId) await context.transcripts.open(sessionId);
      return call.target.branchId;
    }),
    register(context, 'showLog', 'branchId', () => context.log.show()),
    register(context, 'showEarlier', 'branchId', ({ target }) => {
      if (target.branchId) context.tree?.showEarlier(target.branchId);
    }),
    register(context, 'showWhatNeedsYou', 'branchId', async () => {
      const target: StatusText['target'] = context.status?.target;
      if (target && context.tree) await context.tree.reveal(target, { focus: true });
      else await vscode.commands.executeCommand('branchline.branches.focus');
    }),
  ];
}
