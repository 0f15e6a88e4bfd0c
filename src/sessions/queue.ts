/**
 * The queue of turns: everything a person can do to it, each in one durable transaction. Nothing here waits for git, for
 * setup or for an agent (invariant 5), and nothing here starts anything: the reconcilers see what changed.
 */
import { isAbsolute } from 'node:path';
import { branchNameFromPrompt, branchNameProblem, titleFromPrompt } from '../model/branchNames.ts';
import { RefusedError } from '../model/errors.ts';
import type { Clock, IdSource } from '../model/ids.ts';
import { positionBetween } from '../model/order.ts';
import { newBranch, newSession, newTurn, notRun } from '../model/rows.ts';
import { canTurnBecome, isActive, turnTransition, worktreeTransition } from '../model/transitions.ts';
import type { Attachment, Branch, Session, SessionKind, Turn } from '../model/types.ts';
import { keepAttachment, type NewAttachment } from '../store/attachments.ts';
import type { StoreFileSystem } from '../store/fileSystem.ts';
import type { Store, Transaction } from '../store/store.ts';
import { branchSeen, headSeen, namedSeen } from '../git/refFiles.ts';
import { type FoundRepository, findRepository } from '../git/repository.ts';
import { tryAgent } from './agentWaits.ts';

export interface NewSession {
  /** A path in the repository; without it, the workspace's first repository. */
  repository?: string | undefined;
  /** Without it, a name is made from the prompt. */
  branch?: string | undefined;
  base?: string | undefined;
  kind?: SessionKind | undefined;
  agent?: string | undefined;
  prompt: string;
  title?: string | undefined;
  attachments?: NewAttachment[] | undefined;
  /** Before all that waits on its branch; a pause by a failure is over with that. */
  runsNext?: boolean;
}

export interface QueuedIds {
  branchId: string;
  sessionId: string;
  turnId: string;
}

export interface QueueOptions {
  store: Store;
  files: StoreFileSystem;
  /** The storage's folder, for attachments. */
  folder: string;
  newId: IdSource;
  now: Clock;
  /** Paths of the folders that are open, the first one first. */
  openFolders: () => string[];
  defaultAgent: () => string;
  /** Ids of all agents that are defined. */
  agents: () => readonly string[];
}

const longestPrompt = 1_000_000;

export class Queue {
  readonly #options: QueueOptions;
  readonly #store: Store;
  #lastPosition: number;
  /** Names given to branches that are not durable yet. */
  readonly #namesOnTheirWay = new Set<string>();

  constructor(options: QueueOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#lastPosition = Math.floor(options.store.state.lastPosition);
  }

