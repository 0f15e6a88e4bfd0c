/**
 * Runs the turns of one session, one at a time.
 *
 * A turn: starting (prompt written down; claim on the worktree taken; agent there, conversation open) -> the hand-over is
 * durable, with where the turn begins -> running (the agent has the prompt) -> the agent's answer is written down -> its work is
 * found, committed or kept -> its end is durable -> ended (announced). From every step a failure or a cancel leads to ended; the claim
 * is released on every way out.
 *
 * An agent may go on after its turn. What it says then is written under that turn, marked as late; what it changes then is that turn's
 * work, too, taken in when it has been quiet for a while, or before the next turn begins.
 */
import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { ContentBlock, RequestPermissionRequest, RequestPermissionResponse, SessionUpdate } from '@agentclientprotocol/sdk';
import { type Unavailable as Met, unavailableByError, unavailableByLastText } from '../agents/availability/unavailable.ts';
import { Git, type GitOptions } from '../git/git.ts';
import { difference } from '../git/trees.ts';
import { AgentError, messageOf } from '../model/errors.ts';
import { type Dropped, OutputCap } from '../model/outputCap.ts';
import type { TranscriptDraft, TranscriptEntry, TurnOutcome } from '../model/transcript.ts';
import type { Unavailable } from '../model/unavailable.ts';
import type { Beginning, Conclusion } from '../model/work.ts';
import { claim, claimNow, worktreeClaim } from '../platform/claims.ts';
import type { Exclusive } from '../platform/exclusive.ts';
import { confined, isInside } from '../platform/paths.ts';
import { endMarked } from '../platform/processes.ts';
import { readAttachment } from '../store/attachments.ts';
import { isDiskTrouble, storageMessage } from '../store/fileSystem.ts';
import { TranscriptWriter } from '../store/transcripts.ts';
import { begin, beginAgain, conclude, unseen } from '../work/turnWork.ts';
import { AgentProcess } from './agentProcess.ts';
import { Doings } from './doings.ts';
import { PermissionBook, pathsIn } from './permissionBook.ts';
import type { Job, PermissionPolicy, TurnStatus } from './protocol.ts';
import { entryFor } from './updates.ts';
import { isInWorktree, ToolPaths } from './toolPaths.ts';
import { UpdateFeed } from './updateFeed.ts';

export interface TurnRunnerOptions {
  hostId: string;
  onStatus: (status: TurnStatus) => void;
  onEntries: (sessionId: string, entries: readonly TranscriptEntry[]) => void;
}

/** How long a cancelled agent may take to end its turn before it is ended itself. */
const cancelTime = 8_000;
/** How long until a disk that took nothing is tried again. */
const diskTime = 1_000;
/** Hooks may run tests; still, one that waits for somebody must not wait for ever. */
const commitTimeLimit = 10 * 60_000;
/** Milliseconds after which what was held back of much output is shown, in part. */
const showTime = 10_000;
/** An agent that goes on after its turn and has said nothing for this long is done, for now. */
const lateQuiet = 2_000;

class Cancelled extends Error {}

interface End {
  outcome: TurnOutcome;
  message?: string;
  stopReason?: string;
  /** Its agent can't work now. */
  unavailable?: Unavailable;
}

/** A turn that has ended, for what its agent may still do. */
interface Ended {
  job: Job;
  outcome: TurnOutcome;
  beginning: Beginning;
  conclusion: Conclusion;
}

export class TurnRunner {
  readonly #options: TurnRunnerOptions;
  status: TurnStatus | null = null;
  #job: Job | undefined;
  #agent: AgentProcess | undefined;
  #writer: TranscriptWriter | undefined;
  #silence: NodeJS.Timeout | undefined;
  #cancel = new AbortController();
  #interruptedBy: string | undefined;
  #beginning: Beginning | undefined;
  #doings = new Doings();
  #cap = new OutputCap({ told: leftOut });
  #showing: NodeJS.Timeout | undefined;
  #ended: Ended | undefined;
  #late: NodeJS.Timeout | undefined;
  #settling: Promise<void> = Promise.resolve();
  readonly #feed = new UpdateFeed((draft) => this.#write(draft));
  readonly #toolPaths = new ToolPaths();
  readonly #permissions = new PermissionBook({
    write: (draft) => this.#write(draft),
    pathsOf: (toolCallId) => this.#toolPaths.of(toolCallId),
    isOwn: (path) => isInWorktree(path, this.#job as Job),
    onChange: (permission) => {
      this.#announce({ permission });
      if (permission)
        clearTimeout(this.#silence); // It is us who are silent now.
      else this.#heard();
    },
  });

