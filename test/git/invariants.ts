/** What has to hold of everything that is not the branch's own, after whatever was done in its worktree. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { git } from '../support/repositories.ts';
import { commonFolder, type MadeRepository } from './kinds.ts';

/** What there was of the user's before. */
export interface Seen {
  checkouts: Record<string, unknown>;
  /** The user's other worktrees: their entries, byte by byte, and the files of the one that can be reached. */
  entries: Record<string, Record<string, string>>;
  /** Branches, tags and what else is not ours. */
  refs: string[];
  /** `git status` in the worktree whose disk is away, which is told when it is back. */
  away: string;
}

const answer = (folder: string, ...args: string[]): string => {
  try {
    return git(folder, ...args);
  } catch {
    return 'no';
  }
};

/** All files below a folder with their content, the git directory left out. */
function filesOf(folder: string, below = '', found: Record<string, string> = {}): Record<string, string> {
  for (const name of readdirSync(join(folder, below))) {
    if (name === '.git') continue;
    const path = below === '' ? name : `${below}/${name}`;
    const stat = lstatSync(join(folder, path));
    if (stat.isDirectory()) filesOf(folder, path, found);
    else if (stat.isSymbolicLink()) found[path] = `-> ${readlinkSync(join(folder, path))}`;
    else
      found[path] = `${(stat.mode & 0o111) > 0 ? 'x' : '-'} ${createHash('sha256')
        .update(readFileSync(join(folder, path)))
        .digest('hex')}`;
  }
  return found;
}

const checkoutSeen = (folder: string) => ({
  head: answer(folder, 'rev-parse', 'HEAD', '--symbolic-full-name', 'HEAD'),
  index: answer(folder, 'ls-files', '--stage'),
  files: filesOf(folder),
});

function entriesSeen(made: MadeRepository): Seen['entries'] {
  if (!made.neighbours) return {};
  const worktrees = join(commonFolder(made.open), 'worktrees');
  return Object.fromEntries([
    ...['here', 'away'].map((name) => [name, filesOf(join(worktrees, name))]),
    ['files', filesOf(made.neighbours.here)],
  ]);
}

/** Refs that no branch of ours and nothing of ours accounts for. */
const refsSeen = (open: string, own: readonly string[]): string[] =>
  git(open, 'for-each-ref', '--format=%(refname) %(objectname)')
    .split('\n')
    .filter((line) => !line.startsWith('refs/branchline/') && !own.some((name) => line.startsWith(`refs/heads/${name} `)));

export function see(made: MadeRepository): Seen {
  return {
    checkouts: Object.fromEntries(made.checkouts.map((checkout) => [checkout, checkoutSeen(checkout)])),
    entries: entriesSeen(made),
    refs: refsSeen(made.open, [made.branch]),
    away: made.neighbours ? statusAway(made) : '',
  };
}

/** The worktree that is unplugged can't be asked; its index and HEAD can. */
function statusAway({ open }: MadeRepository): string {
  const entry = join(commonFolder(open), 'worktrees', 'away');
  return git(open, `--git-dir=${entry}`, 'ls-files', '--stage');
}

/** `own`: further branches that agents made. */
export function assertUntouched(made: MadeRepository, before: Seen, own: readonly string[] = []): void {
  for (const checkout of made.checkouts)
    assert.deepEqual(checkoutSeen(checkout), before.checkouts[checkout], `the user's checkout ${checkout} is untouched`);
  assert.deepEqual(entriesSeen(made), before.entries, "the user's other worktrees are untouched");
  const branches = [made.branch, ...own];
  assert.deepEqual(
    refsSeen(made.open, branches),
    before.refs.filter((line) => !own.some((name) => line.startsWith(`refs/heads/${name} `))),
    'no ref of others has changed',
  );
  if (made.neighbours) {
    assert.equal(statusAway(made), before.away);
    made.neighbours.plugIn();
    assert.match(
      git(made.neighbours.away, 'status', '--porcelain', '--untracked-files=all'),
      /^A {2}staged\.txt\n\?\? loose\.txt$/,
    );
  }
  git(made.open, 'fsck', '--no-dangling', '--no-progress');
  assert.deepEqual(leftovers(commonFolder(made.open)), [], 'no file of ours and no lock is left in the git directory');
}

/** Locks, and files of ours that were only for a while. */
function leftovers(gitFolder: string): string[] {
  return readdirSync(gitFolder, { recursive: true, encoding: 'utf8' }).filter(
    (name) => !/(^|\/)objects\//.test(name) && (/(^|\/)branchline-/.test(name) || name.endsWith('.lock')),
  );
}

/** Resolves when a file is there. */
export async function untilThere(path: string, limit = 60_000): Promise<void> {
  const deadline = performance.now() + limit;
  while (!existsSync(path)) {
    if (performance.now() > deadline) assert.fail(`Waited in vain for ${path}.`);
    await delay(10);
  }
}

/** Resolves when no process is left that works below `folder` or was started with it in its environment or arguments. */
export async function nothingRuns(folder: string, limit = 60_000): Promise<void> {
  if (!existsSync('/proc/self/environ')) return;
  const deadline = performance.now() + limit;
  for (;;) {
    const left = processesOf(folder);
    if (left.length === 0) return;
    if (performance.now() > deadline) assert.fail(`still running:\n${left.join('\n')}`);
    await delay(50); // A look costs a read of each process.
  }
}

function processesOf(folder: string): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return [];
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      if ('ZX'.includes(stat.slice(stat.lastIndexOf(')') + 2)[0] as string)) return [];
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      const told = `${command}\0${readFileSync(`/proc/${pid}/environ`, 'utf8')}\0${readlinkSync(`/proc/${pid}/cwd`)}`;
      return told.includes(folder) ? [`${pid} ${command.replaceAll('\0', ' ').slice(0, 200)}`] : [];
    } catch {
      return []; // Gone meanwhile, or another user's.
    }
  });
}
