/** What our own work is measured against: the programs themselves, with nothing of ours around them. */
import { spawn } from 'node:child_process';
import { timed } from './figures.ts';

/** Resolves when the program has ended well. */
export function run(cwd: string, program: string, ...args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${program} ${args.join(' ')} ended with ${code}.`));
    });
  });
}

/** Milliseconds that git takes to commit all there is. */
export const committing = (worktree: string): Promise<number> =>
  timed(async () => {
    await run(worktree, 'git', 'add', '--all');
    await run(worktree, 'git', 'commit', '--quiet', '--message', 'What was done');
  });

/** Files of a repository with so many of them, by path. */
export const files = (number: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: number }, (_, n) => [`src/${n % 200}/file${n}.txt`, `File ${n}\n`]));
