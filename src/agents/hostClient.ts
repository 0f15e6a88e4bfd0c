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
}

const welcomeTime = 10_000;

/** A connected host, as those see it who hand out turns. */
export type HostConnection = Pick<
  HostClient,
  'hostId' | 'status' | 'closed' | 'run' | 'cancel' | 'answer' | 'setPolicy' | 'shutdown'
>;

export class HostClient {
  readonly hostId: string;
  readonly #socket: Socket;
  status: TurnStatus | null;
  closed = false;

  private constructor(hostId: string, socket: Socket, status: TurnStatus | null) {
    this.hostId = hostId;
    this.#socket = socket;
    this.status = status;
  }

  /** Connects and proves who we are; rejects with AgentError when the host is not there or does not take us. */
  static connect(file: HostFile, epoch: number, events: HostClientEvents): Promise<HostClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(file.socket);
      let client: HostClient | undefined;
      const fail = () => {
        socket.destroy();
        reject(new AgentError(`The agent host ${file.hostId} does not answer.`));
      };
      const timer = setTimeout(fail, welcomeTime);
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
        if (message.type === 'welcome') {
          clearTimeout(timer);
          client = new HostClient(file.hostId, socket, message.status);
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

  run(job: Job): void {
    this.#send({ type: 'run', job });
  }
  cancel(turnId: string): void {
    this.#send({ type: 'cancel', turnId });
  }
  answer(permissionId: string, optionId: string): void {
    this.#send({ type: 'answer', permissionId, optionId });
  }
  setPolicy(policy: PermissionPolicy): void {
    this.#send({ type: 'permissions', policy });
  }
  shutdown(): void {
    this.#send({ type: 'shutdown' });
  }
  /** Lets go of the host without ending it; what was said before still arrives. */
  disconnect(): void {
    this.#socket.end();
    this.#socket.unref();
  }
}
