/**
 * Worktrees and commits as pure data, for histories without git: each file that an agent writes is one of its own, so a file that is
 * committed twice, or for the wrong turn, shows. Trees have ids, as in git, and are never changed.
 */
import type { ChangedPath } from '../../src/git/status.ts';
import type { Beginning, Commit, Conclusion } from '../../src/model/work.ts';
import type { Committing } from '../../src/sessions/workActions.ts';
import type { HeldTurn } from '../../src/work/turnWork.ts';

interface Worktree {
  committed: Set<string>;
  dirty: Set<string>;
  /** A merge that is under way. */
  operation: { id: string; isSolved: boolean } | null;
  /** A hook says no to every commit. */
  refuses: boolean;
  head: string;
}

export interface PretendOrder {
  beginning: Beginning;
  commits: boolean;
  held: readonly HeldTurn[];
  mends: string | null;
  byPerson?: boolean;
}

export class PretendWork {
  /** Broken promises. */
  readonly violations: string[] = [];
  readonly commits = new Map<string, readonly string[]>();
  readonly #worktrees = new Map<string, Worktree>();
  readonly #trees = new Map<string, ReadonlySet<string>>();
  #ids = 0;

  #id(kind: string): string {
    this.#ids += 1;
    return `${kind}-${this.#ids}`;
  }

  at(worktree: string): Worktree {
    let found = this.#worktrees.get(worktree);
    if (!found) {
      found = { committed: new Set(), dirty: new Set(), operation: null, refuses: false, head: 'commit-0' };
      this.#worktrees.set(worktree, found);
    }
    return found;
  }

  all(): Iterable<Worktree> {
    return this.#worktrees.values();
  }

  /** The folder is gone; the branch stays, and its commits. */
  wipe(worktree: string): void {
    const at = this.at(worktree);
    at.dirty.clear();
    at.operation = null;
  }

  write(worktree: string, path: string): void {
    this.at(worktree).dirty.add(path);
  }

  merge(worktree: string): void {
    this.at(worktree).operation ??= { id: this.#id('merge'), isSolved: false };
  }

  begin(worktree: string): Beginning {
    const { head, operation } = this.at(worktree);
    return { head, tree: this.#treeOf(worktree), operation: operation ? { kind: 'merge', id: operation.id } : null };
  }

  #treeOf(worktree: string): string {
    const { committed, dirty } = this.at(worktree);
    const id = this.#id('tree');
    this.#trees.set(id, new Set([...committed, ...dirty]));
    return id;
  }

  /** Paths that are in the later tree only. */
  between(from: string, to: string): string[] {
    const before = this.#trees.get(from);
    return [...(this.#trees.get(to) ?? [])].filter((path) => !before?.has(path));
  }

  /** As the real one: asked again after a crash it finds what was made. */
  conclude(worktree: string, order: PretendOrder): Conclusion {
    const at = this.at(worktree);
    const own = this.between(order.beginning.tree, this.#treeOf(worktree));
    const commit = order.commits ? this.#commit(at, own, order) : null;
    const tree = this.#treeOf(worktree);
    return {
      head: at.head,
      tree,
      work: { files: own.length, added: own.length, removed: 0 },
      commit,
      settled: commit?.state === 'made' ? this.#settled(order.held, at.dirty) : [],
    };
  }

  #commit(at: Worktree, own: readonly string[], { beginning, held, mends, byPerson }: PretendOrder): Commit | null {
    const mended = held.find(({ turnId }) => turnId === mends);
    const paths = [...own, ...(mended ? this.between(mended.from, mended.to) : [])].filter((path) => at.dirty.has(path));
    if (at.operation) {
      const wasThere = beginning.operation?.id === at.operation.id;
      if (!at.operation.isSolved || !(wasThere || byPerson))
        return { state: 'held', why: 'operation', operation: 'merge', paths: [] };
    } else if (paths.length === 0) return at.head === beginning.head ? null : { state: 'made', sha: at.head, files: own.length };
    if (at.refuses) return { state: 'held', why: 'refused', said: 'no, thank you' };
    at.operation = null;
    at.head = this.#id('commit');
    for (const path of paths) {
      if (at.committed.has(path)) this.violations.push(`${path} was committed twice`);
      at.committed.add(path);
      at.dirty.delete(path);
    }
    this.commits.set(at.head, paths);
    return { state: 'made', sha: at.head, files: paths.length };
  }

  #settled(held: readonly HeldTurn[], left: ReadonlySet<string>): string[] {
    return held.flatMap(({ turnId, from, to }) => (this.between(from, to).some((path) => left.has(path)) ? [] : [turnId]));
  }

  /** Of these trees, paths that no commit has yet. */
  waiting(worktree: string, from: string, to: string): string[] {
    return this.between(from, to).filter((path) => this.at(worktree).dirty.has(path));
  }

  readonly committing: Committing = {
    commitAgain: async ({ folder }, { beginning, end }) => {
      const at = this.at(folder);
      const own = this.between(beginning.tree, end);
      const order = { beginning, commits: true, held: [], mends: null, byPerson: true };
      return { commit: this.#commit(at, own, order), left: [...at.dirty].map(untracked) };
    },
    settledBy: async (_git, held, left) => this.#settled(held, new Set(left.map(({ path }) => path))),
    dropRef: async () => undefined,
  };
}

const untracked = (path: string): ChangedPath => ({
  path,
  staged: false,
  unstaged: false,
  untracked: true,
  unmerged: false,
  sides: undefined,
});
