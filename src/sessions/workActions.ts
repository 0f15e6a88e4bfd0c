/**
 * What a person does about the work of a turn that has ended: commit it (again), discard it, or go back to before it. All hold the
 * worktree's claim, so no agent works there meanwhile, in whatever window.
 */
import { existsSync } from 'node:fs';
import { Git, GitError } from '../git/git.ts';
import { inTheWay, writeBack } from '../git/restore.ts';
import { type ChangedFile, difference, keep, snapshot, turnRef } from '../git/trees.ts';
import { isOnBranch, worktreeState } from '../git/worktrees.ts';
import { messageOf, RefusedError } from '../model/errors.ts';
import { canTurnBecome, isActive, isEnded } from '../model/transitions.ts';
import type { Branch, Session, Turn } from '../model/types.ts';
import { claimNow, worktreeClaim } from '../platform/claims.ts';
import type { Log } from '../platform/log.ts';
import type { Store } from '../store/store.ts';
import { commitAgain, settledBy } from '../work/turnWork.ts';
import { linksOf } from '../worktrees/preparation.ts';
import { commitMessage } from './commitMessage.ts';
import { heldTurns } from './heldTurns.ts';
import type { Queue, QueuedIds } from './queue.ts';
import { settle } from './turnEnd.ts';
import { heldInWords } from './words.ts';

export interface WorkActionsOptions {
  store: Store;
  queue: Queue;
  /** Template of commit messages. */
  commitTemplate: () => string;
  log: Log;
  /** What commits; a parameter, so that a test can run histories without git. */
  committing?: Committing;
}

/** What is done with git to make a held commit. */
export interface Committing {
  commitAgain: typeof commitAgain;
  settledBy: typeof settledBy;
  /** Takes away the ref that kept the work of a turn, where the commit `sha` has all that it kept up to the tree `end`. */
  dropRef: (git: Git, turn: Turn, end: string, sha: string) => Promise<void>;
}

const withGit: Committing = {
  commitAgain,
  settledBy,
  dropRef: async (git, { id, startSha, startTree }, end, sha) => {
    const [before, after] = [await git.ask('rev-parse', `${end}^{tree}`), await git.ask('rev-parse', `${sha}^{tree}`)];
    if (startTree === startSha && before === after) await git.run('update-ref', '-d', turnRef(id));
  },
};

/** Hooks may run tests; milliseconds. */
const commitLimit = 10 * 60_000;

interface AtWork {
  turn: Turn;
  session: Session;
  branch: Branch;
  git: Git;
  links: string[];
}

/** What going back would undo. */
export interface RestorePlan {
  files: ChangedFile[];
  /** Turns of the branch that ran since, the given one included, oldest first. */
  turns: Turn[];
}

/** What going back has done. */
export interface Restored {
  /** Tree of the files as they were before: undoes it. */
  undo: string;
  files: string[];
  /** Of the commit that undoes what was committed. */
  sha?: string;
  /** Why that commit was not made: the files are back, and stand uncommitted. */
  held?: string;
}

export class WorkActions {
  readonly #options: WorkActionsOptions;
  readonly #committing: Committing;

  constructor(options: WorkActionsOptions) {
    this.#options = options;
    this.#committing = options.committing ?? withGit;
  }

  /** Runs a turn again; of one whose agent is done and whose commit is held, makes that commit and sends nothing. */
  async retry(turnId: string): Promise<void> {
    const turn = this.#turn(turnId);
    if (turn.commit?.state === 'held' && !canTurnBecome(turn.state, 'queued')) await this.commit(turnId);
    else await this.#options.queue.retry(turnId);
  }

