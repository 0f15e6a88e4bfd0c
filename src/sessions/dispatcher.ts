/**
 * Runs the line of each branch. A level-triggered reconciler: it looks at the store, asks `nextTurns`, starts them, and
 * writes what their agent hosts say. No event carries anything that it needs, so one that is lost or doubled stalls nothing.
 *
 * `starting` is durable before a host is told anything; the host writes the hand-over down before the agent gets the
 * prompt. So whoever dies when, it is known afterwards whether the prompt was sent.
 */
import { existsSync } from 'node:fs';
import type { Job, PermissionPolicy, TimeLimits, TurnStatus } from '../agentHost/protocol.ts';
import type { Catalog } from '../agents/catalog.ts';
import type { HostConnection } from '../agents/hostClient.ts';
import type { AgentHosts } from '../agents/hosts.ts';
import { messageOf, RefusedError, StorageError } from '../model/errors.ts';
import { isActive, turnTransition, worktreeTransition } from '../model/transitions.ts';
import type { Branch, Session, Turn } from '../model/types.ts';
import { Backoff } from '../platform/backoff.ts';
import type { Log } from '../platform/log.ts';
import { attachmentPath } from '../store/attachments.ts';
import { isMounted } from '../platform/mounts.ts';
import { linksOf } from '../worktrees/preparation.ts';
import { commitMessage } from './commitMessage.ts';
import type { Store, Transaction } from '../store/store.ts';
import { transcriptPath } from '../store/transcripts.ts';
import type { ReviewedTip } from '../worktrees/reviewedTip.ts';
import { agentWorks, beginsToTry, goOnWord, isProof } from './agentWaits.ts';
import { heldTurns } from './heldTurns.ts';
import { nextTurns, type QueueSnapshot, queueSnapshot } from './nextTurn.ts';
import type { TurnRecovery } from './recovery.ts';
import { applyConclusion, type EndOptions, endTurn, failQueuedTurn } from './turnEnd.ts';

export interface DispatcherOptions extends EndOptions {
  store: Store;
  hosts: AgentHosts;
  /** The storage's folder, for transcripts and attachments. */
  folder: string;
  catalog: () => Catalog;
  maxConcurrentTurns: () => number;
  permissions: () => PermissionPolicy;
  /** Template of commit messages. */
  commitTemplate: () => string;
  /** Finds out what became of turns whose host is not connected. */
  recovery: Pick<TurnRecovery, 'recover'>;
  keepRunning: () => boolean;
  timeLimits: TimeLimits;
  trusted: () => boolean;
  /** What a review that starts now is of. */
  tipOf: (branch: Branch) => Promise<ReviewedTip>;
  log: Log;
  /** Told what a person has to know and mend, once until it is over. */
  onProblem: (message: string) => void;
}