  constructor(options: TurnRunnerOptions) {
    this.#options = options;
  }

  get isActive(): boolean {
    return this.status !== null && this.status.state !== 'ended';
  }
  /** True while somebody may come back to it: a turn runs, a question waits, or an agent is at work after its turn. */
  get isNeeded(): boolean {
    return this.isActive || this.#permissions.shown !== null || this.#late !== undefined;
  }
  get sessionId(): string | undefined {
    return this.#job?.sessionId;
  }

  #has(job: Job): boolean {
    return this.status?.turnId === job.turnId && this.status.attempt === job.attempt;
  }
  /** True for the turn that it has, and for another one of its session when nothing runs. */
  takes(job: Job): boolean {
    return this.#has(job) || (!this.isActive && (this.#job === undefined || this.#job.sessionId === job.sessionId));
  }

  /** Runs the turn to its end; never rejects. Asking again for the turn that it has changes nothing. */
  async run(job: Job): Promise<void> {
    if (this.#has(job) || !this.takes(job)) return;
    this.#permissions.withdraw(); // Of the turn before.
    this.#feed.flush();
    if (this.#job) this.#uncap();
    const before = this.#late === undefined ? undefined : this.#ended;
    clearTimeout(this.#late);
    this.#late = undefined;
    this.#ended = undefined;
    this.#job = job;
    this.#permissions.policy = job.permissions;
    this.#cancel = new AbortController();
    this.#interruptedBy = undefined;
    this.#beginning = undefined;
    this.#doings = new Doings();
    this.#announce({
      turnId: job.turnId,
      attempt: job.attempt,
      sessionId: job.sessionId,
      state: 'starting',
      agentSessionId: job.agentSessionId,
      agentInfo: null,
      permission: null,
      silentSince: null,
      startSha: null,
      endSha: null,
      outcome: null,
      message: null,
      retired: null,
      unavailable: null,
      works: false,
      startTree: null,
      conclusion: null,
      late: this.status?.late ?? null,
    });
    let held: Exclusive | undefined;
    let end: End;
    try {
      await this.#onceDiskIsWell(async () => {
        this.#writer ??= await this.#openTranscript(job);
      });
      if (job.goesOn) this.#write({ type: 'notice', text: `${job.agent.name} is told: ${job.goesOn.text}` });
      else
        this.#write({
          type: 'prompt',
          text: job.prompt,
          attempt: job.attempt,
          attachments: job.attachments.map(({ path, ...attachment }) => attachment),
        });
      held = await this.#claim(job);
      if (before) await this.#takeLateWork(before);
      end = await this.#work(job);
    } catch (error) {
      end = this.#endBecauseOf(error);
    }
    clearTimeout(this.#silence);
    this.#permissions.withdraw();
    this.#feed.flush();
    end = await this.#conclude(job, end);
    if (this.#agent && (!this.#agent.isOfUse || this.#isToBeAnew(job, end, this.#agent))) await this.closeAgent();
    await this.#writeEnd(job, end);
    await held?.release();
    const { startSha, endSha } = this.status as TurnStatus;
    this.#announce({
      state: 'ended',
      outcome: end.outcome,
      message: end.message ?? null,
      unavailable: end.unavailable ?? null,
      permission: null,
      silentSince: null,
      startSha,
      endSha,
    });
  }

  #endBecauseOf(error: unknown): End {
    if (this.#interruptedBy) return { outcome: 'interrupted', message: this.#interruptedBy };
    if (this.#cancel.signal.aborted) return { outcome: 'cancelled' };
    // Only what the agent answered says something of the agent.
    const isAnswer = error instanceof AgentError && error.cause !== undefined && !this.#job?.agent.builtIn;
    return {
      outcome: 'failed',
      message: messageOf(error),
      ...this.#unavailable(isAnswer ? unavailableByError(error.cause, clock()) : undefined),
    };
  }

  /** Whoever signs in does so beside the agent; one that read who it is as it started is asked anew, where its conversation can be taken up. */
  #isToBeAnew(job: Job, { unavailable }: End, agent: AgentProcess): boolean {
    return unavailable?.kind === 'signIn' && (agent.canTakeUp || (job.isFresh && !unavailable.begun));
  }

  #unavailable(met: Met | undefined): Pick<End, 'unavailable'> {
    if (!met) return {};
    const { begun } = this.#doings;
    return { unavailable: { ...met, begun, ...(this.#beginning ? { beginning: this.#beginning } : {}) } };
  }

  async #openTranscript(job: Job): Promise<TranscriptWriter> {
    const writer = await TranscriptWriter.open(job.transcript, Date.now);
    writer.onWritten = (entries) => this.#options.onEntries(job.sessionId, entries);
    return writer;
  }

  /** At most one turn runs in a worktree, whatever windows are open (invariant 3). */
  async #claim(job: Job): Promise<Exclusive> {
    if (!existsSync(job.worktree))
      throw new AgentError('The worktree was deleted as the turn began. Retry it: the worktree is made anew.');
    const held = await claim(worktreeClaim(job.worktree), this.#cancel.signal, () =>
      this.#write({
        type: 'notice',
        text: 'Waiting: something else writes in this worktree (another window, setup, or a removal).',
      }),
    );
    if (!held) throw new Cancelled();
    return held;
  }

  async #work(job: Job): Promise<End> {
    const [start, agent] = await settleBoth(this.#begin(job), this.#cancellable(this.#openAgent(job)));
    this.#announce({ startSha: start.head, startTree: start.tree });
    const blocks = await promptBlocks(job, agent.acceptsImages);
    this.#throwIfCancelled();
    this.#beginning = start;
    this.#write({
      type: 'handover',
      attempt: job.attempt,
      beginning: this.#beginning,
      ...(this.#beginning.head === null ? {} : { startSha: this.#beginning.head }),
    });
    await this.#onceDiskIsWell(async () => this.#writer?.sync());
    this.#throwIfCancelled();
    this.#announce({ state: 'running' });
    this.#heard();
    const cancelled = () => void this.#insistOnCancel(agent);
    this.#cancel.signal.addEventListener('abort', cancelled, { once: true });
    let stopReason: string | undefined;
    try {
      stopReason = (await agent.prompt(blocks)).stopReason;
    } finally {
      this.#cancel.signal.removeEventListener('abort', cancelled);
      this.#feed.flush();
    }
    this.#throwIfCancelled(); // One agent answers a cancel with end_turn.
    // Some agents end their turn well, with the error as their last words.
    const met = stopReason === 'cancelled' ? undefined : unavailableByLastText(this.#doings.lastText, clock());
    if (met) return { outcome: 'failed', message: met.said, ...this.#unavailable(met) };
    switch (stopReason) {
      case 'end_turn':
        return { outcome: 'completed', stopReason };
      case 'cancelled':
        return { outcome: 'cancelled', stopReason };
      case 'refusal':
        return { outcome: 'failed', stopReason, message: `${job.agent.name} refused this request. Edit the prompt and retry.` };
      case 'max_tokens':
        return {
          outcome: 'failed',
          stopReason,
          message: `${job.agent.name} reached its limit of tokens. Queue a follow-up to let it go on.`,
        };
      default:
        return {
          outcome: 'failed',
          message: `${job.agent.name} stopped early (${typeof stopReason === 'string' ? stopReason : 'it gave no reason'}). Queue a follow-up to let it go on.`,
        };
    }
  }

  async #begin(job: Job): Promise<Beginning> {
    const found = await begin(this.#git(job), {
      turnId: job.turnId,
      title: job.title,
      repository: job.repository,
      branch: job.branch,
      links: job.links,
      now: Date.now(),
    });
    const { state, ...beginning } = found;
    const { operation } = beginning;
    if (operation) {
      const unmerged = state.changed.flatMap((one) => (one.unmerged ? [one.path] : []));
      this.#write({
        type: 'notice',
        text: `A ${operation.kind} is under way in this worktree${unmerged.length > 0 ? `, in conflict: ${shown(unmerged)}` : ''}. To solve it is work like any other.`,
      });
    }
    if (!job.goesOn) return beginning;
    const { beginning: earlier, stoppedTree } = job.goesOn;
    return beginAgain(this.#git(job), found, { turnId: job.turnId, title: job.title, earlier, stoppedTree });
  }

  /** git ends with the turn, and so does what it started. */
  #git(job: Job, options: GitOptions = {}): Git {
    return new Git(job.worktree, {
      signal: this.#cancel.signal,
      mark: `${this.#options.hostId}.git`,
      limit: commitTimeLimit,
      ...options,
    });
  }

  /** Finds the work of the turn, commits or keeps it. A cancel ends a commit that takes long; the work is kept all the same. */
  async #conclude(job: Job, given: End): Promise<End> {
    const beginning = this.#beginning;
    if (!beginning) return given; // The agent never had the prompt.
    let end = given;
    this.#uncap();
    this.#write({ type: 'answered', attempt: job.attempt, ...given });
    const order = concludeOrder(job, beginning);
    const commits = job.kind === 'commit' && end.outcome === 'completed';
    let conclusion: Conclusion | undefined;
    try {
      conclusion = commits
        ? await conclude(this.#git(job), { ...order, commits }).catch((error: unknown) => {
            if (!this.#cancel.signal.aborted) throw error;
            end = this.#endBecauseOf(error);
            return this.#keepOnly(job, beginning);
          })
        : await this.#keepOnly(job, beginning);
    } catch (error) {
      if (!existsSync(job.worktree))
        this.#write({ type: 'notice', text: 'The worktree is gone, so what this turn did can only be found in its commits.' });
      else if (commits) conclusion = await this.#heldBecauseOf(job, beginning, error);
      else this.#write({ type: 'notice', text: `What this turn changed could not be looked at: ${messageOf(error)}` });
    }
    if (!conclusion) return end;
    this.#writeConclusion(job, conclusion);
    this.#ended = { job, outcome: end.outcome, beginning, conclusion };
    this.status = { ...(this.status as TurnStatus), conclusion, endSha: conclusion.head };
    return end;
  }

  /** After a cancel there is no signal left that git could end by; its limit does. */
  #keepOnly(job: Job, beginning: Beginning): Promise<Conclusion> {
    return conclude(this.#git(job, { signal: undefined }), { ...concludeOrder(job, beginning), commits: false });
  }

  /** Where nothing can be looked at, it is told all the same that nothing was committed. */
  async #heldBecauseOf(job: Job, beginning: Beginning, error: unknown): Promise<Conclusion> {
    const kept = await this.#keepOnly(job, beginning).catch(() => unseen(beginning));
    return { ...kept, commit: { state: 'held', why: 'stopped', said: messageOf(error) } };
  }

  #writeConclusion({ attempt, turnId }: Job, conclusion: Conclusion): void {
    const { commit, work } = conclusion;
    const write = (draft: TranscriptDraft) =>
      this.#writer?.append(turnId, this.isActive && this.#job?.turnId === turnId ? draft : { ...draft, late: true });
    if (commit?.state === 'made') write({ type: 'commit', sha: commit.sha, files: commit.files });
    if (commit?.state === 'held') write({ type: 'held', commit });
    if (work.inner) write({ type: 'notice', text: innerInWords(work.inner) });
    if (work.configChanged) write({ type: 'notice', text: configChangedInWords });
    write({ type: 'concluded', attempt, conclusion });
  }

  /** The agent did something after its turn: what it changes is that turn's work, once it is quiet. */
  #heardLate(): void {
    clearTimeout(this.#late);
    if (!this.#ended || this.isActive) return;
    const isFirst = this.#late === undefined;
    this.#late = setTimeout(() => void this.#settleLate(), lateQuiet);
    if (isFirst) this.#announce({}); // It is needed again.
  }

  #settleLate(): Promise<void> {
    this.#settling = this.#settling.then(async () => {
      const ended = this.#ended;
      if (!ended || this.isActive || this.#late === undefined) return;
      const held = await claimNow(worktreeClaim(ended.job.worktree));
      if (!held) return this.#heardLate(); // Somebody else writes there; later.
      clearTimeout(this.#late);
      this.#late = undefined;
      try {
        await this.#takeLateWork(ended);
      } finally {
        await held.release();
        if (this.status) this.#announce({}); // Whoever waits for this host to be done looks again.
      }
    });
    return this.#settling;
  }

  /** Adds what the agent changed after its turn to the turn's work. The worktree's claim is held. */
  async #takeLateWork(ended: Ended): Promise<void> {
    const { job, outcome, beginning, conclusion: before } = ended;
    try {
      const git = this.#git(job, { signal: undefined });
      const order = concludeOrder(job, { head: before.head, tree: before.tree, operation: null });
      const more = await conclude(git, {
        ...order,
        message: `${order.message.trimEnd()} (later)`,
        commits: job.kind === 'commit' && outcome === 'completed' && before.commit?.state !== 'held',
      });
      if (more.tree === before.tree && more.head === before.head) return;
      const files = await difference(git, beginning.tree, more.tree);
      const sum = (of: 'added' | 'removed') => files.reduce((total, file) => total + file[of], 0);
      const ref = more.work.ref ?? before.work.ref;
      const conclusion: Conclusion = {
        ...more,
        work: {
          ...more.work,
          files: files.length,
          added: sum('added'),
          removed: sum('removed'),
          ...(ref === undefined ? {} : { ref }),
        },
        commit: more.commit ?? before.commit,
      };
      ended.conclusion = conclusion;
      this.#writeConclusion(job, conclusion);
      await this.#writer?.sync();
      this.#announce({ late: { turnId: job.turnId, attempt: job.attempt, conclusion } });
    } catch (error) {
      console.error(`What ${job.agent.name} did after its turn could not be looked at: ${messageOf(error)}`);
    }
  }

  /** The agent of this session: the one that runs, or a new process that takes the conversation up. */
  async #openAgent(job: Job): Promise<AgentProcess> {
    if (this.#agent?.isOfUse) return this.#agent;
    await this.closeAgent();
    const agent = await AgentProcess.start({
      program: job.agent,
      cwd: workingFolder(job),
      mark: this.#options.hostId,
      startTimeLimit: job.timeLimits.start,
      place: { repository: job.repository, worktree: job.worktree, branch: job.branch },
      onUpdate: (update) => this.#update(update),
      onPermission: (request, signal) => this.#ask(request, signal),
    });
    this.#agent = agent;
    // One whose conversation did not open is of no use to the turn that is tried next.
    const closed = await agent.open(job.agentSessionId, job.isFresh).catch(async (error: unknown) => {
      await this.closeAgent();
      throw error;
    });
    if (closed) {
      this.#announce({ retired: closed.retired });
      throw new AgentError(closed.retired);
    }
    const agentSessionId = agent.sessionId as string;
    if (job.agentSessionId !== agentSessionId)
      this.#write({ type: 'session', agentSessionId, ...(agent.info ? { agentInfo: agent.info } : {}) });
    this.#announce({ agentSessionId, agentInfo: agent.info ?? null });
    return agent;
  }

  /** Lets a cancel end the wait for an agent that is still starting (requirement 50). */
  async #cancellable(opening: Promise<AgentProcess>): Promise<AgentProcess> {
    const signal = this.#cancel.signal;
    const cancelled = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new Cancelled()), { once: true });
    });
    opening.catch(() => undefined);
    try {
      return await Promise.race([opening, cancelled]);
    } catch (error) {
      if (!signal.aborted) throw error;
      await endMarked(this.#options.hostId, { grace: 500 });
      await opening.catch(() => undefined);
      await this.closeAgent();
      throw new Cancelled();
    }
  }

  cancel(turnId: string): void {
    if (this.status?.turnId === turnId && this.isActive) this.#cancel.abort();
  }

  /** Ends the turn because of us, not of the user; it will show as interrupted. */
  interrupt(why: string): void {
    if (!this.isActive) return;
    this.#interruptedBy = why;
    this.#cancel.abort();
  }

  async #insistOnCancel(agent: AgentProcess): Promise<void> {
    this.#permissions.withdraw();
    await agent.cancel();
    const turnId = this.status?.turnId;
    await delay(cancelTime);
    if (this.isActive && this.status?.turnId === turnId && this.#agent === agent) await agent.kill();
  }

  /** A full disk does not fail a turn that has not begun: it waits, says why, and goes on by itself. */
  async #onceDiskIsWell(write: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await write();
        if (this.status?.message) this.#announce({ message: null });
        return;
      } catch (error) {
        if (!isDiskTrouble(error)) throw error;
        this.#announce({ message: `The transcript can't be written. ${storageMessage(error)}` });
        await delay(diskTime);
        this.#throwIfCancelled();
      }
    }
  }

  #throwIfCancelled(): void {
    if (this.#cancel.signal.aborted) throw new Cancelled();
  }

  setPolicy(policy: PermissionPolicy): void {
    this.#permissions.policy = policy;
  }

  answer(permissionId: string, optionId: string): void {
    this.#permissions.answer(permissionId, optionId);
  }

  async #ask(request: RequestPermissionRequest, signal: AbortSignal): Promise<RequestPermissionResponse> {
    this.#heard();
    this.#feed.flush();
    this.#write(entryFor({ ...request.toolCall, sessionUpdate: 'tool_call_update' }) as TranscriptDraft, { must: true });
    return this.#permissions.ask(request, signal, this.isActive && this.#cancel.signal.aborted);
  }

  #update(update: SessionUpdate): void {
    this.#heard();
    if (update.sessionUpdate === 'tool_call' || update.sessionUpdate === 'tool_call_update')
      this.#toolPaths.note(update.toolCallId, pathsIn(update));
    this.#feed.take(update);
  }

  /** The agent said something: it is not silent. */
  #heard(): void {
    clearTimeout(this.#silence);
    if (!this.isActive) {
      this.#heardLate();
      return;
    }
    if (this.status?.silentSince != null) this.#announce({ silentSince: null });
    const since = Date.now();
    this.#silence = setTimeout(() => this.#announce({ silentSince: since }), this.#job?.timeLimits.silence);
    this.#silence.unref();
  }

  /** `must`: it is written whatever it is, and in its place. */
  #write(draft: TranscriptDraft, options: { must?: boolean } = {}): void {
    if (this.#beginning && this.isActive && this.#doings.take(draft)) this.#announce({ works: true });
    this.#append(this.#cap.take(draft, options));
    if (this.#showing !== undefined) return;
    this.#showing = setTimeout(() => {
      this.#showing = undefined;
      this.#append(this.#cap.show());
    }, showTime);
    this.#showing.unref();
  }

  #append(drafts: readonly TranscriptDraft[]): void {
    const { turnId } = this.#job as Job;
    for (const draft of drafts) this.#writer?.append(turnId, this.isActive ? draft : { ...draft, late: true });
  }

  /** The rest of what was held back of a turn's output; what comes now is counted anew. */
  #uncap(): void {
    clearTimeout(this.#showing);
    this.#showing = undefined;
    this.#append(this.#cap.end());
    this.#cap = new OutputCap({ told: leftOut });
  }

  #announce(patch: Partial<TurnStatus>): void {
    this.status = { ...(this.status as TurnStatus), ...patch };
    this.#options.onStatus(this.status);
  }

  /** A turn is announced as ended only when its transcript is durable (invariant 6), so this waits for a full disk, too. */
  async #writeEnd(job: Job, end: End): Promise<void> {
    if (!this.status?.endSha && this.status?.startSha)
      this.status = { ...this.status, endSha: (await headOf(job.worktree)) ?? null };
    this.#write({
      type: 'ended',
      attempt: job.attempt,
      outcome: end.outcome,
      ...(end.message ? { message: end.message } : {}),
      ...(end.stopReason ? { stopReason: end.stopReason } : {}),
      ...(end.unavailable ? { unavailable: end.unavailable } : {}),
      ...(this.status?.startSha ? { startSha: this.status.startSha } : {}),
      ...(this.status?.endSha ? { endSha: this.status.endSha } : {}),
    });
    if (!this.#writer) return; // It could not be opened; that is why the turn failed, and the status says so.
    for (;;) {
      try {
        await this.#writer.sync();
        return;
      } catch (error) {
        console.error(`The transcript can't be written: ${messageOf(error)}`);
        this.#announce({ message: `The end of a turn can't be written. ${storageMessage(error)}` });
        await delay(diskTime);
      }
    }
  }

  async closeAgent(): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    await agent?.end();
  }

  async close(): Promise<void> {
    this.#permissions.withdraw();
    this.#feed.flush();
    if (this.#job) this.#uncap();
    await this.#settleLate();
    await this.closeAgent();
    await this.#writer?.close();
    this.#writer = undefined;
  }
}

