/**
 * Agent hosts as pure data: what they do next is decided by the test. They outlive an engine, write real transcripts, and keep to
 * what real ones promise: the hand-over is written before the agent has the prompt, the end before it is announced.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Job, TurnStatus } from '../../src/agentHost/protocol.ts';
import type { HostConnection } from '../../src/agents/hostClient.ts';
import type { HostsOptions } from '../../src/agents/hosts.ts';
import type { TranscriptDraft, TurnOutcome } from '../../src/model/transcript.ts';
import type { Unavailable } from '../../src/model/unavailable.ts';
import type { Beginning, Conclusion } from '../../src/model/work.ts';
import type { EngineHosts } from '../../src/sessions/engine.ts';
import { PretendWork } from './pretendWork.ts';

/** After which of its steps, on the way from an agent's answer to the end of its turn, a host dies. */
export type LastStep = 'answered' | 'committed' | 'concluded';

class PretendHost {
  readonly id: string;
  readonly #world: PretendWorld;
  alive = true;
  job: Job | undefined;
  status: TurnStatus | null = null;
  client: PretendClient | undefined;
  #beginning: Beginning | undefined;
  #written = 0;
  #hasWritten = false;
  #ended: { outcome: TurnOutcome; conclusion: Conclusion } | undefined;

  constructor(id: string, world: PretendWorld) {
    this.id = id;
    this.#world = world;
  }

  get isActive(): boolean {
    return this.alive && this.status !== null && this.status.state !== 'ended';
  }