  /** Queues a session; resolves with its ids once it is durable. Rejects with RefusedError or StorageError, and changes nothing. */
  async enqueue(input: NewSession): Promise<QueuedIds> {
    checkPrompt(input.prompt, input.attachments);
    const found = this.#repositoryOf(input.repository);
    const { repository } = found;
    if (input.base === '') throw new RefusedError('The base is empty. Name a branch or commit, or leave it out.');
    if (input.base?.startsWith('-'))
      throw new RefusedError(`"${input.base}" can't be a base: it starts with a dash. Name a branch or commit.`);
    if (input.title === '')
      throw new RefusedError('The title is empty. Give one, or leave it out to have it made from the prompt.');
    if (input.branch !== undefined) {
      const problem = branchNameProblem(input.branch);
      if (problem) throw new RefusedError(`"${input.branch}" can't be the name of a branch: ${problem}. Choose another name.`);
    }
    this.#checkAgent(input.agent);
    const seen = seenNow(found, input);
    const attachments = await this.#keepAttachments(input.attachments);
    const name = input.branch ?? this.#nameFor(found, input.prompt);
    const onItsWay = `${repository}\0${name.toLowerCase()}`;
    if (input.branch === undefined) this.#namesOnTheirWay.add(onItsWay);
    try {
      return await this.#store.commit((tx) => {
        const branchId = this.#branchFor(tx, repository, name, seen);
        const session = this.#newSession(branchId, input, tx.nextEvent());
        tx.insert('session', session);
        const turnId = this.#addTurn(tx, session, input.prompt, attachments);
        if (input.runsNext) this.#runNext(tx, turnId);
        return { branchId, sessionId: session.id, turnId };
      });
    } finally {
      this.#namesOnTheirWay.delete(onItsWay);
    }
  }

  /** Queues a further message in a session, at the end of its branch's line. */
  async enqueueTurn(
    sessionId: string,
    input: { prompt: string; attachments?: NewAttachment[] | undefined; mends?: string },
  ): Promise<QueuedIds> {
    checkPrompt(input.prompt, input.attachments);
    const attachments = await this.#keepAttachments(input.attachments);
    return this.#store.commit((tx) => {
      const session = openSession(tx, sessionId);
      const turnId = this.#addTurn(tx, session, input.prompt, attachments, input.mends ?? null);
      if (input.mends !== undefined) this.#runNext(tx, turnId);
      return { branchId: session.branchId, sessionId, turnId };
    });
  }

  /** A turn for an agent that nobody defined would wait for ever. */
  #checkAgent(given: string | undefined): void {
    const agent = given ?? this.#options.defaultAgent();
    const agents = this.#options.agents();
    if (agents.includes(agent)) return;
    const there = `There ${agents.length === 1 ? 'is' : 'are'} ${agents.map((id) => `"${id}"`).join(', ')}.`;
    throw new RefusedError(
      given === undefined
        ? `The setting "branchline.defaultAgent" names "${agent}", which is no agent. ${there} Mend the setting, or choose an agent.`
        : `There is no agent "${agent}". ${there} Choose one of them, or define it in the setting "branchline.agents".`,
    );
  }

  /** What takes the place of a turn that failed comes first; the pause that it caused is over with that. */
  #runNext(tx: Transaction, turnId: string): void {
    const turn = queuedTurn(tx, turnId, 'moved');
    this.#place(
      tx,
      turn,
      queuedOf(tx, turn.branchId).filter((other) => other.id !== turnId),
      0,
    );
    if (tx.get('branch', turn.branchId)?.paused === 'failure') tx.update('branch', turn.branchId, { paused: 'no' });
  }

  edit(turnId: string, prompt: string): Promise<void> {
    checkPrompt(prompt, undefined);
    return this.#store.commit((tx) => {
      const turn = queuedTurn(tx, turnId, 'edited');
      if (turn.goesOn)
        throw new RefusedError(
          'This turn has begun and waits for its agent, so its prompt stays as it is. Queue a follow-up instead.',
        );
      const session = tx.get('session', turn.sessionId);
      tx.update('turn', turnId, { prompt });
      if (session && session.title === titleFromPrompt(turn.prompt))
        tx.update('session', session.id, { title: titleFromPrompt(prompt) });
      tx.event('edited', turn.branchId, turnId);
    });
  }

  /**
   * Takes out a turn that has not run, or that failed; a session or branch of which nothing is left goes with it.
   * `restore` puts all of it back in its place.
   */
  async remove(turnId: string): Promise<{ restore: () => Promise<void> }> {
    const removed = await this.#store.commit(
      (tx) => {
        const turn = someTurn(tx, turnId);
        if (isActive(turn.state)) throw new RefusedError('This turn is running. Cancel it first.');
        if (turn.state === 'completed')
          throw new RefusedError('This turn has run; its transcript is kept. Remove the branch to clear it away.');
        const session = tx.get('session', turn.sessionId) as Session;
        const branch = tx.get('branch', turn.branchId) as Branch;
        tx.event('removed', turn.branchId, turnId);
        tx.remove('turn', turnId);
        if (tx.select('turn', 'sessionId = ? LIMIT 1', [turn.sessionId]).length === 0) {
          tx.remove('session', turn.sessionId);
          if (branch.worktreeState === 'queued' && tx.select('session', 'branchId = ? LIMIT 1', [branch.id]).length === 0)
            tx.remove('branch', branch.id);
        }
        return { turn, session, branch };
      },
      { essential: true },
    );
    return { restore: () => this.#restore(removed) };
  }

  #restore({ turn, session, branch }: { turn: Turn; session: Session; branch: Branch }): Promise<void> {
    return this.#store.commit((tx) => {
      if (tx.get('turn', turn.id)) return;
      const home = tx.get('branch', branch.id);
      if (
        home &&
        home.worktreeState !== branch.worktreeState &&
        (home.worktreeState === 'removing' || home.worktreeState === 'removed')
      ) {
        throw new RefusedError(`"${branch.name}" was removed meanwhile. Queue the turn anew.`);
      }
      const sameName = tx.select('branch', 'repository = ? AND name = ?', [branch.repository, branch.name])[0];
      if (!home && !sameName) tx.insert('branch', branch);
      const branchId = home?.id ?? sameName?.id ?? branch.id;
      if (!tx.get('session', session.id)) tx.insert('session', { ...session, branchId });
      tx.insert('turn', { ...turn, branchId });
      tx.event('restored', branchId, turn.id);
    });
  }

  /** Puts a queued turn before another one of its branch, or at the end for null. One that has been taken meanwhile counts as the first. */
  move(turnId: string, target: { before: string | null }): Promise<void> {
    return this.#store.commit((tx) => {
      const turn = queuedTurn(tx, turnId, 'moved');
      if (target.before === turnId) return;
      const line = queuedOf(tx, turn.branchId).filter((other) => other.id !== turnId);
      let place = line.length;
      if (target.before !== null) {
        const before = someTurn(tx, target.before);
        if (before.branchId !== turn.branchId) throw new RefusedError('A turn can only be moved within its own branch.');
        place = before.state === 'queued' ? line.findIndex((other) => other.id === before.id) : 0;
      }
      this.#place(tx, turn, line, place);
    });
  }

  moveBy(turnId: string, steps: number): Promise<void> {
    return this.#store.commit((tx) => {
      const turn = queuedTurn(tx, turnId, 'moved');
      const line = queuedOf(tx, turn.branchId);
      const place = line.findIndex((other) => other.id === turnId);
      const wanted = Math.min(Math.max(place + steps, 0), line.length - 1);
      if (wanted !== place)
        this.#place(
          tx,
          turn,
          line.filter((other) => other.id !== turnId),
          wanted,
        );
    });
  }

  /** Ends a turn: one that waits at once, one that runs by its agent host, which the dispatcher asks. */
  cancel(turnId: string): Promise<void> {
    return this.#store.commit((tx) => this.#cancel(tx, someTurn(tx, turnId)), { essential: true });
  }

  #cancel(tx: Transaction, turn: Turn): void {
    if (isActive(turn.state)) {
      if (!turn.cancelRequested) tx.update('turn', turn.id, { cancelRequested: true });
    } else {
      if (!canTurnBecome(turn.state, 'cancelled'))
        throw new RefusedError('This turn has ended already, so there is nothing to cancel.');
      const endedOrder = tx.event('cancelled', turn.branchId, turn.id);
      tx.update('turn', turn.id, { state: turnTransition(turn.state, 'cancelled'), endedAt: this.#options.now(), endedOrder });
    }
  }

  /** Queues a turn again in its old place. A pause that its failure caused is lifted, one by a person is not; a worktree that failed is tried again. */
  retry(turnId: string): Promise<void> {
    return this.#store.commit((tx) => {
      const turn = someTurn(tx, turnId);
      if (!canTurnBecome(turn.state, 'queued') || isActive(turn.state)) {
        throw new RefusedError(
          turn.state === 'completed'
            ? 'This turn completed; queue a follow-up instead.'
            : "This turn has not ended, so it can't be retried.",
        );
      }
      openSession(tx, turn.sessionId);
      tx.update('turn', turnId, {
        ...notRun,
        state: turnTransition(turn.state, 'queued'),
      });
      const branch = tx.get('branch', turn.branchId);
      if (branch?.paused === 'failure') tx.update('branch', branch.id, { paused: 'no' });
      if (branch?.worktreeState === 'failed') this.#retryProvisioning(tx, branch);
      tx.event('requeued', turn.branchId, turnId);
    });
  }

  /** Runs this turn next: it goes to the front, what runs now is cancelled, and a pause is lifted. */
  sendNow(turnId: string): Promise<void> {
    return this.#store.commit((tx) => {
      const turn = queuedTurn(tx, turnId, 'sent now');
      const line = queuedOf(tx, turn.branchId).filter((other) => other.id !== turnId);
      this.#place(tx, turn, line, 0);
      for (const active of tx.select('turn', "branchId = ? AND state IN ('starting', 'running')", [turn.branchId]))
        this.#cancel(tx, active);
      tx.update('branch', turn.branchId, { paused: 'no' });
    });
  }

  /** Says that it is time for an agent that could not work: one turn tries it. */
  tryAgent(agent: string): Promise<void> {
    return this.#store.commit((tx) => tryAgent(tx, agent, this.#options.now()));
  }

  /** Pauses each branch whose next turn waits for this agent. */
  pauseForAgent(agent: string): Promise<void> {
    return this.#store.commit((tx) => {
      for (const branchId of this.#store.state.branchesWithWork()) {
        const head = this.#store.state.line(branchId)[0];
        if (head?.state !== 'queued' || tx.get('session', head.sessionId)?.agent !== agent) continue;
        if (tx.get('branch', branchId)?.paused !== 'no') continue;
        tx.update('branch', branchId, { paused: 'user' });
        tx.event('paused', branchId);
      }
    });
  }

  pause(branchId: string): Promise<void> {
    return this.#setPaused(branchId, 'user', 'paused');
  }
  resume(branchId: string): Promise<void> {
    return this.#setPaused(branchId, 'no', 'resumed');
  }

  #setPaused(branchId: string, paused: Branch['paused'], event: string): Promise<void> {
    return this.#store.commit((tx) => {
      const branch = someBranch(tx, branchId);
      if (branch.paused === paused) return;
      tx.update('branch', branchId, { paused });
      tx.event(event, branchId);
    });
  }

  /** Lets provisioning go on at the step that failed. */
  retryProvisioning(branchId: string): Promise<void> {
    return this.#store.commit((tx) => {
      const branch = someBranch(tx, branchId);
      if (branch.worktreeState === 'removalFailed' || branch.worktreeState === 'unreachable') {
        tx.update('branch', branchId, {
          worktreeState: worktreeTransition(branch.worktreeState, 'provisioning'),
          worktreeStep: 'createWorktree',
          worktreeError: null,
          changedAt: this.#options.now(),
        });
        tx.event('worktree:retried', branchId);
        return;
      }
      if (branch.worktreeState !== 'failed') {
        if (branch.worktreeState === 'ready' && branch.backgroundSetup === 'failed') {
          tx.update('branch', branchId, { backgroundSetup: 'pending', worktreeError: null });
          return;
        }
        throw new RefusedError(`The worktree of "${branch.name}" has not failed, so there is nothing to retry.`);
      }
      this.#retryProvisioning(tx, branch);
    });
  }

  #retryProvisioning(tx: Transaction, branch: Branch): void {
    tx.update('branch', branch.id, {
      worktreeState: worktreeTransition('failed', branch.worktreeStep ? 'provisioning' : 'queued'),
      changedAt: this.#options.now(),
    });
    tx.event('worktree:retried', branch.id);
  }

  /** Takes the mark off a branch or session that a person has looked at (requirement 53). */
  async markSeen(ids: { branchId?: string | undefined; sessionId?: string | undefined }): Promise<void> {
    const branch = ids.branchId ? this.#store.state.branch(ids.branchId) : undefined;
    const session = ids.sessionId ? this.#store.state.session(ids.sessionId) : undefined;
    if (!branch?.unread && !session?.unread) return;
    await this.#store.commit((tx) => {
      if (branch && tx.get('branch', branch.id)?.unread) tx.update('branch', branch.id, { unread: false });
      if (session && tx.get('session', session.id)?.unread) tx.update('session', session.id, { unread: false });
    });
  }

  #repositoryOf(given: string | undefined): FoundRepository {
    if (given !== undefined) {
      const found = isAbsolute(given) ? findRepository(given) : undefined;
      if (!found) throw new RefusedError(`"${given}" is not a folder in a git repository. Give the absolute path of one.`);
      return found;
    }
    for (const folder of this.#options.openFolders()) {
      const found = findRepository(folder);
      if (found) return found;
    }
    throw new RefusedError('No git repository is open. Open a folder that is one, or initialise one, and try again.');
  }

  #nameFor({ repository, commonFolder }: FoundRepository, prompt: string): string {
    const names = new Set<string>();
    for (const branch of this.#store.state.branches()) {
      if (branch.repository === repository) names.add(branch.name.toLowerCase());
    }
    return branchNameFromPrompt(
      prompt,
      (name) => names.has(name) || this.#namesOnTheirWay.has(`${repository}\0${name}`) || branchSeen(commonFolder, name),
    );
  }

  #branchFor(tx: Transaction, repository: string, name: string, seen: BranchSeen): string {
    const known =
      this.#store.state.branchNamed(repository, name) ??
      tx.select('branch', 'repository = ? AND name = ?', [repository, name])[0];
    const branch = known && tx.get('branch', known.id);
    const now = this.#options.now();
    if (!branch) {
      const id = this.#options.newId();
      tx.insert('branch', newBranch({ id, repository, name, createdAt: now, madeOrder: tx.nextEvent(), ...seen }));
      return id;
    }
    if (branch.worktreeState === 'removing') throw new RefusedError(`"${name}" is being removed. Try again in a moment.`);
    if (branch.worktreeState === 'removed') {
      tx.update('branch', branch.id, {
        worktreeState: worktreeTransition('removed', 'queued'),
        worktreeStep: null,
        worktreePath: null,
        worktreeError: null,
        baseSha: null,
        adopted: false,
        backgroundSetup: 'none',
        preparation: null,
        paused: 'no',
        changedAt: now,
        ...seen,
      });
    }
    // It is wanted again: what is left of it is made whole.
    if (branch.worktreeState === 'removalFailed')
      tx.update('branch', branch.id, {
        worktreeState: worktreeTransition('removalFailed', 'provisioning'),
        worktreeStep: 'createWorktree',
        worktreeError: null,
        changedAt: now,
      });
    return branch.id;
  }

  #newSession(branchId: string, input: NewSession, madeOrder: number): Session {
    return newSession({
      id: this.#options.newId(),
      branchId,
      kind: input.kind ?? 'commit',
      agent: input.agent ?? this.#options.defaultAgent(),
      title: input.title ?? titleFromPrompt(input.prompt),
      createdAt: this.#options.now(),
      madeOrder,
    });
  }

  #addTurn(tx: Transaction, session: Session, prompt: string, attachments: Attachment[], mends: string | null = null): string {
    const id = this.#options.newId();
    this.#lastPosition = Math.max(this.#lastPosition, Math.floor(this.#store.state.lastPosition)) + 1;
    tx.insert(
      'turn',
      newTurn({
        id,
        sessionId: session.id,
        branchId: session.branchId,
        prompt,
        attachments,
        position: this.#lastPosition,
        queuedAt: this.#options.now(),
        mends,
      }),
    );
    tx.event('queued', session.branchId, id);
    return id;
  }

  /** Gives `turn` a position at `place` among `line` (the others, in order); the whole line is numbered anew where no number is left. */
  #place(tx: Transaction, turn: Turn, line: readonly Turn[], place: number): void {
    const position = positionBetween(line[place - 1]?.position, line[place]?.position);
    if (position !== undefined) tx.update('turn', turn.id, { position });
    else {
      const whole = [...line.slice(0, place), turn, ...line.slice(place)];
      const first = Math.min(...whole.map((one) => one.position));
      for (const [index, one] of whole.entries()) tx.update('turn', one.id, { position: first + index });
    }
    tx.event('moved', turn.branchId, turn.id);
  }

  async #keepAttachments(attachments: NewAttachment[] | undefined): Promise<Attachment[]> {
    const kept: Attachment[] = [];
    for (const attachment of attachments ?? [])
      kept.push(await keepAttachment(this.#options.files, this.#options.folder, attachment));
    return kept;
  }
}

