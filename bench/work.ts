/**
 * The work of a turn: both of its trees, before and after, against two `git status`, where 20,000 files are and 100 of them change.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Git } from '../src/git/git.ts';
import { snapshot } from '../src/git/trees.ts';
import { worktreeState } from '../src/git/worktrees.ts';
import { git, makeRepository } from '../test/support/repositories.ts';
import { files, run } from './bare.ts';
import { compare, inTurns, timed } from './figures.ts';

const all = 20_000;
const changed = 100;

export async function benchWork(folder: string): Promise<void> {
  const content = files(all);
  const paths = Object.keys(content).filter((_, n) => n % (all / changed) === 0);
  const worktree = join(folder, 'worktree');
  git(makeRepository(folder, 'large', content), 'worktree', 'add', '--quiet', '-b', 'b', worktree);
  const ours = new Git(worktree);
  let edits = 0;
  /** As a turn does it: looked at, changed by an agent, looked at again. Only the looking counts. */
  const aroundATurn = async (look: () => Promise<unknown>) => {
    git(worktree, 'reset', '--quiet', '--hard');
    const before = await timed(look);
    edits += 1;
    for (const path of paths) writeFileSync(join(worktree, path), `Edit ${edits} of ${path}\n`);
    return before + (await timed(look));
  };
  await compare(
    `the work of a turn, ${all.toLocaleString('en')} files, ${changed} changed`,
    { against: 'git status, twice', atMost: 1.5 },
    inTurns(
      () => aroundATurn(async () => snapshot(ours, await worktreeState(ours), [])),
      () => aroundATurn(() => run(worktree, 'git', 'status', '--porcelain', '--untracked-files=all')),
    ),
    9,
  );
}
