import { execFileSync } from 'node:child_process';
import * as vscode from 'vscode';
import type { BranchlineApi, BranchSnapshot, TurnSnapshot } from '../../src/apiTypes.ts';
import { patience } from '../support/patience.ts';

export async function activated(): Promise<BranchlineApi> {
  const extension = vscode.extensions.getExtension<BranchlineApi>('branchline.branchline');
  if (!extension) throw new Error('The extension is not there.');
  return extension.activate();
}

export function folder(): string {
  const [first] = vscode.workspace.workspaceFolders ?? [];
  if (!first) throw new Error('No folder is open.');
  return first.uri.fsPath;
}
export const git = (cwd: string, ...args: string[]): string => execFileSync('git', args, { cwd, encoding: 'utf8' }).trimEnd();

export function turnIn(api: BranchlineApi, turnId: string): TurnSnapshot | undefined {
  return api
    .snapshot()
    .branches.flatMap((branch) => branch.sessions.flatMap((session) => session.turns))
    .find((turn) => turn.id === turnId);
}
export const branchIn = (api: BranchlineApi, branchId: string): BranchSnapshot | undefined =>
  api.snapshot().branches.find((branch) => branch.id === branchId);

/** Resolves when `condition` holds; looks again at each change. Rejects when nothing has changed for long. */
export function until(api: BranchlineApi, condition: () => boolean, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (action: () => void) => {
      clearTimeout(timer);
      listener.dispose();
      action();
    };
    const look = () => condition() && end(resolve);
    const listener = api.onDidChange(() => {
      timer.refresh();
      look();
    });
    const timer = setTimeout(
      () => end(() => reject(new Error(`Waited in vain until ${what}: ${JSON.stringify(api.snapshot(), null, 1)}`))),
      patience,
    );
    look();
  });
}
