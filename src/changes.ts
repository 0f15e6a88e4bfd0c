/** The changes of a turn, a session or a branch in VS Code's multi-diff editor. Old contents come from git, by commit. */
import * as vscode from 'vscode';
import { addressOf, changesScheme, committedFileAt } from './changesAddress.ts';
import { Git } from './git/git.ts';
import { RefusedError } from './model/errors.ts';
import { isActive } from './model/transitions.ts';
import type { Branch, Session, Turn } from './model/types.ts';
import type { Projection } from './store/projection.ts';
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

  ofTurn(turn: Turn): Promise<OpenedChanges> {
    const session = this.#state().session(turn.sessionId);
    if (session?.kind === 'review') return this.ofSession(session);
    const title = session?.title ?? 'Turn';
    if (!turn.startSha) throw new RefusedError(`"${title}" has not begun, so there are no changes yet.`);
    return this.#open(
      title,
      this.#branch(turn.branchId),
      turn.startSha,
      isActive(turn.state) ? undefined : (turn.endSha ?? undefined),
    );
  }

  /** From the start of the session's first turn to the end of its last; of a review what it reviewed (requirement 10). */
  ofSession(session: Session): Promise<OpenedChanges> {
    const branch = this.#branch(session.branchId);
    if (session.kind === 'review') {
      if (!session.tipSha || !session.mergeBaseSha)
        throw new RefusedError('This review has not started, so it has no commits yet.');
      return this.#open(session.title, branch, session.mergeBaseSha, session.tipSha);
    }
    const turns = this.#state()
      .turnsOf(session.id)
      .filter((turn) => turn.startSha !== null);
    const [first, last] = [turns[0], turns.at(-1)];
    if (!first?.startSha || !last) throw new RefusedError(`"${session.title}" has not begun, so there are no changes yet.`);
    return this.#open(session.title, branch, first.startSha, isActive(last.state) ? undefined : (last.endSha ?? undefined));
  }

  /** From where the branch left its base to its worktree as it is now. */
  async ofBranch(branch: Branch): Promise<OpenedChanges> {
    if (!branch.worktreePath || !branch.baseSha)
      throw new RefusedError(
        `The worktree of "${branch.name}" is not there yet. It is made when a turn is queued on the branch.`,
      );
    const git = new Git(branch.worktreePath);
    const base = (branch.base && (await git.commit(branch.base))) || branch.baseSha;
    const from = (await git.line('merge-base', base, 'HEAD')) ?? branch.baseSha;
    return this.#open(branch.name, branch, from, undefined);
  }

  async #open(title: string, branch: Branch, from: string, to: string | undefined): Promise<OpenedChanges> {
    const folder = to === undefined ? (branch.worktreePath ?? branch.repository) : branch.repository;
    const changes = await new Git(folder).changesBetween(from, to);
    if (changes.length === 0) throw new RefusedError(`"${title}" has changed no files.`);
    const at = (sha: string, path: string) => vscode.Uri.from(addressOf({ repository: branch.repository, sha, path }));
    const now = (path: string) => (to === undefined ? vscode.Uri.joinPath(vscode.Uri.file(folder), path) : at(to, path));
    const resources = changes.map((change) => {
      const label = vscode.Uri.joinPath(vscode.Uri.file(branch.worktreePath ?? branch.repository), change.path);
      return [
        label,
        change.kind === 'added' ? undefined : at(from, change.from),
        change.kind === 'deleted' ? undefined : now(change.path),
      ] as const;
    });
    await showChanges(`${title} (${branch.name})`, resources);
    return { from, to, files: changes.map((change) => change.path) };
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
