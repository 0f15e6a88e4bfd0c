import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startEngine, stoppedAfterEach, turnState, until, untilEnded } from '../support/engines.ts';
import { git, makeRepository, subjects } from '../support/repositories.ts';
import { placeStorage } from '../support/storages.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const day = '2024-01-01T00:00:00Z';
/** Of the one commit of the repository that the storage was made with. */
const first = 'a32b1dd99043611eef5ccbfd38721b3592f09b69';

/** Of `test/fixtures/storage-2-leftovers`: what a person queued there. */
const turns = {
  part: 'b0e_oQWCg-c6AAv4',
  never: 'hk64Bm7Ij3SFoMN6',
  own: 'WoheF6T81Rdz7RdH',
  half: '9jo0xEgRsizu7bX2',
  after: 'ayyCL9hyrNhWdA8H',
};

/**
 * Version 0.1.0 was run on a repository: on `b` a cancelled turn left part.txt, so the next one's never.txt was never committed, and a
 * third one waited behind a pause; on `c` a turn had written half.txt, and another waited, when window and agent host were killed.
 */
describe('A storage of version 0.1.0 whose branches never commit again', () => {
  let folder: string;
  let repository: string;
  const running = stoppedAfterEach();
  const worktree = (branch: string) => join(folder, 'repo.worktrees', branch);
  beforeEach(() => {
    folder = temporaryFolder();
    repository = makeRepository(folder);
    execFileSync('git', ['commit', '--quiet', '--amend', '--no-edit', `--date=${day}`], {
      cwd: repository,
      env: { ...process.env, GIT_COMMITTER_DATE: day },
    });
    assert.equal(git(repository, 'rev-parse', 'HEAD'), first);
    for (const branch of ['b', 'c']) git(repository, 'worktree', 'add', '--quiet', '-b', branch, worktree(branch));
    writeFileSync(join(worktree('b'), 'part.txt'), 'part\n');
    writeFileSync(join(worktree('b'), 'never.txt'), 'never\n');
    writeFileSync(join(worktree('c'), 'half.txt'), 'half\n');
    placeStorage('storage-2-leftovers', join(folder, 'storage'), repository);
  });

  it('commits exactly the work of each turn that comes, and leaves what was there before (G2)', async () => {
    const one = startEngine(folder, repository, { onFailure: 'continue' });
    running.push(one);
    const { engine } = one;
    const { queue } = await engine.owner();
    assert.deepEqual(one.problems, []);
    assert.deepEqual([turnState(engine, turns.part), turnState(engine, turns.never)], ['cancelled', 'completed']);
    await until(engine, () => turnState(engine, turns.half) === 'interrupted', 'the turn of the killed host is interrupted');
    await untilEnded(engine, turns.after);
    assert.equal(turnState(engine, turns.own), 'queued', 'a pause by a person stays');
    await queue.resume(engine.state.turn(turns.own)?.branchId as string);
    await untilEnded(engine, turns.own);

    for (const [turn, branch, file, left] of [
      [turns.own, 'b', 'own.txt', '?? never.txt\n?? part.txt'],
      [turns.after, 'c', 'after.txt', '?? half.txt'],
    ] as const) {
      const row = engine.state.turn(turn);
      assert.deepEqual([row?.state, row?.commit?.state, row?.attempt], ['completed', 'made', 1], branch);
      assert.equal(git(repository, 'diff', '--name-only', first, branch), file);
      assert.equal(git(worktree(branch), 'status', '--porcelain'), left);
      // What was there when it began can't be lost any more, whatever is done in the worktree.
      const before = git(repository, 'ls-tree', '--name-only', row?.startTree as string).split('\n');
      for (const line of left.split('\n')) assert.ok(before.includes(line.slice(3)), line);
      assert.equal(git(repository, 'rev-parse', `refs/branchline/turns/${turn}^1^{tree}`), row?.startTree);
    }
    assert.deepEqual(subjects(repository, `${first}..b`), ['Own']);
    assert.deepEqual(subjects(repository, `${first}..c`), ['After']);

    const next = await queue.enqueue({ branch: 'b', title: 'Next', prompt: 'echo more >> own.txt; rm part.txt' });
    await untilEnded(engine, next.turnId);
    assert.equal(git(repository, 'diff', '--name-only', first, 'b'), 'own.txt');
    assert.deepEqual(subjects(repository, `${first}..b`), ['Own', 'Next']);
    assert.equal(git(worktree('b'), 'status', '--porcelain'), '?? never.txt');
    const kept = engine.state.turn(next.turnId)?.startTree as string;
    assert.equal(git(repository, 'show', `${kept}:part.txt`), 'part');
  });
});