  /**
   * Commits what is left of a turn's work, as the files are now. Rejects with RefusedError when there is nothing to commit, or when git
   * says no again: then its words are kept with the turn.
   */
  commit(turnId: string, { message }: { message?: string | undefined } = {}): Promise<{ sha: string; files: number }> {
    return this.#with(turnId, 'commit', async ({ turn, session, branch, git, links }) => {
      if (turn.commit?.state === 'made' && turn.work?.ref === undefined)
        throw new RefusedError('The work of this turn is committed already.');
      const end = await this.#endOf({ turn, branch, git, links });
      if (turn.startTree === null || end === null)
        throw new RefusedError(
          "What this turn changed is not known, so it can't be committed for it. Commit it in the worktree.",
        );
      if (message !== undefined && message.trim() === '')
        throw new RefusedError('The message is empty. Write one, or leave it out.');
      const { commit, left } = await this.#committing.commitAgain(git, {
        branch: branch.name,
        links,
        beginning: { head: turn.startSha, tree: turn.startTree, operation: null },
        end,
        endHead: turn.endSha ?? undefined,
        message: message ?? commitMessage(this.#options.commitTemplate(), { turn, session, branch }),
      });
      if (commit?.state !== 'made') {
        if (!commit)
          throw new RefusedError('Nothing of this turn is left to commit: its files are as they are in the last commit.');
        await this.#options.store.commit((tx) => {
          if (tx.get('turn', turnId)) tx.update('turn', turnId, { commit });
        });
        throw new RefusedError(heldInWords(commit, branch.name) ?? 'The commit was refused.');
      }
      const settled = await this.#committing.settledBy(git, heldTurns(this.#options.store.state.held(branch.id), turnId), left);
      const work = turn.work && { ...withoutRef(turn.work), ...(isUnseen(turn) ? { files: commit.files } : {}) };
      await this.#settled(turnId, { commit, work, endSha: commit.sha, endTree: end }, settled, commit.sha);
      await this.#dropRef(git, turn, end, commit.sha);
      return { sha: commit.sha, files: commit.files };
    });
  }

  /**
   * Takes back what a turn left uncommitted in the worktree. What was changed after it stays; returns those paths. Under a ref of ours it
   * can still be found until the time of keeping is over.
   */
  discard(turnId: string): Promise<{ discarded: string[]; kept: string[] }> {
    return this.#with(turnId, 'discard', async ({ turn, session, branch, git, links }) => {
      const end = await this.#endOf({ turn, branch, git, links });
      if (turn.startTree === null || end === null)
        throw new RefusedError("What this turn changed is not known, so it can't be taken back. Look at the worktree.");
      const found = await worktreeState(git);
      const { operation, operationId } = turn.commit?.state === 'held' ? turn.commit : {};
      // One that somebody has begun since is none of this turn's.
      const isItsOwn = found.operation?.kind === operation && (operationId === undefined || found.operation?.id === operationId);
      if (operation !== undefined && isItsOwn) {
        // What a person has solved of it by hand goes with it; it can be found again.
        const half = await snapshot(git, found, links);
        await keep(git, {
          ref: discardedRef(turnId),
          before: { head: turn.startSha ?? undefined, tree: turn.startTree },
          after: half,
          message: `Before the ${operation} was aborted: ${session.title}`,
        });
        await abort(git, operation);
      }
      const state = await worktreeState(git);
      const now = await snapshot(git, state, links);
      const changedNow = new Set(state.changed.map(({ path }) => path));
      const changedSince = new Set((await difference(git, end, now.tree)).map(({ path }) => path));
      const work = new Set((await difference(git, turn.startTree, end)).map(({ path }) => path));
      const back = (await difference(git, now.tree, turn.startTree)).filter(({ path }) => work.has(path) && changedNow.has(path));
      const taken = new Set(await inTheWay(git, back));
      const isKept = (path: string) => changedSince.has(path) || taken.has(path);
      const discarded = back.filter(({ path }) => !isKept(path));
      const kept = back.map(({ path }) => path).filter(isKept);
      if (discarded.length === 0 && turn.commit?.state !== 'held' && turn.work?.ref === undefined)
        throw new RefusedError('Nothing of this turn is left uncommitted, so there is nothing to discard.');
      await keep(git, {
        ref: discardedRef(turnId),
        before: { head: turn.startSha ?? undefined, tree: turn.startTree },
        after: { head: now.head, tree: now.tree },
        message: `Discarded: ${session.title}`,
      });
      await writeBack(git, turn.startTree, discarded);
      const commit = turn.commit?.state === 'made' ? turn.commit : null; // Of one that is made, only what it left out is taken back.
      await this.#settled(turnId, { commit, work: turn.work && withoutRef(turn.work) }, [], '');
      return { discarded: discarded.map(({ path }) => path), kept };
    });
  }

  /** What going back to before a turn would undo. */
  planRestore(turnId: string): Promise<RestorePlan> {
    return this.#with(turnId, 'look at', async ({ turn, branch, git, links }) => {
      const now = await snapshot(git, await worktreeState(git), links);
      return { files: await difference(git, now.tree, startOf(turn)), turns: this.#since(turn, branch) };
    });
  }

  /**
   * Makes the files what they were before a turn began. What was committed since is undone by a commit, the history stays. Returns what
   * undoes it: call `restoreTree` with it.
   */
  restore(turnId: string): Promise<Restored> {
    return this.#with(turnId, 'go back', (at) => this.#restoreTo(at, startOf(at.turn), `Restore to before: ${at.session.title}`));
  }

  /** Undoes a restore. */
  restoreTree(turnId: string, tree: string): Promise<Restored> {
    if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(tree)) throw new RefusedError('This is not the id of a tree.');
    return this.#with(turnId, 'go back', (at) => this.#restoreTo(at, tree, `Undo restore to before: ${at.session.title}`));
  }

  /** Queues a follow-up, next in line, that lets the agent mend what holds the commit. */
  async mend(turnId: string): Promise<QueuedIds> {
    const turn = this.#turn(turnId);
    const branch = this.#options.store.state.branch(turn.branchId) as Branch;
    const why = heldInWords(turn.commit, branch.name);
    if (why === undefined) throw new RefusedError('The commit of this turn is not held, so there is nothing to mend.');
    const prompt = [
      'Your changes could not be committed. Mend what is in the way and change nothing else; do not commit, that is done when you have finished.',
      '',
      why,
    ].join('\n');
    return this.#options.queue.enqueueTurn(turn.sessionId, { prompt, mends: turnId });
  }

  async #restoreTo({ turn, git, links, branch }: AtWork, tree: string, message: string): Promise<Restored> {
    const state = await worktreeState(git);
    if (state.operation)
      throw new RefusedError(
        `A ${state.operation.kind} is under way in this worktree. Finish it, or abort it (\`git ${state.operation.kind} --abort\`), then try again.`,
      );
    if (!isOnBranch(state, branch.name))
      throw new RefusedError(
        `The worktree is on ${state.branch ? `the branch "${state.branch}"` : 'no branch (detached HEAD)'} instead of "${branch.name}". Run \`git switch ${branch.name}\` in ${git.folder}, then try again.`,
      );
    const now = await snapshot(git, state, links);
    const files = (await difference(git, now.tree, tree)).filter(({ isRepository }) => !isRepository);
    if (files.length === 0) throw new RefusedError('The files are what they were then, so there is nothing to undo.');
    const taken = await inTheWay(git, files);
    if (taken.length > 0)
      throw new RefusedError(
        `This would write over what git ignores or does not look at: ${taken.slice(0, 5).join(', ')}${taken.length > 5 ? ', …' : ''}. Move that away, then try again.`,
      );
    const undo = await keep(git, {
      ref: `refs/branchline/restores/${turn.id}`,
      before: { head: now.head, tree },
      after: now,
      message: `Before restoring: ${message}`,
    });
    const wasChanged = new Set(state.changed.map(({ path }) => path));
    await writeBack(git, tree, files);
    // What was committed is undone by a commit; what was left uncommitted then is left so again.
    const committed = files.map(({ path }) => path).filter((path) => !wasChanged.has(path));
    const { commit } = await commitAgain(git, {
      branch: branch.name,
      links,
      beginning: { head: now.head ?? null, tree: now.tree, operation: null },
      end: tree,
      endHead: undefined,
      only: new Set(committed),
      message,
    });
    const held = heldInWords(commit, branch.name);
    return {
      undo,
      files: files.map(({ path }) => path),
      ...(commit?.state === 'made' ? { sha: commit.sha } : {}),
      ...(held === undefined ? {} : { held }),
    };
  }

  /** The content at the end of a turn. One that could not be looked at then is what is there now, as long as nothing ran on the branch since; else null. */
  async #endOf({ turn, branch, git, links }: Omit<AtWork, 'session'>): Promise<string | null> {
    if (!isUnseen(turn)) return turn.endTree;
    if (this.#since(turn, branch).some(({ id }) => id !== turn.id)) return null;
    return (await snapshot(git, await worktreeState(git), links)).tree;
  }

  #since(turn: Turn, branch: Branch): Turn[] {
    const { state } = this.#options.store;
    return state
      .sessionsOf(branch.id)
      .flatMap((session) => state.turnsOf(session.id))
      .filter((other) => isEnded(other.state) && other.startTree !== null && (other.endedOrder ?? 0) >= (turn.endedOrder ?? 0))
      .sort((a, b) => (a.endedOrder ?? 0) - (b.endedOrder ?? 0));
  }

  #turn(turnId: string): Turn {
    const turn = this.#options.store.state.turn(turnId);
    if (!turn) throw new RefusedError('This turn is not in the queue any more.');
    return turn;
  }

  /** Does something in the worktree of a turn that has ended, with its claim. */
  async #with<T>(turnId: string, doing: string, action: (at: AtWork) => Promise<T>): Promise<T> {
    const { state } = this.#options.store;
    const turn = this.#turn(turnId);
    const session = state.session(turn.sessionId) as Session;
    const branch = state.branch(turn.branchId) as Branch;
    if (!isEnded(turn.state)) throw new RefusedError('This turn has not ended yet. Wait for it, or cancel it first.');
    const { worktreePath } = branch;
    if (branch.worktreeState !== 'ready' || worktreePath === null || !existsSync(worktreePath))
      throw new RefusedError(
        `The worktree of "${branch.name}" is not there, so there is nothing to ${doing}. What the turn left is kept under ${turn.work?.ref ?? turnRef(turnId)}.`,
      );
    if (state.line(branch.id).some((other) => isActive(other.state)))
      throw new RefusedError(`Another turn runs on "${branch.name}". Try again when it has ended.`);
    const held = await claimNow(worktreeClaim(worktreePath));
    if (!held) throw new RefusedError(`Something else writes in ${worktreePath} at the moment. Try again when it is done.`);
    try {
      return await action({ turn, session, branch, git: new Git(worktreePath, { limit: commitLimit }), links: linksOf(branch) });
    } catch (error) {
      if (error instanceof GitError) throw new RefusedError(messageOf(error), { cause: error });
      throw error;
    } finally {
      await held.release();
    }
  }

  /** Writes what became of a turn's work; a pause that it caused is over. */
  #settled(turnId: string, patch: Partial<Turn>, others: readonly string[], sha: string): Promise<void> {
    return this.#options.store.commit((tx) => {
      const turn = tx.get('turn', turnId);
      if (!turn) return;
      tx.update('turn', turnId, patch);
      tx.event(patch.commit ? 'committed' : 'discarded', turn.branchId, turnId);
      for (const id of others) settle(tx, id, sha);
      const isHeld = this.#options.store.state.held(turn.branchId).some(({ id }) => id !== turnId && !others.includes(id));
      if (!isHeld && tx.get('branch', turn.branchId)?.paused === 'failure') tx.update('branch', turn.branchId, { paused: 'no' });
    });
  }

  /** Takes away a ref that keeps only what commits have by now. Else a turn is looked at, and gone back, by the contents that it keeps. */
  async #dropRef(git: Git, turn: Turn, end: string, sha: string): Promise<void> {
    try {
      await this.#committing.dropRef(git, turn, end, sha);
    } catch (error) {
      this.#options.log(`Removing ${turnRef(turn.id)}: ${messageOf(error)}`, 'warn');
    }
  }
}

/** Where what was discarded can still be found. */
const discardedRef = (turnId: string): string => `refs/branchline/discarded/${turnId}`;

/** True when what a turn left could not be looked at when it ended (`unseen` in `work/turnWork.ts`). */
const isUnseen = ({ commit, work, startTree, endTree }: Turn): boolean =>
  commit?.state === 'held' && commit.why === 'stopped' && work?.files === 0 && startTree === endTree;

function startOf(turn: Turn): string {
  const tree = turn.startTree ?? turn.startSha;
  if (tree === null) throw new RefusedError('This turn has not begun, so there is nothing before it to go back to.');
  return tree;
}

function withoutRef<T extends { ref?: string | undefined }>({ ref: _, ...work }: T): Omit<T, 'ref'> {
  return work;
}

/** Gives up what is stopped half-way, as git does it. */
async function abort(git: Git, operation: string): Promise<void> {
  if (!['merge', 'rebase', 'cherry-pick', 'revert', 'am'].includes(operation)) return;
  await git.run(operation, '--abort').catch((error: unknown) => {
    throw new RefusedError(
      `git could not abort the ${operation}: ${messageOf(error)}. Do it in the worktree, then discard again.`,
    );
  });
}
