/**
 * The work of a turn: what differs in the worktree between its start and its end, by path and content; and the commit of exactly that.
 *
 * `begin` writes down where a turn starts. `conclude` finds the work, commits it where that is asked for and possible, and keeps under a
 * ref what ends in no commit. Both can be asked again after a crash at any point: what was committed is not committed twice, what is there
 * is not lost. Whoever calls holds the worktree's claim.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { amend, type CommitAnswer, commitPaths, lastCommit } from '../git/commits.ts';
import { conflicting, hasMarkers, textOf } from '../git/conflicts.ts';
import { type Git, GitError } from '../git/git.ts';
import { commonFolderOfRepository, findRepository } from '../git/repository.ts';
import type { ChangedPath } from '../git/status.ts';
import {
  type ChangedFile,
  changedWithout,
  difference,
  keep,
  removeOldIndexes,
  type Snapshot,
  snapshot,
  turnRef,
  withEntriesOf,
} from '../git/trees.ts';
import { folderIdentity, isOnBranch, mendGitFile, type WorktreeState, worktreeState } from '../git/worktrees.ts';
import { WorktreeError } from '../model/errors.ts';
import type { Beginning, Commit, Conclusion, HeldCommit, Work } from '../model/work.ts';

export interface BeginOrder {
  turnId: string;
  title: string;
  repository: string;
  branch: string;
  /** Paths of links that we made: never changes. */
  links: readonly string[];
  now: number;
}

/** Where a turn begins. Rejects with WorktreeError when the folder is not the branch's worktree, with what to do. */
export async function begin(
  git: Git,
  { turnId, title, repository, branch, links, now }: BeginOrder,
): Promise<Beginning & { state: WorktreeState }> {
  const state = await stateOf(git, repository);
  if (!isOnBranch(state, branch)) throw new WorktreeError(await offBranch(git, branch, state));
  const before = await snapshot(git, state, links);
  await removeOldIndexes(state.gitFolder, now);
  // What is not in a commit might be collected before the turn ends.
  if (before.tree !== before.head) await keep(git, { ref: turnRef(turnId), before, after: before, message: `Before: ${title}` });
  const { operation } = state;
  return {
    head: before.head ?? null,
    tree: before.tree,
    operation: operation ? { kind: operation.kind, id: operation.id } : null,
    folder: folderIdentity(git.folder),
    state,
  };
}

export interface GoOnOrder {
  turnId: string;
  title: string;
  /** Where the turn began, at first. */
  earlier: Beginning;
  /** Content when it stopped; null where nobody could look. */
  stoppedTree: string | null;
}

/**
 * Where a turn is counted from that goes on: where it began at first. Where others have worked in its worktree since it stopped, that is what
 * is there now, without what the turn did before it stopped.
 */
export async function beginAgain(
  git: Git,
  { state, ...start }: Awaited<ReturnType<typeof begin>>,
  { turnId, title, earlier, stoppedTree }: GoOnOrder,
): Promise<Beginning> {
  if (stoppedTree === null || stoppedTree === start.tree) return { ...earlier, folder: start.folder };
  const own = await difference(git, earlier.tree, stoppedTree);
  const tree = await withEntriesOf(git, state.gitFolder, {
    tree: start.tree,
    from: earlier.tree,
    paths: own.map(({ path }) => path),
  });
  const before = { head: start.head ?? undefined, tree };
  await keep(git, { ref: turnRef(turnId), before, after: before, message: `Before: ${title}` });
  return { ...start, tree };
}

/** What the worktree is at; of another repository, whose `.git` took the place of ours, nothing is asked. Rejects with WorktreeError then. */
async function stateOf(git: Git, repository: string): Promise<WorktreeState> {
  if (findRepository(git.folder)?.repository !== repository)
    throw new WorktreeError(
      `${git.folder} is not a worktree of this repository any more. Move that folder away and retry: the worktree is made again.`,
    );
  return worktreeState(git);
}

