/**
 * A name held by listening on it, where the kernel takes the address away with its process: Linux' abstract sockets, Windows'
 * named pipes. Who waits is connected to the holder, and hears at once when it goes.
 */
import { connect, createServer, type Socket } from 'node:net';
import type { Exclusive, ExclusiveKind } from './exclusive.ts';

export class PipeLock implements ExclusiveKind {
  readonly #address: (digest: string) => string;

  constructor(address: (digest: string) => string) {
    this.#address = address;
  }

  acquire(digest: string): Promise<Exclusive | undefined> {
    return new Promise((resolve, reject) => {
      const waiting = new Set<Socket>();
      const server = createServer((socket) => {
        waiting.add(socket);
        socket.on('error', () => undefined).on('close', () => waiting.delete(socket));
        socket.unref();
      });
      server.unref();
      server.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)));
      server.listen({ path: this.#address(digest), exclusive: true }, () => {
        resolve({
          release: () =>
            new Promise((done) => {
              for (const socket of waiting) socket.destroy();
              server.close(() => done());
            }),
        });
      });
    });
  }

  released(digest: string, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const socket = connect(this.#address(digest));
      const end = () => {
        signal?.removeEventListener('abort', end);
        socket.destroy();
        resolve();
      };
      socket.on('error', end).on('close', end).resume();
      signal?.addEventListener('abort', end, { once: true });
      if (signal?.aborted) end();
    });
  }
}
