/** A connection to one agent host. Its status is whole each time; the last one known is `status`. */
import { connect, type Socket } from 'node:net';
import {
  type ClientMessage,
  type HostFile,
  type HostMessage,
  hostMessageSchema,
  hostProtocolVersion,
  type Job,
  type PermissionPolicy,
  type TurnStatus,
} from '../agentHost/protocol.ts';
import { AgentError } from '../model/errors.ts';
import type { TranscriptEntry } from '../model/transcript.ts';
import { parseJson, readLines } from '../platform/jsonLines.ts';

export interface HostClientEvents {
  onStatus: (client: HostConnection, status: TurnStatus) => void;
  onEntries: (sessionId: string, entries: readonly TranscriptEntry[]) => void;
  onClosed: (client: HostConnection) => void;
  /** Told when the host was given something to do that it has to answer. */
  onOrder?: (client: HostClient) => void;
}

/** Milliseconds; a host that is well answers in a few. */
const welcomeTime = 5_000;

/** What became of the try to connect: `absent` when nobody listens there, `silent` when somebody does, and does not answer. */
export class UnansweredError extends AgentError {
  readonly how: 'absent' | 'silent';
  constructor(hostId: string, how: 'absent' | 'silent') {
    super(`The agent host ${hostId} does not answer.`);
    this.how = how;
  }
}

/** A connected host, as those see it who hand out turns. */
export type HostConnection = Pick<
  HostClient,
  'hostId' | 'status' | 'closed' | 'run' | 'cancel' | 'answer' | 'setPolicy' | 'shutdown'
>;

export class HostClient {
  readonly hostId: string;
  readonly #socket: Socket;
  readonly #onOrder: HostClientEvents['onOrder'];
  status: TurnStatus | null;
  closed = false;
  /** How often it has said something. */
  heard = 0;
  /** What it was told and has not answered yet: a turn that it has to say it has, one that it has to end, its own end. */
  #owed: { run?: { turnId: string; attempt: number }; cancel?: string; shutdown?: true } = {};

  private constructor(hostId: string, socket: Socket, status: TurnStatus | null, onOrder: HostClientEvents['onOrder']) {
    this.hostId = hostId;
    this.#socket = socket;
    this.status = status;
    this.#onOrder = onOrder;
  }

  /** Connects and proves who we are; rejects with UnansweredError when the host is not there or does not take us within `limit`. */
  static connect(file: HostFile, epoch: number, events: HostClientEvents, limit = welcomeTime): Promise<HostClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(file.socket);
      let client: HostClient | undefined;
      const fail = (how: 'absent' | 'silent' = 'absent') => {
        socket.destroy();
        reject(new UnansweredError(file.hostId, how));
      };
      const timer = setTimeout(() => fail('silent'), limit);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        clearTimeout(timer);
        if (!client) return fail();
        client.closed = true;
        events.onClosed(client);
      });
      readLines(socket, (line) => {
        const message: HostMessage | undefined = hostMessageSchema.safeParse(parseJson(line)).data;
        if (!message) return void socket.destroy(); // What became of its turn is found out in another way.
        if (client) client.heard += 1;
        if (message.type === 'welcome') {
          clearTimeout(timer);
          client = new HostClient(file.hostId, socket, message.status, events.onOrder);
          resolve(client);
        } else if (client && message.type === 'status') {
          client.status = message.status;
          events.onStatus(client, message.status);
        } else if (client && message.type === 'entries') events.onEntries(message.sessionId, message.entries);
      });
      const hello: ClientMessage = { type: 'hello', version: hostProtocolVersion, token: file.token, epoch };
      socket.write(`${JSON.stringify(hello)}\n`);
    });
  }

  #send(message: ClientMessage): void {
    if (!this.#socket.destroyed) this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  /** True while an answer is due: a host that owes one and says nothing at all may be frozen. */
  get isOwed(): boolean {
    const { run, cancel, shutdown } = this.#owed;
    const { status } = this;
    return (
      !this.closed &&
      (shutdown === true ||
        (run !== undefined && (status?.turnId !== run.turnId || status.attempt !== run.attempt)) ||
        (cancel !== undefined && status?.turnId === cancel && status.state !== 'ended'))
    );
  }

  /** It is there: what it may leave undone (it has a turn by now, and stays for it) is not waited for. */
  excuse(): void {
    delete this.#owed.shutdown;
  }

  run(job: Job): void {
    this.#owed.run = { turnId: job.turnId, attempt: job.attempt };
    this.#send({ type: 'run', job });
    this.#onOrder?.(this);
  }
  cancel(turnId: string): void {
    this.#owed.cancel = turnId;
    this.#send({ type: 'cancel', turnId });
    this.#onOrder?.(this);
  }
  answer(permissionId: string, optionId: string): void {
    this.#send({ type: 'answer', permissionId, optionId });
  }
  setPolicy(policy: PermissionPolicy): void {
    this.#send({ type: 'permissions', policy });
  }
  shutdown(): void {
    this.#owed.shutdown = true;
    this.#send({ type: 'shutdown' });
    this.#onOrder?.(this);
  }
  /** Lets go of the host without ending it; what was said before still arrives. */
  disconnect(): void {
    this.#socket.end();
    this.#socket.unref();
  }
}
