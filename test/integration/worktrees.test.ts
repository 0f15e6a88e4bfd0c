import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  startEngine,
  stoppedAfterEach,
  type TestEngine,
  type TestSettings,
  turnState,
  until,
  untilEnded,
} from '../support/engines.ts';
import { git, makeRepository } from '../support/repositories.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

describe('Worktrees', () => {
  let folder: string;
  let repository: string;
  const running = stoppedAfterEach();
  const start = (patch: Partial<TestSettings> = {}) => {
    const started = startEngine(folder, repository, patch);
    running.push(started);
    return started;
  };
  beforeEach(() => {
    folder = temporaryFolder();
    repository = makeRepository(folder, 'repo', {
      'README.md': '# Sample\n',
      '.gitignore': '.env*\nbig/\ncache/\n',
      'tracked.txt': 'committed\n',
    });
  });
  const note = async ({ engine }: TestEngine, branch: string, prompt = 'pwd', base?: string) => {
    const { queue } = await engine.owner();
    return queue.enqueue({ branch, base, kind: 'note', prompt });
  };
  const settled = ({ engine }: TestEngine, branchId: string) =>
    until(
      engine,
      () => ['ready', 'failed'].includes(engine.state.branch(branchId)?.worktreeState ?? ''),
      'the worktree is ready or has failed',
    );
  const failure = async (one: TestEngine, branch: string, base?: string) => {
    const { branchId, turnId } = await note(one, branch, 'pwd', base);
    await settled(one, branchId);
    assert.equal(one.engine.state.branch(branchId)?.worktreeState, 'failed');
    assert.equal(turnState(one.engine, turnId), 'queued');
    return one.engine.state.branch(branchId)?.worktreeError?.message ?? '';
  };

  it('refuses names that git does not take, or that would be options, and changes nothing (requirement 42)', async () => {
    const one = start();
    const { queue } = await one.engine.owner();
    for (const name of [
      '',
      '-x',
      '--force',
      'a b',
      'a..b',
      'a@{b',
      'a//b',
      '/a',
      'a/',
      'a.lock',
      '.a',
      'a~1',
      'a^',
      'a:b',
      'a\\b',
      'HEAD',
      'a\u0000b',
      'a\u202eb',
    ]) {
      await assert.rejects(
        queue.enqueue({ branch: name, prompt: 'x' }),
        /can't be the name of a branch|empty/,
        JSON.stringify(name),
      );
    }
    assert.equal(one.engine.state.counts.branches, 0);
  });

  it('takes unicode, slashes and mixed case (requirement 42)', async () => {
    const one = start();
    for (const name of ['größe/überall', '日本語', 'A/b.C_d']) {
      const { branchId, turnId } = await note(one, name);
      await untilEnded(one.engine, turnId);
      assert.equal(turnState(one.engine, turnId), 'completed', name);
      assert.equal(git(one.engine.state.branch(branchId)?.worktreePath ?? '', 'branch', '--show-current'), name);
    }
  });

  it('takes up an existing branch, and one of a remote', async () => {
    git(repository, 'branch', 'old');
    const remote = join(folder, 'remote.git');
    git(folder, 'clone', '--quiet', '--bare', repository, remote);
    git(remote, 'branch', 'theirs');
    git(repository, 'remote', 'add', 'origin', remote);
    git(repository, 'fetch', '--quiet', 'origin');
    const one = start();
    const old = await note(one, 'old');
    const theirs = await note(one, 'theirs');
    await untilEnded(one.engine, old.turnId, theirs.turnId);
    assert.equal(git(repository, 'rev-parse', '--abbrev-ref', 'theirs@{upstream}'), 'origin/theirs');
  });

  it("refuses the branch of the user's own checkout, and says what to do (requirement 42, invariant 4)", async () => {
    assert.match(
      await failure(start(), 'main'),
      /checked out in your own checkout.*Switch that checkout.*or queue on a new branch/,
    );
  });

  it('takes up a worktree that holds the branch already, and leaves it there when the branch is removed', async () => {
    const own = join(folder, 'elsewhere');
    git(repository, 'worktree', 'add', '-q', '-b', 'b', own);
    const one = start();
    const { branchId, turnId } = await note(one, 'b');
    await untilEnded(one.engine, turnId);
    assert.equal(one.engine.state.branch(branchId)?.worktreePath, own);
    const { removal } = await one.engine.owner();
    await removal.remove(branchId, false);
    assert.ok(existsSync(own));
  });

  it('starts a new branch from its base, and says when there is none', async () => {
    git(repository, 'branch', 'stable');
    writeFileSync(join(repository, 'more.txt'), 'x');
    git(repository, 'add', '.');
    git(repository, 'commit', '-qm', 'More');
    const one = start();
    const { turnId } = await note(one, 'b', 'pwd', 'stable');
    await untilEnded(one.engine, turnId);
    assert.equal(git(repository, 'rev-parse', 'b'), git(repository, 'rev-parse', 'stable'));
    assert.match(await failure(one, 'c', 'nowhere'), /base "nowhere" was not found/);
  });

  it('says so when something else is in its place, and goes on after a retry (requirement 22)', async () => {
    const place = join(folder, 'repo.worktrees', 'b');
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'mine.txt'), 'x');
    const one = start();
    assert.match(await failure(one, 'b'), /is there already and is not a worktree of "b"/);
    assert.equal(readFileSync(join(place, 'mine.txt'), 'utf8'), 'x');
    rmSync(place, { recursive: true });
    const { queue } = await one.engine.owner();
    const branch = one.engine.state.branchNamed(repository, 'b');
    await queue.retryProvisioning(branch?.id ?? '');
    await until(one.engine, () => one.engine.state.branch(branch?.id ?? '')?.worktreeState === 'ready', 'it is ready');
  });

  it('copies ignored files that are named, links directories, and overwrites nothing tracked (requirement 40)', async () => {
    writeFileSync(join(repository, '.worktreeinclude'), '.env\ntracked.txt\n');
    writeFileSync(join(repository, '.env'), 'A=1');
    writeFileSync(join(repository, '.env.local'), 'B=2');
    writeFileSync(join(repository, '.env.other'), 'C=3');
    writeFileSync(join(repository, 'tracked.txt'), 'changed in the own checkout\n');
    mkdirSync(join(repository, 'big'));
    writeFileSync(join(repository, 'big', 'x'), 'x');
    mkdirSync(join(repository, 'cache'));
    symlinkSync('/etc/hostname', join(repository, 'cache', 'link'));
    const one = start({ worktrees: { include: ['.env.local', 'cache/**'], symlinkDirectories: ['big'] } });
    const { branchId, turnId } = await note(one, 'b');
    await untilEnded(one.engine, turnId);
    const worktree = one.engine.state.branch(branchId)?.worktreePath ?? '';
    assert.equal(readFileSync(join(worktree, '.env'), 'utf8'), 'A=1');
    assert.equal(readFileSync(join(worktree, '.env.local'), 'utf8'), 'B=2');
    assert.ok(!existsSync(join(worktree, '.env.other')));
    assert.equal(readFileSync(join(worktree, 'tracked.txt'), 'utf8'), 'committed\n');
    assert.ok(lstatSync(join(worktree, 'big')).isSymbolicLink());
    assert.ok(lstatSync(join(worktree, 'cache', 'link')).isSymbolicLink());
  });

  it('shows a setup that fails with its step, message and log, and goes on there after a retry (requirement 22)', async () => {
    const one = start({
      worktrees: {
        setup: [
          { command: 'echo once >> ../../count', wait: true, timeoutSeconds: 60 },
          { command: 'echo words; test -e ../../mended', wait: true, timeoutSeconds: 60 },
        ],
      },
    });
    const { branchId, turnId } = await note(one, 'b');
    await settled(one, branchId);
    const branch = one.engine.state.branch(branchId);
    assert.deepEqual([branch?.worktreeState, branch?.worktreeError?.step], ['failed', 'runSetup']);
    assert.match(branch?.worktreeError?.message ?? '', /test -e .*exit code 1/);
    const { queue, provisioner } = await one.engine.owner();
    assert.match(readFileSync(provisioner.logOf(branchId), 'utf8'), /words/);
    writeFileSync(join(folder, 'mended'), '');
    await queue.retryProvisioning(branchId);
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'completed');
  });

  it('ends a setup that takes too long, and one that is stopped (requirement 22)', async () => {
    const one = start({ worktrees: { setup: [{ command: 'sleep 300', wait: true, timeoutSeconds: 0.3 }] } });
    assert.match(await failure(one, 'b'), /took longer than 0.3 s/);
    one.settings.worktrees = { setup: [{ command: 'sleep 300', wait: true, timeoutSeconds: 60 }] };
    const { branchId } = await note(one, 'c');
    await until(one.engine, () => one.engine.state.branch(branchId)?.worktreeStep === 'runSetup', 'setup runs');
    await (await one.engine.owner()).provisioner.stop(branchId);
    assert.match(one.engine.state.branch(branchId)?.worktreeError?.message ?? '', /Stopped.*Retry/);
  });

  it('does not wait for a setup marked so, and shows its failure without failing the turn (requirement 47)', async () => {
    const one = start({
      worktrees: {
        setup: [{ command: 'while ! test -e ../../go; do sleep 0.02; done; exit 5', wait: false, timeoutSeconds: 60 }],
      },
    });
    const { branchId, turnId } = await note(one, 'b');
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'completed');
    assert.equal(one.engine.state.branch(branchId)?.backgroundSetup, 'running');
    writeFileSync(join(folder, 'go'), '');
    await until(one.engine, () => one.engine.state.branch(branchId)?.backgroundSetup === 'failed', 'it has failed');
    assert.equal(one.engine.state.branch(branchId)?.worktreeState, 'ready');
  });

  it('goes on with provisioning after a restart, by itself (requirement 23)', async () => {
    const first = start({
      worktrees: { setup: [{ command: 'while ! test -e ../../go; do sleep 0.02; done', wait: true, timeoutSeconds: 60 }] },
    });
    const { branchId, turnId } = await note(first, 'b');
    await until(first.engine, () => first.engine.state.branch(branchId)?.worktreeStep === 'runSetup', 'setup runs');
    await first.engine.dispose();
    const second = start(first.settings);
    await second.engine.ready;
    assert.equal(second.engine.state.branch(branchId)?.worktreeState, 'provisioning');
    writeFileSync(join(folder, 'go'), '');
    await untilEnded(second.engine, turnId);
    assert.equal(turnState(second.engine, turnId), 'completed');
  });

  it('makes a worktree again that was deleted by hand (requirement 41)', async () => {
    const one = start();
    const first = await note(one, 'b');
    await untilEnded(one.engine, first.turnId);
    rmSync(join(folder, 'repo.worktrees', 'b'), { recursive: true });
    const second = await note(one, 'b', 'touch again');
    await untilEnded(one.engine, second.turnId);
    assert.equal(turnState(one.engine, second.turnId), 'completed');
    assert.ok(existsSync(join(folder, 'repo.worktrees', 'b', 'again')));
  });

  it('fails the turn with what to do when the branch is gone with its worktree, and runs nowhere else (requirement 41)', async () => {
    const one = start();
    const first = await note(one, 'b');
    await untilEnded(one.engine, first.turnId);
    rmSync(join(folder, 'repo.worktrees', 'b'), { recursive: true });
    git(repository, 'worktree', 'prune');
    git(repository, 'branch', '-D', 'b');
    const second = await note(one, 'b', 'touch nowhere');
    await untilEnded(one.engine, second.turnId);
    assert.equal(turnState(one.engine, second.turnId), 'failed');
    assert.match(one.engine.state.turn(second.turnId)?.error?.message ?? '', /"b" and its worktree were deleted. Restore it/);
    assert.ok(!existsSync(join(repository, 'nowhere')));
    git(repository, 'branch', 'b');
    const { queue } = await one.engine.owner();
    await queue.retry(second.turnId);
    await untilEnded(one.engine, second.turnId);
    assert.equal(turnState(one.engine, second.turnId), 'completed');
  });

  it('never replaces a worktree that was moved by another directory', async () => {
    const one = start();
    const first = await note(one, 'b');
    await untilEnded(one.engine, first.turnId);
    const path = join(folder, 'repo.worktrees', 'b');
    renameSync(path, join(folder, 'moved'));
    mkdirSync(path);
    writeFileSync(join(path, 'other.txt'), 'x');
    const second = await note(one, 'b', 'touch wrong');
    await until(
      one.engine,
      () =>
        turnState(one.engine, second.turnId) === 'failed' || one.engine.state.branch(first.branchId)?.worktreeState === 'failed',
      'it is refused',
    );
    assert.ok(!existsSync(join(path, 'wrong')));
  });

  it('does not remove a worktree with uncommitted work without the word, and says what would be lost (requirement 44, invariant 10)', async () => {
    const one = start();
    const { branchId, turnId } = await note(one, 'b', 'echo x > unsaved.txt');
    await untilEnded(one.engine, turnId);
    const { removal } = await one.engine.owner();
    await assert.rejects(removal.remove(branchId, false), /1 file has uncommitted changes, which would be lost \(unsaved.txt\)/);
    assert.equal(one.engine.state.branch(branchId)?.worktreeState, 'ready');
    await removal.remove(branchId, true);
    assert.ok(!existsSync(join(folder, 'repo.worktrees', 'b')));
    assert.equal(one.engine.state.branch(branchId)?.worktreeState, 'removed');
    const again = await note(one, 'b', 'touch back');
    await untilEnded(one.engine, again.turnId);
    assert.equal(again.branchId, branchId);
    assert.equal(turnState(one.engine, again.turnId), 'completed');
  });

  it('removes a branch at every moment: while it is made, and while a turn runs (requirement 27)', async () => {
    const one = start({ worktrees: { setup: [{ command: 'sleep 300', wait: true, timeoutSeconds: 60 }] } });
    const { removal } = await one.engine.owner();
    const making = await note(one, 'b');
    await until(one.engine, () => one.engine.state.branch(making.branchId)?.worktreeStep === 'runSetup', 'setup runs');
    await removal.remove(making.branchId, false);
    assert.equal(turnState(one.engine, making.turnId), 'cancelled');
    one.settings.worktrees = {};
    const working = await note(one, 'c', 'sleep 300');
    await until(one.engine, () => turnState(one.engine, working.turnId) === 'running', 'it runs');
    await removal.remove(working.branchId, false);
    assert.equal(turnState(one.engine, working.turnId), 'cancelled');
    assert.ok(!existsSync(join(folder, 'repo.worktrees', 'c')));
  });

  it('takes nothing more on a branch that is being removed, and says what to do: no prompt waits for ever', async () => {
    const one = start();
    const { removal, queue } = await one.engine.owner();
    const failed = await note(one, 'b', 'exit 3');
    await untilEnded(one.engine, failed.turnId);
    await queue.resume(failed.branchId);
    const working = await note(one, 'b', 'sleep 300');
    await until(one.engine, () => turnState(one.engine, working.turnId) === 'running', 'it runs');
    const removed = removal.remove(failed.branchId, true);
    await until(one.engine, () => one.engine.state.branch(failed.branchId)?.worktreeState === 'removing', 'it is being removed');
    await assert.rejects(queue.enqueueTurn(working.sessionId, { prompt: 'true' }), /"b" was removed.*Queue a new session/);
    await assert.rejects(queue.retry(failed.turnId), /"b" was removed/);
    await assert.rejects(note(one, 'b'), /"b" is being removed. Try again in a moment/);
    await removed;
    await assert.rejects(queue.enqueueTurn(working.sessionId, { prompt: 'true' }), /closed|was removed/);
    assert.equal(one.engine.state.line(failed.branchId).length, 0);
  });

  it('works with a bare repository and its worktrees, and through a symlink', async () => {
    const bare = join(folder, 'bare.git');
    git(folder, 'clone', '--quiet', '--bare', repository, bare);
    git(bare, 'config', 'user.name', 'Ada');
    git(bare, 'config', 'user.email', 'ada@example.com');
    symlinkSync(repository, join(folder, 'link'));
    const one = start();
    const { queue } = await one.engine.owner();
    const inBare = await queue.enqueue({ repository: bare, branch: 'b', kind: 'note', prompt: 'pwd' });
    const direct = await note(one, 'c');
    const linked = await queue.enqueue({ repository: join(folder, 'link'), branch: 'c', kind: 'note', prompt: 'pwd' });
    assert.equal(linked.branchId, direct.branchId);
    await untilEnded(one.engine, inBare.turnId, direct.turnId, linked.turnId);
    assert.equal(turnState(one.engine, inBare.turnId), 'completed');
    assert.equal(one.engine.state.branch(inBare.branchId)?.worktreePath, join(folder, 'bare.worktrees', 'b'));
  });

  it('says so when git is not there, and goes on when it is (requirement 37)', async () => {
    const before = process.env.PATH;
    const one = start();
    await one.engine.ready;
    process.env.PATH = join(folder, 'nothing');
    try {
      assert.match(await failure(one, 'b'), /git was not found. Install git/);
    } finally {
      process.env.PATH = before;
    }
    const { queue } = await one.engine.owner();
    const branch = one.engine.state.branchNamed(repository, 'b');
    await queue.retryProvisioning(branch?.id ?? '');
    await until(one.engine, () => one.engine.state.branch(branch?.id ?? '')?.worktreeState === 'ready', 'it is ready');
  });
});