async function offBranch(git: Git, branch: string, { branch: other, operation }: WorktreeState): Promise<string> {
  const where = other ? `the branch "${other}"` : 'no branch (detached HEAD)';
  const underWay = operation
    ? ` A ${operation.kind} is under way there${operation.branch ? ` (of "${operation.branch}")` : ''}; finish or abort it first.`
    : '';
  // One that is not there any more was renamed, as a rule; to switch to it would be no way out.
  const isGone = other !== undefined && (await git.commit(`refs/heads/${branch}`)) === undefined;
  const wayOut = isGone ? `git branch -m ${other} ${branch}` : `git switch ${branch}`;
  return `The worktree is on ${where} instead of "${branch}"${isGone ? ', which is not there any more' : ''}.${underWay} Run \`${wayOut}\` in ${git.folder}, then retry.`;
}

/** A turn of the branch whose commit is held. */
export interface HeldTurn {
  turnId: string;
  /** Trees before and after it. */
  from: string;
  to: string;
}

export interface ConcludeOrder {
  turnId: string;
  title: string;
  repository: string;
  branch: string;
  links: readonly string[];
  beginning: Beginning;
  /** True where the work is to be committed. */
  commits: boolean;
  /** Of the commit. */
  message: string;
  /** Earlier turns whose commits are held. */
  held: readonly HeldTurn[];
  /** One of them, whose work this turn was to mend: it is committed with this turn's. */
  mends: string | null;
}

/** The work of a turn that has ended. Rejects with WorktreeError where the worktree is gone, with GitError where git was stopped. */
export async function conclude(git: Git, order: ConcludeOrder): Promise<Conclusion> {
  const config = () => configOf(order.repository);
  const before = order.commits ? config() : undefined;
  const conclusion = await concludeNow(git, order);
  // git tells a hook of a linked worktree where the repository is, and what the hook runs may take it for its own.
  const isChanged = before !== undefined && config() !== before;
  return isChanged ? { ...conclusion, work: { ...conclusion.work, configChanged: true } } : conclusion;
}

/** The configuration that all worktrees of the repository share; undefined where it can't be read. */
function configOf(repository: string): string | undefined {
  try {
    return readFileSync(join(commonFolderOfRepository(repository), 'config'), 'utf8');
  } catch {
    return undefined;
  }
}

async function concludeNow(git: Git, order: ConcludeOrder): Promise<Conclusion> {
  const { beginning, links } = order;
  if (beginning.folder !== undefined && beginning.folder === folderIdentity(git.folder))
    mendGitFile(git.folder, order.repository);
  const state = await stateOf(git, order.repository);
  const changed = changedWithout(state.changed, links);
  const isUntouched = changed.length === 0 && state.head === beginning.head && beginning.tree === beginning.head;
  if (isUntouched && state.head !== undefined && !state.operation) return nothing(state.head, state);
  if (!isSimple(order, state)) return concludeWhole(git, order, state);
  const tried = await commitAll(git, order, state, changed);
  if (tried && 'work' in tried) return tried;
  const now = await worktreeState(git);
  // All was staged for it, so what a hook changed shows as not staged; where it changed nothing, it is not asked a second time.
  const hookChanged = changedWithout(now.changed, links).some(({ unstaged, untracked }) => unstaged || untracked);
  return concludeWhole(git, order, now, hookChanged ? undefined : tried);
}

type Refusal = Exclude<CommitAnswer, { done: true }>;

const noWork: Work = { files: 0, added: 0, removed: 0 };

function nothing(head: string, state: WorktreeState): Conclusion {
  return { head, tree: head, work: { ...noWork, ...innerOf(state) }, commit: null, settled: [] };
}

/** What is known of a turn whose work can't be looked at: that it ends where it began, as far as anybody knows. */
export const unseen = ({ head, tree }: Beginning): Conclusion => ({ head, tree, work: noWork, commit: null, settled: [] });

/** Repositories inside that hold something which no commit of the branch can. */
function innerOf({ embedded, submodules }: WorktreeState): Pick<Work, 'inner'> {
  const inner = [...new Set([...embedded, ...submodules.flatMap(({ path, content }) => (content ? [path] : []))])];
  return inner.length > 0 ? { inner } : {};
}