const shutdownTime = 8_000;
/** Milliseconds. */
const longestSleep = 60_000;

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #store: Store;
  /** Turns being started, by branch: not in the store as `starting` yet, but taken. */
  readonly #inFlight = new Map<string, string>();
  /** Turns that have been given a place by a change that is not durable yet. */
  readonly #placed = new Set<string>();
  /** Turns whose host's words are being written down. */
  readonly #following = new Set<string>();
  readonly #again = new Backoff(() => this.reconcile());
  #wake: NodeJS.Timeout | undefined;
  #hasToldOfTrouble = false;
  #disposed = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#store = options.store;
  }

  /** What `nextTurns` and `waitingFor` decide on. */
  snapshot(): QueueSnapshot {
    const { catalog, maxConcurrentTurns, trusted } = this.#options;
    return queueSnapshot(this.#store.state, {
      catalog: catalog(),
      limit: maxConcurrentTurns(),
      trusted: trusted(),
      inFlight: [...this.#inFlight.values()],
      now: this.#options.now(),
    });
  }

  /** Looks at every line and starts what may start. Returns at once. */
  reconcile(): void {
    if (this.#disposed || this.#store.mode !== 'open') return;
    const { state } = this.#store;
    for (const turn of state.active()) this.#lookAtActive(turn);
    this.#wakeInTime();
    const snapshot = this.snapshot();
    for (const turnId of nextTurns(snapshot, (branchId) => this.#inFlight.has(branchId))) {
      const turn = state.turn(turnId) as Turn;
      this.#inFlight.set(turn.branchId, turnId);
      this.#start(turn)
        .finally(() => this.#inFlight.delete(turn.branchId))
        .then(
          () => {
            this.#succeeded();
            this.reconcile();
          },
          (error) => this.#failed('Starting a turn', error),
        );
    }
    const waiting =
      snapshot.trusted &&
      Array.from(snapshot.branches.values()).some((branch) => branch.paused === 'no' && branch.line.at(-1)?.state === 'queued');
    if (waiting) this.#options.hosts.prepare();
  }

  /** Looks again when an agent that can't work now may be tried. A clock may jump and a machine sleep, so it looks at least every minute. */
  #wakeInTime(): void {
    clearTimeout(this.#wake);
    const times = Array.from(this.#store.state.agentWaits(), ({ until }) => until).filter((until) => until !== null);
    const ahead = times.map((until) => until - this.#options.now()).filter((time) => time > 0);
    if (ahead.length === 0) return;
    this.#wake = setTimeout(() => this.reconcile(), Math.min(...ahead, longestSleep));
    this.#wake.unref();
  }

  #lookAtActive(turn: Turn): void {
    if (this.#inFlight.get(turn.branchId) === turn.id) return;
    const client = turn.hostId ? this.#options.hosts.connected(turn.hostId) : undefined;
    if (!client) {
      this.#recover(turn.id);
      return;
    }
    if (turn.cancelRequested) client.cancel(turn.id);
    const { status } = client;
    if (status?.turnId !== turn.id || status.attempt !== turn.attempt) return;
    const wait = this.#store.state.agentWait(this.#agentOf(status));
    if (isNews(status, turn) || (status.works && wait && isProof(turn, wait))) this.follow(client, status);
  }

  /** Writes down what a host says of its turn; what can't be written now is written when it can. */
  follow(client: HostConnection, status: TurnStatus): void {
    if (status.message !== null && status.state !== 'ended') this.#tell(status.message);
    if (this.#following.has(status.turnId)) return; // It looks again when that is written.
    this.#following.add(status.turnId);
    this.applyStatus(client, status)
      .finally(() => this.#following.delete(status.turnId))
      .then(
        () => {
          this.#succeeded();
          const turn = this.#store.state.turn(status.turnId);
          if (turn && isActive(turn.state) && !this.#disposed) this.#lookAtActive(turn);
        },
        (error) => this.#failed('Following a turn', error),
      );
  }

  #succeeded(): void {
    this.#again.succeeded();
    this.#hasToldOfTrouble = false;
  }

  /** Nothing was changed, so looking again later is all that is needed. */
  #failed(doing: string, error: unknown): void {
    if (this.#disposed) return;
    this.#options.log(`${doing}: ${messageOf(error)}`, 'error');
    if (error instanceof StorageError && this.#store.mode === 'open') this.#tell(error.message);
    this.#again.failed();
  }

  #tell(trouble: string): void {
    if (this.#hasToldOfTrouble) return;
    this.#hasToldOfTrouble = true;
    this.#options.onProblem(`The queue waits: ${trouble} It goes on by itself then.`);
  }

  async #start(turn: Turn): Promise<void> {
    const { catalog } = this.#options;
    const { state } = this.#store;
    const session = state.session(turn.sessionId) as Session;
    const branch = state.branch(turn.branchId) as Branch;
    const program = catalog().find(session.agent);
    if (!program || !branch.worktreePath) return;
    if (!existsSync(branch.worktreePath)) return this.#markGone(branch);
    const unusable = unusableSession(session, branch);
    if (unusable) return this.#failQueued(turn, unusable);

    let client: HostConnection | undefined;
    let handedOver = false;
    try {
      client = await this.#hostFor(session, branch.id);
      const review = session.kind === 'review' ? await this.#options.tipOf(branch) : {};
      const started = await this.#markStarting(turn, client.hostId, review);
      if (!started) return; // The queue changed meanwhile.
      client.run(this.#jobFor(started, this.#store.state.session(session.id) as Session, branch, program));
      handedOver = true;
      if (this.#store.state.turn(turn.id)?.cancelRequested) client.cancel(turn.id);
    } catch (error) {
      if (error instanceof StorageError) throw error;
      await this.#failQueued(turn, messageOf(error));
    } finally {
      if (client && !handedOver) this.#options.hosts.giveBack(client);
    }
  }

  /** Makes it durable that the turn is about to be handed to this host; undefined when it may not start any more. */
  #markStarting(turn: Turn, hostId: string, review: Partial<Session>): Promise<Turn | undefined> {
    const { now, trusted } = this.#options;
    return this.#store
      .commit((tx) => {
        const row = tx.get('turn', turn.id);
        const home = tx.get('branch', turn.branchId);
        if (!trusted() || !this.#hasPlace()) return undefined;
        if (row?.state !== 'queued' || home?.worktreeState !== 'ready' || home.paused !== 'no') return undefined;
        if (tx.select('turn', "branchId = ? AND state IN ('starting', 'running') LIMIT 1", [turn.branchId]).length > 0)
          return undefined;
        if (!home.worktreePath || !existsSync(home.worktreePath)) return undefined; // It was deleted meanwhile, which is found at the next look.
        if (headOf(tx, turn.branchId)?.id !== turn.id) return undefined; // Another one was put before it meanwhile.
        const patch = {
          state: turnTransition(row.state, 'starting'),
          hostId,
          attempt: row.attempt + 1,
          startedAt: now(),
          cancelRequested: false,
        };
        tx.update('turn', row.id, patch);
        tx.update('session', row.sessionId, { ...review, worktreePath: home.worktreePath });
        const agent = tx.get('session', row.sessionId)?.agent;
        if (agent !== undefined) beginsToTry(tx, agent, patch.startedAt);
        tx.event('starting', row.branchId, row.id);
        this.#placed.add(row.id);
        return { ...row, ...patch };
      })
      .finally(() => this.#placed.delete(turn.id));
  }

  /** Whether one more turn may be active: the limit may have been lowered since this one was chosen, or a question answered. */
  #hasPlace(): boolean {
    const active = new Set(this.#placed);
    for (const { id, permission } of this.#store.state.active()) if (permission === null) active.add(id);
    return active.size < this.#options.maxConcurrentTurns();
  }

  #jobFor(turn: Turn, session: Session, branch: Branch, agent: Job['agent']): Job {
    const { folder, keepRunning, permissions, timeLimits, commitTemplate } = this.#options;
    return {
      turnId: turn.id,
      attempt: turn.attempt,
      sessionId: session.id,
      kind: session.kind,
      title: session.title,
      prompt: turn.prompt,
      attachments: turn.attachments.map((attachment) => ({ ...attachment, path: attachmentPath(folder, attachment.sha256) })),
      repository: branch.repository,
      branch: branch.name,
      worktree: branch.worktreePath as string,
      transcript: transcriptPath(folder, session.id),
      agent,
      agentSessionId: session.agentSessionId,
      isFresh: !this.#store.state
        .turnsOf(session.id)
        .some((one) => one.startSha !== null || one.startTree !== null || one.goesOn !== null),
      goesOn: turn.goesOn ? { text: goOnWord, beginning: turn.goesOn.beginning, stoppedTree: turn.endTree } : null,
      permissions: permissions(),
      links: linksOf(branch),
      commitMessage: commitMessage(commitTemplate(), { turn, session, branch }),
      held: heldTurns(this.#store.state.held(branch.id), turn.id),
      mends: turn.mends,
      keepRunning: keepRunning(),
      timeLimits,
    };
  }

  /** The host of this session that is still there, or one without work. Any other host of the branch is ended first (requirement 34). */
  async #hostFor(session: Session, branchId: string): Promise<HostConnection> {
    const { hosts } = this.#options;
    let own: HostConnection | undefined;
    for (const client of [...hosts.all()]) {
      const other = client.status && this.#store.state.session(client.status.sessionId);
      if (!client.status || other?.branchId !== branchId) continue;
      if (other.id === session.id && client.status.state === 'ended' && !client.status.retired) own = client;
      else await this.#shutDown(client);
    }
    return own && !own.closed ? own : hosts.take();
  }

  async #shutDown(client: HostConnection): Promise<void> {
    client.shutdown();
    const deadline = performance.now() + shutdownTime;
    while (!client.closed && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
    if (!client.closed) await this.#options.hosts.end(client.hostId);
  }

  /** The worktree's folder is not there: it was deleted, or the disk that it is on is away. */
  async #markGone(branch: Branch): Promise<void> {
    const state = isMounted(branch.preparation?.mount ?? null) ? 'missing' : 'unreachable';
    await this.#store.commit((tx) => {
      const row = tx.get('branch', branch.id);
      if (row?.worktreeState !== 'ready') return;
      tx.update('branch', branch.id, {
        worktreeState: worktreeTransition(row.worktreeState, state),
        worktreeStep: null,
        unread: state === 'unreachable' || row.unread,
        changedAt: this.#options.now(),
      });
      tx.event(`worktree:${state}`, branch.id);
    });
  }

  async #failQueued(turn: Turn, message: string): Promise<void> {
    await this.#store.commit((tx) => failQueuedTurn(tx, turn.id, message, this.#options));
  }

  /** The first turn of a branch's line fails: its branch is gone. */
  failHead(tx: Transaction, branchId: string, message: string): void {
    failQueuedTurn(tx, headOf(tx, branchId)?.id, message, this.#options);
  }

  #end(tx: Transaction, turn: Turn, end: Parameters<typeof endTurn>[2]): void {
    endTurn(tx, turn, end, this.#options);
  }

  /** Writes what a host says of its turn; what is known already changes nothing. */
  async applyStatus(client: HostConnection, status: TurnStatus): Promise<void> {
    await this.#store.commit((tx) => {
      const turn = tx.get('turn', status.turnId);
      if (status.late) this.#applyLate(tx, client.hostId, status.late);
      if (!turn || turn.hostId !== client.hostId || turn.attempt !== status.attempt) return;
      if (!isActive(turn.state)) {
        // An agent may go on after its turn, and ask.
        if (turn.permission?.id !== status.permission?.id) tx.update('turn', turn.id, { permission: status.permission });
        if (status.permission && turn.permission?.id !== status.permission.id)
          tx.update('session', turn.sessionId, { unread: true });
        return;
      }
      const session = tx.get('session', turn.sessionId) as Session;
      const known = {
        agentSessionId: status.agentSessionId,
        agentInfo: status.agentInfo ?? session.agentInfo,
        retired: status.retired,
      };
      if (Object.entries(known).some(([name, value]) => session[name as keyof Session] !== value))
        tx.update('session', session.id, known);
      if (status.works) agentWorks(tx, session.agent, turn);
      let row = turn;
      if (turn.state === 'starting' && (status.state === 'running' || status.outcome === 'completed')) {
        const patch = { state: turnTransition(turn.state, 'running'), startSha: status.startSha, startTree: status.startTree };
        row = { ...turn, ...patch };
        tx.update('turn', turn.id, patch);
        tx.event('running', turn.branchId, turn.id);
      }
      if (status.state === 'ended') {
        this.#end(tx, row, {
          outcome: status.outcome ?? 'interrupted',
          message: status.message,
          startSha: status.startSha,
          endSha: status.endSha,
          startTree: status.startTree,
          conclusion: status.conclusion,
          unavailable: status.unavailable ?? undefined,
        });
      } else if (row.permission?.id !== status.permission?.id || row.silentSince !== status.silentSince) {
        tx.update('turn', row.id, { permission: status.permission, silentSince: status.silentSince });
        if (status.permission && row.permission?.id !== status.permission.id)
          tx.update('session', row.sessionId, { unread: true });
      }
    });
    if (status.state === 'ended') this.#options.hosts.prepare(); // The next prompt need not wait for a process; unused, it ends itself.
    if (
      status.state === 'ended' &&
      this.#options.catalog().find(this.#agentOf(status))?.builtIn &&
      !this.#goesOnWith(status.sessionId)
    )
      client.shutdown();
  }

  /** What an agent did after its turn, once. */
  #applyLate(tx: Transaction, hostId: string, { turnId, attempt, conclusion }: NonNullable<TurnStatus['late']>): void {
    const turn = tx.get('turn', turnId);
    if (!turn || turn.hostId !== hostId || turn.attempt !== attempt || isActive(turn.state) || turn.state === 'queued') return;
    if (turn.endTree === conclusion.tree && turn.endSha === (conclusion.head ?? turn.endSha)) return;
    applyConclusion(tx, turnId, conclusion);
    tx.update('session', turn.sessionId, { unread: true });
  }

  #agentOf(status: TurnStatus): string {
    return this.#store.state.session(status.sessionId)?.agent ?? '';
  }

  #goesOnWith(sessionId: string): boolean {
    const session = this.#store.state.session(sessionId);
    return session !== undefined && this.#store.state.line(session.branchId)[0]?.sessionId === sessionId;
  }

  #recover(turnId: string): void {
    this.#options.recovery.recover(turnId).then(
      () => this.#succeeded(),
      (error) => this.#failed('Recovering a turn', error),
    );
  }

  /** A host's connection closed. */
  lost(client: HostConnection): void {
    for (const turn of this.#store.state.active()) {
      if (turn.hostId === client.hostId) this.#recover(turn.id);
    }
  }

  /** Gives the answer to a permission request; rejects with RefusedError when nobody waits for it any more. */
  respond(permissionId: string, optionId: string): void {
    for (const turn of this.#store.state.asking()) {
      if (turn.permission?.id !== permissionId) continue;
      if (!turn.permission.options.some((option) => option.optionId === optionId))
        throw new RefusedError('The agent did not offer this option.');
      const client = turn.hostId ? this.#options.hosts.connected(turn.hostId) : undefined;
      if (!client) throw new RefusedError('The agent is not connected at the moment. Try again in a few seconds.');
      client.answer(permissionId, optionId);
      return;
    }
    throw new RefusedError('This permission request has been answered or withdrawn.');
  }

  dispose(): void {
    this.#disposed = true;
    this.#again.dispose();
    clearTimeout(this.#wake);
  }
}

/** The queued turn of a branch that is next. */
const headOf = (tx: Transaction, branchId: string): Turn | undefined =>
  tx.select('turn', "branchId = ? AND state = 'queued' ORDER BY position, id LIMIT 1", [branchId])[0];

/** True when the host knows more of the turn than the store. */
function isNews(status: TurnStatus, turn: Turn): boolean {
  return (
    status.state === 'ended' ||
    (status.state === 'running' && turn.state === 'starting') ||
    turn.permission?.id !== status.permission?.id ||
    turn.silentSince !== status.silentSince
  );
}

/** A conversation is only ever continued in its own worktree (requirement 32). */
function unusableSession(session: Session, branch: Branch): string | undefined {
  if (session.retired) return session.retired;
  if (session.agentSessionId === null || session.worktreePath === null || session.worktreePath === branch.worktreePath)
    return undefined;
  return `This conversation belongs to ${session.worktreePath}, and the branch's worktree is ${branch.worktreePath} now. Queue a new session instead; the transcript is kept.`;
}
