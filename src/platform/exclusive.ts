/**
 * A name that one process on this machine can hold at a time, and that the kernel frees when its holder dies: there is
 * nothing that can go stale. An abstract socket on Linux, a named pipe on Windows, a socket file elsewhere.
 */
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { runtimeFolder } from './runtimeFolder.ts';

export interface Exclusive {
  release(): Promise<void>;
}

/** Address for `name` (any text, for instance a path); the same for every process of this user. */
function address(name: string): string {
  const digest = createHash('sha256').update(`${userInfo().uid}\0${name}`).digest('hex').slice(0, 32);
  if (process.platform === 'linux') return `\0branchline-${digest}`;
  if (process.platform === 'win32') return `\\\\.\\pipe\\branchline-${digest}`;
  return join(runtimeFolder(), `${digest}.lock`);
}

/** Takes the name, or returns undefined while another process holds it. */
export async function acquire(name: string): Promise<Exclusive | undefined> {
  const path = address(name);
  const held = await listen(path);
  if (held || process.platform === 'linux' || process.platform === 'win32') return held;
  if (await answers(path)) return undefined;
  rmSync(path, { force: true }); // A socket file outlives its holder; nobody answers, so it is nobody's.
  return listen(path);
}

/** Takes the name as soon as it is free, or returns undefined at `signal`. `onWait` is called once when it is not free at first. */
export async function acquireWhenFree(name: string, signal: AbortSignal, onWait?: () => void): Promise<Exclusive | undefined> {
  for (let waits = false; !signal.aborted; waits = true) {
    const held = await acquire(name);
    if (held) return held;
    if (!waits) onWait?.();
    await released(name, signal);
  }
  return undefined;
}

function listen(path: string): Promise<Exclusive | undefined> {
  return new Promise((resolve, reject) => {
    const waiting = new Set<Socket>();
    const server = createServer((socket) => {
      waiting.add(socket);
      socket.on('error', () => undefined).on('close', () => waiting.delete(socket));
      socket.unref();
    });
    server.unref();
    server.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)));
    server.listen({ path, exclusive: true }, () => {
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

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

/** Resolves when the present holder of the name lets go or dies (at once when nobody holds it), or at `signal`. */
export function released(name: string, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(address(name));
    const end = () => {
      socket.destroy();
      resolve();
    };
    socket.on('error', end).on('close', end).resume();
    signal?.addEventListener('abort', end, { once: true });
    if (signal?.aborted) end();
  });
}
