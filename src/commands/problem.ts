/** The command that collects what a report of a problem needs, for the person to read and share. */
import * as vscode from 'vscode';
import * as z from 'zod';
import { problemReport } from '../sessions/problemReport.ts';
import { pickSeveral } from '../surfaces.ts';
import { type CommandContext, register } from './context.ts';

const inputSchema = z.object({ prompts: z.boolean().default(false), paths: z.boolean().default(false) });

export function problemCommands(context: CommandContext, version: string): vscode.Disposable[] {
  return [
    register(context, 'reportProblem', 'branchId', async ({ input, byProgram }) => {
      const include = byProgram ? inputSchema.parse(input) : await ask();
      if (!include) return undefined;
      const content = problemReport({
        engine: context.engine,
        log: context.log.tail,
        secrets: context.log.secrets(),
        ...include,
        versions: {
          Branchline: version,
          'VS Code': `${vscode.version} (${vscode.env.appName}, ${vscode.env.uiKind === vscode.UIKind.Web ? 'web' : 'desktop'}${vscode.env.remoteName ? ', remote' : ''})`,
          Node: process.version,
          system: `${process.platform} ${process.arch}`,
          trusted: String(vscode.workspace.isTrusted),
        },
      });
      await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ language: 'markdown', content }), {
        preview: false,
      });
      return content;
    }),
  ];
}

async function ask(): Promise<{ prompts: boolean; paths: boolean } | undefined> {
  const items = [
    { label: 'Prompts and titles', detail: 'What you wrote to agents', value: 'prompts' as const },
    { label: 'Paths and branch names', detail: 'Where your repositories and worktrees are', value: 'paths' as const },
  ];
  const chosen = await pickSeveral<'prompts' | 'paths'>(items, {
    title: 'Report Problem',
    placeHolder: 'Include these, too? Secrets are never in it.',
  });
  return chosen && { prompts: chosen.includes('prompts'), paths: chosen.includes('paths') };
}
