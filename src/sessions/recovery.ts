/**
 * Finds out what became of an active turn whose agent host is not connected: goes on with a live host, takes the end that the
 * transcript has, finishes what the host began (its work is found, committed or kept), marks it interrupted when the agent may have the
 * prompt, or puts it back in its place when not. Nothing waits for it but the turn's own branch.
 */
import { existsSync } from 'node:fs';
import type { TurnStatus } from '../agentHost/protocol.ts';
import type { HostConnection } from '../agents/hostClient.ts';
import type { AgentHosts } from '../agents/hosts.ts';
import { Git } from '../git/git.ts';
import { messageOf } from '../model/errors.ts';
import { isActive, turnTransition } from '../model/transitions.ts';
import type { TranscriptDraft, TurnOutcome } from '../model/transcript.ts';
import type { Branch, Session, Turn } from '../model/types.ts';
import type { Unavailable } from '../model/unavailable.ts';
import type { Beginning, Conclusion } from '../model/work.ts';
import { claim, worktreeClaim } from '../platform/claims.ts';
import type { Log } from '../platform/log.ts';
import type { Store, Transaction } from '../store/store.ts';
import { readAttempt, TranscriptWriter, transcriptPath } from '../store/transcripts.ts';
import { conclude, type HeldTurn, unseen } from '../work/turnWork.ts';
import { linksOf } from '../worktrees/preparation.ts';
import { commitMessage } from './commitMessage.ts';
import { heldTurns } from './heldTurns.ts';
import { type Found, outcomeOf } from './outcome.ts';
import { type EndOptions, endTurn } from './turnEnd.ts';

export interface RecoveryOptions extends EndOptions {
  store: Store;
  hosts: AgentHosts;
  /** The storage's folder, for transcripts. */
  folder: string;
  /** Template of commit messages. */
  commitTemplate: () => string;
  /** Writes down what a host that was found says of the turn. */
  applyStatus: (client: HostConnection, status: TurnStatus) => Promise<void>;
  log: Log;
  /** What looks at the work of a turn; a parameter, so that a test can run histories without git. */
  concludeTurn?: (input: ConcludeInput) => Promise<Conclusion | null>;
}

export interface ConcludeInput {
  turn: Turn;
  session: Session;
  branch: Branch;
  beginning: Beginning;
  /** True where the work is to be committed, with this message. */
  commits: boolean;
  message: string;
  /** Earlier turns of the branch whose commits are held. */
  held: readonly HeldTurn[];
}

/** Times that a turn may be put back because its host died before the hand-over, before that counts as a failure. */
const mostPutBacks = 3;
/** Milliseconds. */
const answerTime = 15_000;
const claimTime = 30_000;
const concludeLimit = 10 * 60_000;

export class TurnRecovery {
  readonly #options: RecoveryOptions;
  readonly #store: Store;
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #putBacks = new Map<string, number>();
  #disposed = false;

  constructor(options: RecoveryOptions) {
    this.#options = options;
    this.#store = options.store;
  }

  /** Rejects with StorageError when what was found can't be written; it is found again by asking again. */
  recover(turnId: string): Promise<void> {
    const under = this.#underWay.get(turnId);
    if (under) return under;
    const done = this.#recover(turnId).finally(() => this.#underWay.delete(turnId));
    this.#underWay.set(turnId, done);
    return done;
  }