type BranchSeen = Pick<Branch, 'base' | 'checkout' | 'headRef' | 'headSha' | 'nameMade'>;

/** What is in the repository's files now is what the person saw; git decides later what it means. */
function seenNow(
  found: FoundRepository,
  { base = null, branch }: { base?: string | null | undefined; branch?: string | undefined },
): BranchSeen {
  const head = base === null ? headSeen(found) : { ref: null, sha: namedSeen(found.commonFolder, base) ?? null };
  return { base, checkout: found.checkout, headRef: head.ref, headSha: head.sha, nameMade: branch === undefined };
}

function checkPrompt(prompt: string, attachments: readonly unknown[] | undefined): void {
  if (prompt.trim() === '' && !attachments?.length)
    throw new RefusedError('The prompt is empty. Write what the agent should do.');
  if (prompt.length > longestPrompt)
    throw new RefusedError('The prompt is longer than a million characters. Put the text in a file and attach it.');
}

function someTurn(tx: Transaction, turnId: string): Turn {
  const turn = tx.get('turn', turnId);
  if (!turn) throw new RefusedError('This turn is not in the queue any more.');
  return turn;
}

function queuedTurn(tx: Transaction, turnId: string, what: string): Turn {
  const turn = someTurn(tx, turnId);
  if (turn.state !== 'queued') throw new RefusedError(`This turn has started already, so it can't be ${what}.`);
  return turn;
}

function queuedOf(tx: Transaction, branchId: string): Turn[] {
  return tx.select('turn', "branchId = ? AND state = 'queued' ORDER BY position, id", [branchId]);
}

function someBranch(tx: Transaction, branchId: string): Branch {
  const branch = tx.get('branch', branchId);
  if (!branch || branch.worktreeState === 'removed') throw new RefusedError('This branch is not in Branchline any more.');
  return branch;
}

function openSession(tx: Transaction, sessionId: string): Session {
  const session = tx.get('session', sessionId);
  if (!session) throw new RefusedError('This session is not there any more. Queue a new one.');
  if (session.closed) throw new RefusedError('This session was closed. Queue a new one.');
  if (session.retired) throw new RefusedError(session.retired);
  const branch = tx.get('branch', session.branchId);
  if (!branch || branch.worktreeState === 'removing' || branch.worktreeState === 'removed') {
    throw new RefusedError(
      `"${branch?.name ?? 'The branch'}" was removed, and its sessions with it. Queue a new session; the transcript is kept.`,
    );
  }
  return session;
}
