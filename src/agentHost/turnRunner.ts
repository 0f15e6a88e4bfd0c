/**
 * Runs the turns of one session, one at a time.
 *
 * A turn: starting (prompt written down; claim on the worktree taken; agent there, conversation open) -> the hand-over is
 * durable -> running (the agent has the prompt) -> what it left is committed -> its end is durable -> ended (announced).
 * From every step a failure or a cancel leads to ended; the claim is released on every way out.
 */
import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { ContentBlock, RequestPermissionRequest, RequestPermissionResponse, SessionUpdate } from '@agentclientprotocol/sdk';
import { Git, type GitOptions } from '../git/git.ts';
import { AgentError, messageOf } from '../model/errors.ts';
import { randomId } from '../model/ids.ts';
import type { TranscriptDraft, TranscriptEntry, TurnOutcome } from '../model/transcript.ts';
import { acquireWhenFree, type Exclusive } from '../platform/exclusive.ts';
import { confined, isInside } from '../platform/paths.ts';
import { endMarked } from '../platform/processes.ts';
import { readAttachment } from '../store/attachments.ts';
import { isDiskTrouble, storageMessage } from '../store/fileSystem.ts';
import { TranscriptWriter } from '../store/transcripts.ts';
import { AgentProcess } from './agentProcess.ts';
import { choose } from './permissionChoice.ts';
import type { Job, PermissionPolicy, TurnStatus } from './protocol.ts';
import { entryFor, merged } from './updates.ts';
import { commitLeftovers, type StartingPoint, startingPoint } from './work.ts';

export interface TurnRunnerOptions {
  hostId: string;
  onStatus: (status: TurnStatus) => void;
  onEntries: (sessionId: string, entries: readonly TranscriptEntry[]) => void;
}

/** Text that arrives within this many milliseconds becomes one entry. */
const mergeTime = 40;
/** How long a cancelled agent may take to end its turn before it is ended itself. */
const cancelTime = 8_000;
/** How long until a disk that took nothing is tried again. */
const diskTime = 1_000;
const longestText = 64 * 1024;

class Cancelled extends Error {}

export const claimName = (worktree: string): string => `worktree:${realpathSync(worktree)}`;

export class TurnRunner {
  readonly #options: TurnRunnerOptions;
  status: TurnStatus | null = null;
  #job: Job | undefined;
  #agent: AgentProcess | undefined;
  #writer: TranscriptWriter | undefined;
  #policy: PermissionPolicy = 'ask';
  #draft: TranscriptDraft | undefined;
  #draftTimer: NodeJS.Timeout | undefined;
  #silence: NodeJS.Timeout | undefined;
  #cancel = new AbortController();
  #interruptedBy: string | undefined;
  readonly #permissions = new Map<
    string,
    { permission: NonNullable<TurnStatus['permission']>; answer: (optionId: string | undefined, by: 'user' | 'cancel') => void }
  >();

  constructor(options: TurnRunnerOptions) {
    this.#options = options;
  }