  /** Settles every turn that an earlier window left active, and ends the hosts that belong to none. */
  async recoverAll(): Promise<void> {
    const active = Array.from(this.#store.state.active());
    await this.#options.hosts.endOrphans(new Set(active.flatMap((turn) => turn.hostId ?? [])));
    const logged = (error: unknown) => this.#options.log(`Recovering a turn: ${messageOf(error)}`, 'error');
    await Promise.all(active.map((turn) => this.recover(turn.id).catch(logged)));
  }

  dispose(): void {
    this.#disposed = true;
  }

  async #recover(turnId: string): Promise<void> {
    const { hosts, folder, applyStatus } = this.#options;
    const turn = this.#store.state.turn(turnId);
    if (!turn || !isActive(turn.state)) return;
    if (turn.hostId) {
      const client = await this.#reach(turn.hostId);
      if (this.#disposed) return;
      const status = client?.status;
      if (client && status?.turnId === turn.id && status.attempt === turn.attempt) return applyStatus(client, status);
      await hosts.end(turn.hostId);
    }
    const found = outcomeOf(await readAttempt(transcriptPath(folder, turn.sessionId), turn.id, turn.attempt), turn);
    const conclusion = found.kind === 'ended' ? found.conclusion : await this.#concluded(turn, found);
    if (this.#disposed) return;
    await this.#store.commit((tx) => {
      const row = tx.get('turn', turnId);
      if (!row || !isActive(row.state) || row.hostId !== turn.hostId || row.attempt !== turn.attempt) return;
      const end = endOf(found, row);
      if (!end) return this.#putBack(tx, row);
      const startTree = found.kind === 'notSent' ? null : (found.beginning?.tree ?? null);
      endTurn(tx, row, { ...end, conclusion, startTree }, this.#options);
    });
  }

  /** The host is gone, so nobody else looks at what the agent did: it is done here, as the host would have. */
  async #concluded(turn: Turn, found: Exclude<Found, { kind: 'ended' }>): Promise<Conclusion | null> {
    const session = this.#store.state.session(turn.sessionId);
    const branch = this.#store.state.branch(turn.branchId);
    if (found.kind === 'notSent' || !found.beginning || !session || !branch) return null;
    if (found.conclusion) return found.conclusion;
    const isCompleted = found.kind === 'answered' && found.entry.outcome === 'completed' && !turn.cancelRequested;
    const commits = session.kind === 'commit' && isCompleted;
    const input = {
      turn,
      session,
      branch,
      beginning: found.beginning,
      commits,
      message: commitMessage(this.#options.commitTemplate(), { turn, session, branch }),
      held: heldTurns(this.#store.state.held(branch.id), turn.id),
    };
    try {
      const conclusion = await (this.#options.concludeTurn ?? concludeInWorktree)(input);
      if (conclusion) await this.#tell(turn, conclusion);
      return conclusion;
    } catch (error) {
      this.#options.log(`What a turn on ${branch.name} changed could not be looked at: ${messageOf(error)}`, 'warn');
      if (!commits) return null;
      return { ...unseen(found.beginning), commit: { state: 'held', why: 'stopped', said: messageOf(error) } };
    }
  }

  /** The transcript is its host's to write, and that is gone. */
  async #tell(turn: Turn, conclusion: Conclusion): Promise<void> {
    const path = transcriptPath(this.#options.folder, turn.sessionId);
    if (!existsSync(path)) return;
    const { commit } = conclusion;
    const drafts: TranscriptDraft[] = [];
    if (commit?.state === 'made') drafts.push({ type: 'commit', sha: commit.sha, files: commit.files });
    if (commit?.state === 'held') drafts.push({ type: 'held', commit });
    drafts.push({ type: 'concluded', attempt: turn.attempt, conclusion });
    const writer = await TranscriptWriter.open(path, this.#options.now);
    try {
      for (const draft of drafts) writer.append(turn.id, draft);
      await writer.sync();
    } finally {
      await writer.close();
    }
  }

  /** Connects to a host; one that lives but does not answer gets a while before it is given up. */
  async #reach(hostId: string): Promise<HostConnection | undefined> {
    const { hosts } = this.#options;
    for (const deadline = performance.now() + answerTime; ; ) {
      const client = await hosts.find(hostId);
      if (client || this.#disposed || performance.now() > deadline || !hosts.isAlive(hostId)) return client;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  /** Requirement 16: the prompt was not sent, so the turn waits again in its place. */
  #putBack(tx: Transaction, row: Turn): void {
    const times = (this.#putBacks.get(row.id) ?? 0) + 1;
    this.#putBacks.set(row.id, times);
    if (times > mostPutBacks) {
      const message =
        'The agent host ended several times before the agent could start. "Show Log" says more; retry when it is mended.';
      const end = { outcome: 'failed' as const, message, startSha: null, endSha: null, startTree: null, conclusion: null };
      endTurn(tx, row, end, this.#options);
      return;
    }
    tx.update('turn', row.id, { state: turnTransition(row.state, 'queued'), hostId: null, startedAt: null });
    tx.event('requeued', row.branchId, row.id);
  }
}

interface KnownEnd {
  outcome: TurnOutcome;
  message: string | null;
  startSha: string | null;
  endSha: string | null;
  unavailable?: Unavailable | undefined;
}

/** How a turn ended, by its transcript and its row; undefined when its prompt was never sent. */
function endOf(found: Found, row: Turn): KnownEnd | undefined {
  if (found.kind === 'ended') {
    const { outcome, message = null, startSha = null, endSha = null, unavailable } = found.entry;
    return { outcome, message, startSha, endSha, unavailable };
  }
  // Once its work is in a commit, or held, a cancel comes too late, as it would have for its host.
  if (found.kind === 'answered' && (!row.cancelRequested || found.conclusion)) {
    const { outcome, message = null, unavailable } = found.entry;
    return { outcome, message, startSha: found.startSha, endSha: null, unavailable };
  }
  const startSha = found.kind === 'notSent' ? null : found.startSha;
  if (row.cancelRequested) return { outcome: 'cancelled', message: null, startSha, endSha: null };
  if (found.kind === 'handedOver' || row.state === 'running')
    return {
      outcome: 'interrupted',
      message: "The agent's process ended before the turn was over. Look at what it did in the worktree, then retry or skip it.",
      startSha,
      endSha: null,
    };
  return undefined;
}

/** Looks at the work of a turn whose host is gone, with the worktree's claim. Null where the worktree is not there. */
export async function concludeInWorktree({
  turn,
  session,
  branch,
  beginning,
  commits,
  message,
  held: waiting,
}: ConcludeInput): Promise<Conclusion | null> {
  const worktree = branch.worktreePath;
  if (worktree === null || !existsSync(worktree)) return null;
  const held = await claim(worktreeClaim(worktree), AbortSignal.timeout(claimTime));
  if (!held) throw new Error('Something else writes in the worktree.');
  try {
    return await conclude(new Git(worktree, { limit: concludeLimit, mark: `conclude-${turn.id}` }), {
      turnId: turn.id,
      title: session.title,
      repository: branch.repository,
      branch: branch.name,
      links: linksOf(branch),
      beginning,
      commits,
      message,
      held: waiting,
      mends: turn.mends,
    });
  } finally {
    await held.release();
  }
}