/** The agent's folder: the worktree, or one below it. Throws AgentError for one that leads out of it (invariant 4). */
function workingFolder({ agent, worktree }: Job): string {
  if (agent.cwd === undefined || agent.cwd === '.') return worktree;
  const name = confined(agent.cwd);
  const path = name && existsSync(join(worktree, name)) ? realpathSync(join(worktree, name)) : undefined;
  if (path && isInside(path, realpathSync(worktree))) return path;
  throw new AgentError(
    `The folder "${agent.cwd}" of ${agent.name} is not in the worktree. Mend "cwd" in the setting "branchline.agents", then retry.`,
  );
}

async function headOf(worktree: string): Promise<string | undefined> {
  try {
    return await new Git(worktree).commit('HEAD');
  } catch {
    return undefined; // The folder is gone; the turn ends all the same.
  }
}

/** Waits for both, so that neither is left running when the other fails. */
async function settleBoth<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  const [first, second] = await Promise.allSettled([a, b]);
  if (first.status === 'rejected') throw first.reason;
  if (second.status === 'rejected') throw second.reason;
  return [first.value, second.value];
}

/** The prompt as the agent takes it: images in the message where it can see them, other files as links. */
async function promptBlocks(job: Job, acceptsImages: boolean): Promise<ContentBlock[]> {
  if (job.goesOn) return [{ type: 'text', text: job.goesOn.text }];
  const blocks: ContentBlock[] = [{ type: 'text', text: job.prompt }];
  for (const { path, name, mimeType, sha256 } of job.attachments) {
    const content = await readAttachment(path, { name, sha256 });
    if (acceptsImages && mimeType.startsWith('image/')) {
      blocks.push({ type: 'image', mimeType, data: content.toString('base64') });
    } else blocks.push({ type: 'resource_link', uri: pathToFileURL(path).href, name, mimeType });
  }
  return blocks;
}