  get isActive(): boolean {
    return this.status !== null && this.status.state !== 'ended';
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
    this.#job = job;
    this.#policy = job.permissions;
    this.#cancel = new AbortController();
    this.#interruptedBy = undefined;
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
    });
    let claim: Exclusive | undefined;
    let end: { outcome: TurnOutcome; message?: string; stopReason?: string };
    try {
      await this.#onceDiskIsWell(async () => {
        this.#writer ??= await this.#openTranscript(job);
      });
      this.#write({
        type: 'prompt',
        text: job.prompt,
        attempt: job.attempt,
        attachments: job.attachments.map(({ path, ...attachment }) => attachment),
      });
      claim = await this.#claim(job);
      end = await this.#work(job);
    } catch (error) {
      end = this.#interruptedBy
        ? { outcome: 'interrupted', message: this.#interruptedBy }
        : this.#cancel.signal.aborted
          ? { outcome: 'cancelled' }
          : { outcome: 'failed', message: messageOf(error) };
    }
    clearTimeout(this.#silence);
    for (const { answer } of this.#permissions.values()) answer(undefined, 'cancel');
    if (this.#agent && !this.#agent.isOfUse) await this.closeAgent();
    await this.#writeEnd(job, end);
    await claim?.release();
    const { startSha, endSha } = this.status as TurnStatus;
    this.#announce({
      state: 'ended',
      outcome: end.outcome,
      message: end.message ?? null,
      permission: null,
      silentSince: null,
      startSha,
      endSha,
    });
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
    const claim = await acquireWhenFree(claimName(job.worktree), this.#cancel.signal, () =>
      this.#write({ type: 'notice', text: 'Waiting: another window runs an agent in this worktree.' }),
    );
    if (!claim) throw new Cancelled();
    return claim;
  }

  async #work(job: Job): Promise<{ outcome: TurnOutcome; message?: string; stopReason?: string }> {
    const [start, agent] = await settleBoth(startingPoint(job, this.#gitOptions), this.#cancellable(this.#openAgent(job)));
    this.#announce({ startSha: start.sha ?? null });
    const blocks = await promptBlocks(job, agent.acceptsImages);
    this.#throwIfCancelled();
    this.#write({ type: 'handover', attempt: job.attempt, ...(start.sha ? { startSha: start.sha } : {}) });
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
      this.#flushDraft();
    }
    this.#throwIfCancelled(); // One agent answers a cancel with end_turn.
    switch (stopReason) {
      case 'end_turn':
        await this.#commit(job, start);
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

  /** git ends with the turn, and so does what it started. */
  get #gitOptions(): Required<GitOptions> {
    return { signal: this.#cancel.signal, mark: `${this.#options.hostId}.git` };
  }

  async #commit(job: Job, start: StartingPoint): Promise<void> {
    if (job.kind === 'commit') {
      const result = await commitLeftovers(job, start, this.#gitOptions);
      if (result.done === 'left') this.#write({ type: 'notice', text: result.why });
      if (result.done === 'committed') this.#write({ type: 'commit', sha: result.sha, files: result.files });
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
      environment: { BRANCHLINE_REPOSITORY: job.repository, BRANCHLINE_WORKTREE: job.worktree, BRANCHLINE_BRANCH: job.branch },
      onUpdate: (update) => this.#update(update),
      onPermission: (request, signal) => this.#ask(request, signal),
    });
    this.#agent = agent;
    const closed = await agent.open(job.agentSessionId);
    if (closed) {
      this.#announce({ retired: closed.retired });
      throw new AgentError(closed.retired);
    }
    const agentSessionId = agent.sessionId as string;
    if (job.agentSessionId === null)
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
    for (const { answer } of this.#permissions.values()) answer(undefined, 'cancel');
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
    this.#policy = policy;
  }

  answer(permissionId: string, optionId: string): void {
    this.#permissions.get(permissionId)?.answer(optionId, 'user');
  }

  async #ask(request: RequestPermissionRequest, signal: AbortSignal): Promise<RequestPermissionResponse> {
    this.#heard();
    this.#flushDraft();
    const { toolCallId, title, kind } = request.toolCall;
    this.#write(entryFor({ ...request.toolCall, sessionUpdate: 'tool_call_update' }) as TranscriptDraft);
    const options = request.options.map(({ optionId, name, kind: optionKind }) => ({ optionId, name, kind: optionKind }));
    const permission = { id: randomId(), title: title ?? 'The agent asks for permission', options };
    this.#write({ type: 'permission', permission, toolCallId });
    const chosen = choose(this.#policy, kind ?? undefined, options);
    if (chosen) {
      this.#write({ type: 'answer', permissionId: permission.id, optionId: chosen.optionId, by: 'policy' });
      return { outcome: { outcome: 'selected', optionId: chosen.optionId } };
    }
    if (this.#cancel.signal.aborted) return { outcome: { outcome: 'cancelled' } };
    clearTimeout(this.#silence); // It is us who are silent now.
    return new Promise((resolve) => {
      const answer = (optionId: string | undefined, by: 'user' | 'cancel') => {
        if (!this.#permissions.delete(permission.id)) return;
        this.#write({ type: 'answer', permissionId: permission.id, by, ...(optionId === undefined ? {} : { optionId }) });
        this.#announce({ permission: this.#permissions.values().next().value?.permission ?? null });
        this.#heard();
        resolve({ outcome: optionId === undefined ? { outcome: 'cancelled' } : { outcome: 'selected', optionId } });
      };
      this.#permissions.set(permission.id, { permission, answer });
      signal.addEventListener('abort', () => answer(undefined, 'cancel'), { once: true });
      this.#announce({ permission: this.status?.permission ?? permission });
    });
  }

  #update(update: SessionUpdate): void {
    this.#heard();
    const entry = entryFor(update);
    if (!entry) return;
    const joined = this.#draft && merged(this.#draft, entry);
    if (joined && 'text' in joined && joined.text.length <= longestText) {
      this.#draft = joined;
      return;
    }
    this.#flushDraft();
    if (entry.type === 'text' || entry.type === 'output') {
      this.#draft = entry;
      this.#draftTimer = setTimeout(() => this.#flushDraft(), mergeTime);
    } else this.#write(entry);
  }

  #flushDraft(): void {
    clearTimeout(this.#draftTimer);
    const draft = this.#draft;
    this.#draft = undefined;
    if (draft) this.#write(draft);
  }

  /** The agent said something: it is not silent. */
  #heard(): void {
    clearTimeout(this.#silence);
    if (!this.isActive) return;
    if (this.status?.silentSince != null) this.#announce({ silentSince: null });
    const since = Date.now();
    this.#silence = setTimeout(() => this.#announce({ silentSince: since }), this.#job?.timeLimits.silence);
    this.#silence.unref();
  }

  #write(draft: TranscriptDraft): void {
    this.#writer?.append((this.#job as Job).turnId, draft);
  }

  #announce(patch: Partial<TurnStatus>): void {
    this.status = { ...(this.status as TurnStatus), ...patch };
    this.#options.onStatus(this.status);
  }

  /** A turn is announced as ended only when its transcript is durable (invariant 6), so this waits for a full disk, too. */
  async #writeEnd(job: Job, end: { outcome: TurnOutcome; message?: string; stopReason?: string }): Promise<void> {
    const endSha = await headOf(job.worktree);
    if (endSha && this.status?.startSha) this.status = { ...this.status, endSha };
    this.#write({
      type: 'ended',
      attempt: job.attempt,
      outcome: end.outcome,
      ...(end.message ? { message: end.message } : {}),
      ...(end.stopReason ? { stopReason: end.stopReason } : {}),
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
  const blocks: ContentBlock[] = [{ type: 'text', text: job.prompt }];
  for (const { path, name, mimeType, sha256 } of job.attachments) {
    const content = await readAttachment(path, { name, sha256 });
    if (acceptsImages && mimeType.startsWith('image/')) {
      blocks.push({ type: 'image', mimeType, data: content.toString('base64') });
    } else blocks.push({ type: 'resource_link', uri: pathToFileURL(path).href, name, mimeType });
  }
  return blocks;
}