  run(job: Job): void {
    if (this.isActive) {
      this.die(); // A real one hangs up; that ends the same way.
      return;
    }
    this.#world.onJob(this, job);
    this.job = job;
    this.#beginning = undefined;
    this.#ended = undefined;
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
      startTree: null,
      conclusion: null,
      unavailable: null,
      works: false,
      late: this.status?.late ?? null,
    });
    if (!existsSync(job.worktree)) this.end('failed'); // It was deleted in this moment.
  }

  handOver(): void {
    if (this.status?.state !== 'starting' || !this.job) return;
    this.#beginning = this.#world.work.begin(this.job.worktree);
    const { head, tree } = this.#beginning;
    const startSha = head as string;
    this.#write({ type: 'handover', attempt: this.job.attempt, beginning: this.#beginning, startSha });
    this.#hasWritten = false;
    if (!this.job.goesOn) this.#world.handovers.set(this.job.turnId, (this.#world.handovers.get(this.job.turnId) ?? 0) + 1);
    if (this.job.goesOn) this.#beginning = this.job.goesOn.beginning;
    this.#announce({ state: 'running', agentSessionId: this.job.sessionId, startSha, startTree: tree });
  }

  /** The agent writes a file that nobody else writes. */
  write(): void {
    if (this.status?.state !== 'running' || !this.job) return;
    this.#writeFile(this.job);
  }

  #writeFile({ worktree, turnId, attempt }: Job): void {
    this.#written += 1;
    this.#hasWritten = true;
    this.#world.work.write(worktree, `${turnId}.${attempt}.${this.id}.${this.#written}`);
  }

  /** The agent begins a merge that it does not finish, or solves the one that it found. */
  merge(): void {
    if (this.status?.state === 'running' && this.job) this.#world.work.merge(this.job.worktree);
  }
  solve(): void {
    const { operation } = this.#world.work.at(this.job?.worktree ?? '');
    if (this.status?.state === 'running' && operation) operation.isSolved = true;
  }

  /** The agent goes on after its turn, and its host takes that in as soon as nobody else is at work there. */
  late(): void {
    const { job, status } = this;
    const ended = this.#ended;
    if (!this.alive || !job || !ended || status?.state !== 'ended' || !existsSync(job.worktree)) return;
    if (this.#world.hosts.some((host) => host.isActive && host.job?.worktree === job.worktree)) return;
    this.#writeFile(job);
    const before = ended.conclusion;
    const more = this.#world.work.conclude(job.worktree, {
      beginning: { head: before.head, tree: before.tree, operation: null },
      commits: job.kind === 'commit' && ended.outcome === 'completed' && before.commit?.state !== 'held',
      held: job.held,
      mends: job.mends,
    });
    const conclusion = { ...more, commit: more.commit ?? before.commit };
    ended.conclusion = conclusion;
    this.#write({ type: 'concluded', attempt: job.attempt, conclusion, late: true });
    this.#announce({ late: { turnId: job.turnId, attempt: job.attempt, conclusion } });
  }

  ask(): void {
    if (this.status?.state !== 'running' || this.status.permission) return;
    this.#world.asked += 1;
    this.#announce({
      permission: {
        id: `p${this.#world.asked}`,
        title: 'May I?',
        options: [{ optionId: 'yes', name: 'Yes', kind: 'allow_once' }],
      },
    });
  }

  answer(permissionId: string): void {
    if (this.status?.permission?.id === permissionId) this.#announce({ permission: null });
  }

  /** The agent's limit is reached, in the middle of its turn or before it has done anything for it. */
  limit(dies?: LastStep): void {
    if (this.status?.state === 'starting') this.handOver();
    if (this.status?.state !== 'running' || !this.job) return;
    const { turnId } = this.job;
    const begun = this.#hasWritten;
    if (!begun && !this.job.goesOn) this.#world.refused.set(turnId, (this.#world.refused.get(turnId) ?? 0) + 1);
    this.end('failed', dies, {
      kind: 'limit',
      said: 'No more today',
      begun,
      ...(this.#beginning ? { beginning: this.#beginning } : {}),
    });
  }

  /** `dies`: it is killed after that step, and nobody hears of the rest. */
  end(outcome: TurnOutcome, dies?: LastStep, unavailable?: Unavailable): void {
    if (!this.isActive || !this.job || (outcome === 'completed' && this.status?.state !== 'running')) return;
    const conclusion = this.#beginning ? this.#conclude(this.job, this.#beginning, outcome, dies, unavailable) : null;
    if (conclusion === 'died') {
      this.die();
      return;
    }
    this.#write({ type: 'ended', attempt: this.job.attempt, outcome, ...(unavailable ? { unavailable } : {}) });
    const message = outcome === 'failed' ? 'It failed.' : null;
    this.#announce({
      state: 'ended',
      outcome,
      permission: null,
      message,
      conclusion,
      unavailable: unavailable ?? null,
      endSha: conclusion?.head ?? null,
    });
  }

  #conclude(
    job: Job,
    beginning: Beginning,
    outcome: TurnOutcome,
    dies?: LastStep,
    unavailable?: Unavailable,
  ): Conclusion | 'died' | null {
    const { attempt, held, mends, worktree } = job;
    this.#write({ type: 'answered', attempt, outcome, ...(unavailable ? { unavailable } : {}) });
    if (dies === 'answered') return 'died';
    if (!existsSync(worktree)) return dies ? 'died' : null;
    const commits = job.kind === 'commit' && outcome === 'completed';
    const conclusion = this.#world.work.conclude(worktree, { beginning, commits, held, mends });
    if (dies === 'committed') return 'died';
    this.#write({ type: 'concluded', attempt, conclusion });
    this.#ended = { outcome, conclusion };
    return dies ? 'died' : conclusion;
  }

  die(): void {
    this.alive = false;
    this.client?.close();
  }

  #write(draft: TranscriptDraft & { late?: true }): void {
    const { transcript, turnId } = this.job as Job;
    mkdirSync(dirname(transcript), { recursive: true });
    // A window that concludes a turn whose host has died writes here, too.
    const lines = existsSync(transcript) ? readFileSync(transcript, 'utf8').split('\n').length - 1 : 0;
    appendFileSync(transcript, `${JSON.stringify({ ...draft, seq: lines + 1, at: 1, turnId })}\n`);
  }

  #announce(patch: Partial<TurnStatus>): void {
    this.status = { ...(this.status as TurnStatus), ...patch };
    this.client?.hear(this.status);
  }
}

