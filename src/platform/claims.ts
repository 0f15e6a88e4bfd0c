/**
 * Who may write where: one holder on this machine, whatever windows, storages and agent hosts there are. Whoever writes in a worktree (a
 * turn, setup, copying, removing, restoring, a commit by hand) holds its claim; whoever makes or removes worktrees holds the repository's.
 */
import { realpathSync } from 'node:fs';
import { acquire, acquireWhenFree, type Exclusive } from './exclusive.ts';

/** The name of a worktree's claim: by its canonical path, or by what it was where the folder is gone. */
export function worktreeClaim(worktree: string): string {
  let path = worktree;
  try {
    path = realpathSync(worktree);
  } catch {
    // Gone, or not there yet.
  }
  return `worktree:${path}`;
}

export const repositoryClaim = (repository: string): string => `repository:${repository}`;

/** Takes a claim as soon as it is free; undefined at `signal`. `onWait` is called once when somebody else has it. */
export const claim = (name: string, signal: AbortSignal, onWait?: () => void): Promise<Exclusive | undefined> =>
  acquireWhenFree(name, signal, onWait);

/** Takes a claim, or returns undefined while somebody else has it. */
export const claimNow = (name: string): Promise<Exclusive | undefined> => acquire(name);