/** True when all that differs from HEAD is this turn's: then it is committed without looking at trees. */
function isSimple({ commits, mends, beginning, branch }: ConcludeOrder, state: WorktreeState): boolean {
  return (
    commits &&
    mends === null &&
    beginning.head !== null &&
    beginning.tree === beginning.head &&
    state.head === beginning.head &&
    state.branch === branch &&
    !state.operation &&
    !beginning.operation &&
    !state.changed.some(({ unmerged }) => unmerged)
  );
}

/** Commits everything, or says why that can't be (undefined: it looks like a conflict). */
async function commitAll(
  git: Git,
  order: ConcludeOrder,
  state: WorktreeState,
  changed: ChangedPath[],
): Promise<Conclusion | Refusal | undefined> {
  const head = state.head as string;
  if (changed.length === 0) return nothing(head, state);
  if ((await conflicting(git, pathsOf(changed), head)).length > 0) return undefined;
  const answer = await commitPaths(git, { state, paths: changed, message: order.message, concludes: false });
  if (!answer.done) return answer;
  const made = await afterCommit(git, order, changed);
  const settled = await settledBy(git, order.held, made.left);
  const after = made.left.length === 0 ? { head: made.sha, tree: made.sha } : await snapshot(git, made.state, order.links);
  const work: Work = { ...counted(made.files), ...innerOf(made.state) };
  if (after.tree !== made.sha) {
    // A hook changed files besides and staged them not: they are of this turn, and left.
    Object.assign(work, counted(await difference(git, head, after.tree)), { ref: turnRef(order.turnId) });
    await keep(git, { ref: turnRef(order.turnId), before: { head, tree: head }, after, message: order.title });
  }
  return {
    head: made.sha,
    tree: after.tree,
    work,
    commit: { state: 'made', sha: made.sha, files: made.files.length },
    settled,
  };
}

/** What the last commit holds and what is changed after it. What hooks changed while it was made, without staging it, is taken in, once. */
async function afterCommit(
  git: Git,
  { links }: Pick<ConcludeOrder, 'links'>,
  committed: readonly ChangedPath[],
): Promise<{ sha: string; files: ChangedFile[]; state: WorktreeState; left: ChangedPath[] }> {
  const look = async () => {
    const [commit, state] = await Promise.all([lastCommit(git), worktreeState(git)]);
    return { ...commit, state, left: changedWithout(state.changed, links) };
  };
  const first = await look();
  const paths = new Set(pathsOf(committed));
  const byHooks = first.left.filter(({ path }) => paths.has(path));
  if (byHooks.length === 0) return first;
  await amend(git, first.state, byHooks);
  return look();
}

const pathsOf = (changed: readonly ChangedPath[]): string[] => changed.map(({ path }) => path);

function counted(files: readonly ChangedFile[]): Work {
  return {
    files: files.length,
    added: files.reduce((sum, { added }) => sum + added, 0),
    removed: files.reduce((sum, { removed }) => sum + removed, 0),
  };
}

/** Finds the work by trees: something was dirty before, HEAD moved, an operation is under way, or a commit was refused. */
async function concludeWhole(git: Git, order: ConcludeOrder, found: WorktreeState, refused?: Refusal): Promise<Conclusion> {
  const { beginning, links, commits, turnId, title } = order;
  let state = found;
  let after = await snapshot(git, state, links);
  let commit: Commit | null = refused ? heldBy(refused) : null;
  if (commits && !refused) {
    for (let hookMayMend = true; ; hookMayMend = false) {
      commit = await commitWork(git, order, state, after);
      if (commit?.state !== 'held' || commit.why !== 'refused' || !hookMayMend) break;
      // A hook that reformats files and then says no: what it changed is taken in, and the commit tried once more.
      const again = await worktreeState(git);
      const changedByHook = await snapshot(git, again, links);
      if (changedByHook.tree === after.tree) break;
      state = again;
      after = changedByHook;
    }
  }
  if (commit?.state === 'made') {
    state = await worktreeState(git);
    after = await snapshot(git, state, links);
  }
  const files = await difference(git, beginning.tree, after.tree);
  const own = new Set(files.map(({ path }) => path));
  const left = changedWithout(state.changed, links);
  const work: Work = {
    ...counted(files),
    ...innerOf(state),
    ...(after.unreadable.length > 0 ? { unreadable: after.unreadable } : {}),
  };
  const isOff = !isOnBranch(state, order.branch) && state.head !== (beginning.head ?? undefined);
  const isLeft = left.some(({ path }) => own.has(path)) || commit?.state === 'held';
  if (isOff || (isLeft && files.length > 0)) work.ref = turnRef(turnId);
  if (work.ref !== undefined || (await isNowhereElse(git, beginning, after)))
    await keep(git, {
      ref: turnRef(turnId),
      before: { head: beginning.head ?? undefined, tree: beginning.tree },
      after,
      message: title,
    });
  return {
    head: after.head ?? null,
    tree: after.tree,
    work,
    commit,
    settled: commit?.state === 'made' ? await settledBy(git, order.held, left) : [],
  };
}

