/** The changes of a turn, a session or a branch in VS Code's multi-diff editor. Old contents come from git, by commit. */
import * as vscode from 'vscode';
import { addressOf, changesScheme, committedFileAt } from './changesAddress.ts';
import { Git } from './git/git.ts';
import { RefusedError } from './model/errors.ts';
import type { Branch, Session, Turn } from './model/types.ts';
import type { Projection } from './store/projection.ts';
import { changesOfBranch, changesOfSession, changesOfTurn, type FoundChanges } from './work/changes.ts';
import { showChanges } from './surfaces.ts';

/** Files as they are in a commit of a repository that the store knows. Read only. */
class CommitFiles implements vscode.FileSystemProvider {
  readonly #changed = new vscode.EventEmitter<vscode.FileChangeEvent[]>();
  readonly onDidChangeFile = this.#changed.event;
  readonly #isKnown: (repository: string) => boolean;

  constructor(isKnown: (repository: string) => boolean) {
    this.#isKnown = isKnown;
  }

  async readFile(uri: vscode.Uri): Promise<Uint8Array> {
    const file = committedFileAt(uri, this.#isKnown);
    const content = file && (await new Git(file.repository).content(file.sha, file.path));
    if (!content) throw vscode.FileSystemError.FileNotFound(uri);
    return content;
  }
  async stat(uri: vscode.Uri): Promise<vscode.FileStat> {
    return {
      type: vscode.FileType.File,
      ctime: 0,
      mtime: 0,
      size: (await this.readFile(uri)).byteLength,
      permissions: vscode.FilePermission.Readonly,
    };
  }
  watch(): vscode.Disposable {
    return new vscode.Disposable(() => undefined);
  }
  readDirectory(): [] {
    return [];
  }
  createDirectory(uri: vscode.Uri): never {
    throw vscode.FileSystemError.NoPermissions(uri);
  }
  writeFile(uri: vscode.Uri): never {
    throw vscode.FileSystemError.NoPermissions(uri);
  }
  delete(uri: vscode.Uri): never {
    throw vscode.FileSystemError.NoPermissions(uri);
  }
  rename(uri: vscode.Uri): never {
    throw vscode.FileSystemError.NoPermissions(uri);
  }
}

/** What was opened: the two ends and the paths that differ. */
export interface OpenedChanges {
  from: string;
  /** Undefined: the worktree as it is now. */
  to: string | undefined;
  files: string[];
}

export class Changes implements vscode.Disposable {
  readonly #state: () => Projection;
  readonly #registration: vscode.Disposable;

  constructor(state: () => Projection) {
    this.#state = state;
    const isKnown = (repository: string) => Array.from(state().branches()).some((branch) => branch.repository === repository);
    this.#registration = vscode.workspace.registerFileSystemProvider(changesScheme, new CommitFiles(isKnown), {
      isReadonly: true,
      isCaseSensitive: true,
    });
  }

  async ofTurn(turn: Turn): Promise<OpenedChanges> {
    const session = this.#state().session(turn.sessionId);
    if (!session) throw new RefusedError('This turn is not in the queue any more.');
    const branch = this.#branch(turn.branchId);
    return this.#open(session.title, branch, await changesOfTurn(branch, session, turn));
  }

  async ofSession(session: Session): Promise<OpenedChanges> {
    const branch = this.#branch(session.branchId);
    return this.#open(session.title, branch, await changesOfSession(branch, session, this.#state().turnsOf(session.id)));
  }

  async ofBranch(branch: Branch): Promise<OpenedChanges> {
    return this.#open(branch.name, branch, await changesOfBranch(branch));
  }

  async #open(title: string, branch: Branch, { from, to, files }: FoundChanges): Promise<OpenedChanges> {
    const shown = files.filter(({ isRepository }) => !isRepository); // Of a repository inside only the commit's name is known here.
    if (shown.length === 0)
      throw new RefusedError(
        files.length === 0
          ? `"${title}" has changed no files.`
          : `"${title}" has changed no files here, only which commits of repositories inside are used.`,
      );
    const folder = vscode.Uri.file(branch.worktreePath ?? branch.repository);
    const at = (sha: string, path: string) => vscode.Uri.from(addressOf({ repository: branch.repository, sha, path }));
    const now = (path: string) => (to === undefined ? vscode.Uri.joinPath(folder, path) : at(to, path));
    const resources = shown.map(
      ({ path, kind }) =>
        [
          vscode.Uri.joinPath(folder, path),
          kind === 'added' ? undefined : at(from, path),
          kind === 'deleted' ? undefined : now(path),
        ] as const,
    );
    await showChanges(`${title} (${branch.name})`, resources);
    return { from, to, files: shown.map(({ path }) => path) };
  }

  #branch(branchId: string): Branch {
    const branch = this.#state().branch(branchId);
    if (!branch) throw new RefusedError('This branch is not in Branchline any more.');
    return branch;
  }

  dispose(): void {
    this.#registration.dispose();
  }
}
