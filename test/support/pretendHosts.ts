/**
 * Agent hosts as pure data: what they do next is decided by the test. They outlive an engine, write real transcripts, and keep to
 * what real ones promise: the hand-over is written before the agent has the prompt, the end before it is announced.
 */
import { appendFileSync, existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Job, TurnStatus } from '../../src/agentHost/protocol.ts';
import type { HostConnection } from '../../src/agents/hostClient.ts';
import type { HostsOptions } from '../../src/agents/hosts.ts';
import type { TranscriptDraft, TurnOutcome } from '../../src/model/transcript.ts';
import type { EngineHosts } from '../../src/sessions/engine.ts';

class PretendHost {
  readonly id: string;
  readonly #world: PretendWorld;
  alive = true;
  job: Job | undefined;
  status: TurnStatus | null = null;
  client: PretendClient | undefined;

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
    if (!existsSync(job.worktree)) this.end('failed'); // It was deleted in this moment.
  }

  handOver(): void {
    if (this.status?.state !== 'starting' || !this.job) return;
    this.#write({ type: 'handover', attempt: this.job.attempt });
    this.#world.handovers.set(this.job.turnId, (this.#world.handovers.get(this.job.turnId) ?? 0) + 1);
    this.#announce({ state: 'running', agentSessionId: this.job.sessionId });
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

  end(outcome: TurnOutcome): void {
    if (!this.isActive || !this.job || (outcome === 'completed' && this.status?.state !== 'running')) return;
    this.#write({ type: 'ended', attempt: this.job.attempt, outcome });
    this.#announce({ state: 'ended', outcome, permission: null, message: outcome === 'failed' ? 'It failed.' : null });
  }

  die(): void {
    this.alive = false;
    this.client?.close();
  }

  #write(draft: TranscriptDraft): void {
    const { transcript, turnId } = this.job as Job;
    mkdirSync(dirname(transcript), { recursive: true });
    const seq = (this.#world.written.get(transcript) ?? 0) + 1;
    this.#world.written.set(transcript, seq);
    appendFileSync(transcript, `${JSON.stringify({ ...draft, seq, at: 1, turnId })}\n`);
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
  /** Lines in each transcript. */
  readonly written = new Map<string, number>();
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