/** True when the contents before and after a turn, which it is looked at and gone back by, are not all in commits of its branch. */
async function isNowhereElse(git: Git, beginning: Beginning, after: Snapshot): Promise<boolean> {
  if (after.tree !== after.head) return after.tree !== beginning.tree; // `begin` has kept the one before.
  if (beginning.head === null || after.head === beginning.head) return false;
  // HEAD was taken back, or its commits were made anew.
  return Number((await git.run('rev-list', '--count', '--max-count=1', beginning.head, '--not', after.head, '--')).trim()) > 0;
}

export interface CommitWorkOrder extends Pick<ConcludeOrder, 'branch' | 'links' | 'beginning' | 'held' | 'mends' | 'message'> {
  /** HEAD when the turn ended, where that is not now. */
  endHead?: string | undefined;
  /** True when a person asked for this commit: then an operation begun in the turn is concluded, and text that looks like a conflict is taken as meant. */
  byPerson?: boolean;
  /** Only these paths. */
  only?: ReadonlySet<string> | undefined;
}

/** Commits the work between `order.beginning` and `after`, or says what holds it. Null when there is nothing to commit, and nothing was. */
export async function commitWork(
  git: Git,
  order: CommitWorkOrder,
  state: WorktreeState,
  after: Pick<Snapshot, 'tree' | 'unreadable'>,
): Promise<Commit | null> {
  const { beginning, links, branch } = order;
  const files = await difference(git, beginning.tree, after.tree);
  const own = new Set(files.map(({ path }) => path));
  for (const path of await movedPaths(git, beginning, order.endHead ?? state.head)) own.add(path);
  const mended = order.held.find(({ turnId }) => turnId === order.mends);
  if (mended) for (const { path } of await difference(git, mended.from, mended.to)) own.add(path);
  const changed = changedWithout(state.changed, links);
  const solved = await solvedPaths(git, changed, beginning.tree);
  const unsolved = changed.filter((one) => one.unmerged && !solved.has(one.path)).map(({ path }) => path);
  const candidates = changed.filter(({ path }) => (own.has(path) || solved.has(path)) && (order.only?.has(path) ?? true));
  if (!isOnBranch(state, branch))
    return own.size > 0 || state.head !== beginning.head ? { state: 'held', why: 'left', branch: state.branch ?? null } : null;
  const markers = await conflicting(git, pathsOf(candidates), beginning.tree);
  const { operation } = state;
  if (operation && operation.kind !== 'bisect') {
    const wasThere = beginning.operation?.kind === operation.kind && beginning.operation.id === operation.id;
    const isSolved = unsolved.length === 0 && markers.length === 0;
    if (!operation.endsWithCommit || !isSolved || !(wasThere || order.byPerson)) {
      const { kind, id } = operation;
      return {
        state: 'held',
        why: 'operation',
        operation: kind,
        operationId: id,
        paths: [...new Set([...unsolved, ...markers])],
      };
    }
    return commitNow(git, order, state, candidates, true);
  }
  if (unsolved.length > 0) return { state: 'held', why: 'unmerged', paths: unsolved };
  if (markers.length > 0 && !order.byPerson) return { state: 'held', why: 'markers', paths: markers };
  if (after.unreadable.length > 0) return { state: 'held', why: 'unreadable', paths: after.unreadable };
  if (candidates.length > 0) return commitNow(git, order, state, candidates, false);
  // The agent committed it all itself, or we did before a crash.
  return state.head !== undefined && state.head !== beginning.head
    ? { state: 'made', sha: state.head, files: files.length }
    : null;
}