class PretendClient implements HostConnection {
  readonly hostId: string;
  readonly #host: PretendHost;
  readonly #options: HostsOptions;
  readonly #world: PretendWorld;
  status: TurnStatus | null;
  closed = false;
  severed = false;

  constructor(host: PretendHost, options: HostsOptions, world: PretendWorld) {
    this.hostId = host.id;
    this.#host = host;
    this.#options = options;
    this.#world = world;
    this.status = host.status;
    host.client = this;
  }

  hear(status: TurnStatus): void {
    if (this.closed || this.severed) return;
    this.status = status;
    if (this.#world.lostEvents > 0) this.#world.lostEvents -= 1;
    else this.#options.events.onStatus(this, status);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (!this.severed) this.#options.events.onClosed(this);
  }

  run(job: Job): void {
    if (!this.closed && !this.severed) this.#host.run(job);
  }
  cancel(turnId: string): void {
    if (!this.severed && this.#host.status?.turnId === turnId) this.#host.end('cancelled');
  }
  answer(permissionId: string): void {
    this.#host.answer(permissionId);
  }
  setPolicy(): void {
    // Nothing here asks.
  }
  shutdown(): void {
    if (!this.severed && !this.#host.isActive) this.#host.die();
  }
}

/** What is outside of the engine: hosts and their transcripts. */
export class PretendWorld {
  readonly hosts: PretendHost[] = [];
  /** How often an agent was given the prompt, by turn. */
  readonly handovers = new Map<string, number>();
  /** How often its agent said that it can't work and had done nothing for it, by turn. */
  readonly refused = new Map<string, number>();
  /** What agents write, and what becomes of it. */
  readonly work = new PretendWork();
  asked = 0;
  /** Words of hosts that will not be heard. */
  lostEvents = 0;
  /** Broken promises that a host saw. */
  readonly violations: string[] = [];
  #clients: PretendClient[] = [];

  onJob(host: PretendHost, job: Job): void {
    const other = this.hosts.find((one) => one !== host && one.isActive && one.job?.worktree === job.worktree);
    if (other) this.violations.push(`two agents in ${job.worktree}`);
    if (!job.worktree.endsWith(`/${job.branch}`)) this.violations.push(`an agent of ${job.branch} was sent to ${job.worktree}`);
  }

  /** Cuts an engine off: it hears nothing more, and nobody hears it. */
  sever(): void {
    for (const client of this.#clients) {
      client.severed = true;
      client.closed = true;
    }
    this.#clients = [];
  }

  readonly makeHosts = (options: HostsOptions): EngineHosts => {
    const own = new Map<string, PretendClient>();
    const connect = (host: PretendHost) => {
      const client = new PretendClient(host, options, this);
      own.set(host.id, client);
      this.#clients.push(client);
      return client;
    };
    const living = (client: PretendClient | undefined) => (client && !client.closed ? client : undefined);
    const hostOf = (id: string) => this.hosts.find((host) => host.id === id);
    return {
      connected: (id) => living(own.get(id)),
      all: () => [...own.values()].filter((client) => !client.closed),
      take: async () => {
        const host = new PretendHost(`h${this.hosts.length}`, this);
        this.hosts.push(host);
        return connect(host);
      },
      giveBack: (client) => client.shutdown(),
      prepare: () => undefined,
      find: async (id) => {
        const host = hostOf(id);
        return living(own.get(id)) ?? (host?.alive ? connect(host) : undefined);
      },
      isAlive: (id) => hostOf(id)?.alive ?? false,
      end: async (id) => hostOf(id)?.die(),
      endOrphans: async (wanted) => {
        for (const host of this.hosts) if (host.alive && !wanted.has(host.id) && !living(own.get(host.id))) host.die();
      },
      setPolicy: () => undefined,
      dispose: () => undefined,
    };
  };
}
