/** What is open in this window. */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { findRepository } from './git/repository.ts';

/** Paths of the open folders; the one of the active editor first, for it is the one meant when none is named. */
export function openFolders(): string[] {
  const folders = (vscode.workspace.workspaceFolders ?? []).filter((folder) => folder.uri.scheme === 'file');
  const active = vscode.window.activeTextEditor?.document.uri;
  const first = active && vscode.workspace.getWorkspaceFolder(active)?.index;
  return [...folders].sort((a, b) => Number(b.index === first) - Number(a.index === first)).map((folder) => folder.uri.fsPath);
}

/** The user's own checkouts: agents never work there (invariant 4). */
export const ownCheckouts = (): string[] => openFolders().flatMap((folder) => findRepository(folder)?.checkout ?? []);

/**
 * The folder that is this workspace's for good. While another extension host still holds the workspace's storage, VS Code
 * hands out `<hash>-1`, `<hash>-2`, ...; our own lock decides who owns it, so the suffix is taken off (requirement 52).
 */
export function storageFolder(storagePath: string): string {
  const workspace = dirname(storagePath);
  const whole = /^(-?[^-]+)-\d+$/.exec(basename(workspace))?.[1];
  const folder = whole && join(dirname(workspace), whole);
  return folder && existsSync(folder) ? join(folder, basename(storagePath)) : storagePath;
}