/**
 * Paths by which a turn moved HEAD. Where it took commits back and left their content (a soft reset), that is its own to be committed;
 * what was dirty before it is not.
 */
async function movedPaths(git: Git, { head, tree }: Beginning, now: string | undefined): Promise<string[]> {
  if (head === null || now === undefined || now === head) return [];
  const dirty = new Set((await difference(git, head, tree)).map(({ path }) => path));
  return (await difference(git, head, now)).flatMap(({ path }) => (dirty.has(path) ? [] : [path]));
}

async function commitNow(
  git: Git,
  order: CommitWorkOrder,
  state: WorktreeState,
  paths: ChangedPath[],
  concludes: boolean,
): Promise<Commit | null> {
  const answer = await commitPaths(git, { state, paths, message: order.message, concludes });
  // Made before a crash that left the index behind: these paths only look as if they were not in it.
  const isMadeAlready = !answer.done && answer.why === 'nothing' && state.head !== (order.beginning.head ?? undefined);
  if (!answer.done && !isMadeAlready) return heldBy(answer);
  const { sha, files } = await afterCommit(git, order, paths);
  return { state: 'made', sha, files: files.length };
}

function heldBy(answer: Refusal): HeldCommit | null {
  return answer.why === 'nothing' ? null : { state: 'held', why: answer.why, said: answer.said.slice(-4_000) };
}

/**
 * Paths in conflict that were solved in the file alone: both sides had it, its marks were there when the turn began, and are gone.
 * Others (deleted on one side, binary) are solved by `git add` or `git rm` only, for nothing in the file tells.
 */
async function solvedPaths(git: Git, changed: readonly ChangedPath[], before: string): Promise<Set<string>> {
  const solved = new Set<string>();
  for (const { path, unmerged, sides } of changed) {
    if (!unmerged || (sides !== 'UU' && sides !== 'AA')) continue;
    const text = await textOf(git, path);
    if (text === undefined || hasMarkers(text)) continue;
    const earlier = await git.content(before, path);
    if (earlier && hasMarkers(earlier.toString('utf8'))) solved.add(path);
  }
  return solved;
}

/** Held turns of which nothing is left to commit, now that `left` is all that differs from HEAD. */
export async function settledBy(git: Git, held: readonly HeldTurn[], left: readonly ChangedPath[]): Promise<string[]> {
  const waiting = new Set(pathsOf(left));
  const settled: string[] = [];
  for (const { turnId, from, to } of held) {
    try {
      if (!(await difference(git, from, to)).some(({ path }) => waiting.has(path))) settled.push(turnId);
    } catch (error) {
      if (!(error instanceof GitError) || error.reason !== 'failed') throw error; // Its trees are gone; it stays held.
    }
  }
  return settled;
}

export interface CommitAgainOrder extends Pick<CommitWorkOrder, 'branch' | 'links' | 'beginning' | 'message'> {
  /** Tree at the end of the turn: with `beginning` it says which paths are its work. */
  end: string;
  /** HEAD at its end. */
  endHead: string | undefined;
  /** Only these paths among them. */
  only?: ReadonlySet<string>;
}

/** Commits what is left of a turn's work, as its files are now, on a person's word. `left` is what differs from HEAD afterwards. */
export async function commitAgain(git: Git, order: CommitAgainOrder): Promise<{ commit: Commit | null; left: ChangedPath[] }> {
  const { only, links } = order;
  let commit: Commit | null = null;
  for (let hookMayMend = true; ; hookMayMend = false) {
    const found = await worktreeState(git);
    const before = await snapshot(git, found, links);
    commit = await commitWork(git, { ...order, held: [], mends: null, byPerson: true, only }, found, {
      tree: order.end,
      unreadable: [],
    });
    if (commit?.state !== 'held' || commit.why !== 'refused' || !hookMayMend) break;
    if ((await snapshot(git, await worktreeState(git), links)).tree === before.tree) break;
  }
  return { commit, left: changedWithout((await worktreeState(git)).changed, links) };
}
