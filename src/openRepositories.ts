/** Whether a folder that is open lies in a repository, and when that changes: `git init` is seen at once (fault U13). */
import * as vscode from 'vscode';
import { Batch } from './platform/batch.ts';
import { openFolders } from './workspace.ts';
import { findRepository } from './git/repository.ts';

/** What of a repository comes into being last is not said anywhere, so each of these is looked at. */
const parts = '{.git,.git/HEAD,.git/objects,.git/refs}';
const lookTime = 100;

export class OpenRepositories implements vscode.Disposable {
  readonly #changed = new vscode.EventEmitter<boolean>();
  /** Tells what `found` has become. */
  readonly onDidChange = this.#changed.event;
  readonly #disposables: vscode.Disposable[];
  #watchers: vscode.Disposable[] = [];
  readonly #looking = new Batch(lookTime, () => this.#look());
  #found: boolean;

  constructor() {
    this.#found = isAnyFound();
    this.#watch();
    this.#disposables = [
      this.#changed,
      this.#looking,
      vscode.workspace.onDidChangeWorkspaceFolders(() => {
        this.#watch();
        this.#look();
      }),
      // A parent folder may have become one, and a watcher may be told to leave `.git` out.
      vscode.window.onDidChangeWindowState(({ focused }) => focused && this.#looking.schedule()),
    ];
  }

  get found(): boolean {
    return this.#found;
  }

  #watch(): void {
    for (const watcher of this.#watchers.splice(0)) watcher.dispose();
    this.#watchers = openFolders().flatMap((folder) => {
      const watcher = vscode.workspace.createFileSystemWatcher(
        new vscode.RelativePattern(vscode.Uri.file(folder), parts),
        false,
        true,
        false,
      );
      const look = () => this.#looking.schedule();
      return [watcher, watcher.onDidCreate(look), watcher.onDidDelete(look)];
    });
  }

  #look(): void {
    const found = isAnyFound();
    if (found === this.#found) return;
    this.#found = found;
    this.#changed.fire(found);
  }

  dispose(): void {
    for (const one of [...this.#watchers, ...this.#disposables]) one.dispose();
  }
}

const isAnyFound = (): boolean => openFolders().some((folder) => findRepository(folder) !== undefined);