const concludeOrder = (job: Job, beginning: Beginning) => ({
  turnId: job.turnId,
  title: job.title,
  repository: job.repository,
  branch: job.branch,
  links: job.links,
  message: job.commitMessage ?? job.title,
  held: job.held,
  mends: job.mends,
  beginning,
});

/** What a gap in a turn's output says. */
const leftOut = ({ bytes, entries }: Dropped): TranscriptDraft => ({
  type: 'notice',
  text: `Left out here, because this turn says so much: ${bytes < 1_000_000 ? `${Math.ceil(bytes / 1_000)} kB` : `${Math.round(bytes / 1_000_000)} MB`}${entries > 0 ? ` (${entries} pieces)` : ''}. Its beginning and its end are kept.`,
});

const shown = (paths: readonly string[]): string => `${paths.slice(0, 5).join(', ')}${paths.length > 5 ? ', …' : ''}`;

const configChangedInWords =
  'A hook has changed the configuration that all checkouts of this repository share while the commit was made. Look at it (`git config --local --list`): what its tests write there counts for your own checkout, too.';

const innerInWords = (inner: readonly string[]): string =>
  `${inner.length === 1 ? `The folder ${inner[0]} is a repository of its own` : `These folders are repositories of their own: ${shown(inner)}`}. What is changed in ${inner.length === 1 ? 'it' : 'them'} is in no commit of this branch; commit it there.`;

/** A time without a zone is read as the user's own. */
const clock = () => ({ now: Date.now(), zone: Intl.DateTimeFormat().resolvedOptions().timeZone });
