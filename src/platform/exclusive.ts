/**
 * A name that one process on this machine can hold at a time, and that the kernel frees when its holder dies: there is
 * nothing that can go stale. An abstract socket on Linux, a named pipe on Windows, an open file with a lock on it elsewhere.
 */
import { createHash } from 'node:crypto';
import { userInfo } from 'node:os';
import { FileLock } from './fileLock.ts';
import { PipeLock } from './pipeLock.ts';

export interface Exclusive {
  release(): Promise<void>;
}

/** How a platform keeps a name for one process. `digest` stands for the name: 32 hexadecimal digits. */
export interface ExclusiveKind {
  acquire(digest: string): Promise<Exclusive | undefined>;
  released(digest: string, signal?: AbortSignal): Promise<void>;
}

/** What the platform has for it. Android is Linux's kernel. */
export function exclusiveKindOf(platform: NodeJS.Platform): ExclusiveKind {
  if (platform === 'win32') return new PipeLock((digest) => `\\\\.\\pipe\\branchline-${digest}`);
  if (platform === 'linux' || platform === 'android') return new PipeLock((digest) => `\0branchline-${digest}`);
  return new FileLock();
}

const ours = exclusiveKindOf(process.platform);

/** Stands for `name` (any text, for instance a path); the same in every process of this user. */
function digestOf(name: string): string {
  return createHash('sha256').update(`${userInfo().uid}\0${name}`).digest('hex').slice(0, 32);
}

/** Takes the name, or returns undefined while another process holds it. */
export function acquire(name: string, kind: ExclusiveKind = ours): Promise<Exclusive | undefined> {
  return kind.acquire(digestOf(name));
}

/** Takes the name as soon as it is free, or returns undefined at `signal`. `onWait` is called once when it is not free at first. */
export async function acquireWhenFree(
  name: string,
  signal: AbortSignal,
  onWait?: () => void,
  kind: ExclusiveKind = ours,
): Promise<Exclusive | undefined> {
  for (let waits = false; !signal.aborted; waits = true) {
    const held = await acquire(name, kind);
    if (held) return held;
    if (!waits) onWait?.();
    await released(name, signal, kind);
  }
  return undefined;
}

/** Resolves when the present holder of the name lets go or dies (at once when nobody holds it), or at `signal`. */
export function released(name: string, signal?: AbortSignal, kind: ExclusiveKind = ours): Promise<void> {
  return kind.released(digestOf(name), signal);
}
