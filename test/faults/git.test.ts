import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { heldInWords } from '../../src/sessions/words.ts';
import { findMarked } from '../../src/platform/processes.ts';
import {
  startEngine,
  stoppedAfterEach,
  type TestEngine,
  type TestSettings,
  turnState,
  until,
  untilEnded,
} from '../support/engines.ts';
import { report } from '../support/report.ts';
import { git, makeRepository, subjects } from '../support/repositories.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/** git as it changes while Branchline works: by the user, by an agent, by other tools. */
describe('git under our feet', () => {
  let folder: string;
  let repository: string;
  let rounds = 0;
  const running = stoppedAfterEach();
  beforeEach(() => {
    folder = temporaryFolder();
    repository = makeRepository(folder);
  });
  afterEach(() => {
    rounds += 1;
  });
  after(() => report('git', { rounds }));
  const start = (patch: Partial<TestSettings> = {}) => {
    const started = startEngine(folder, repository, { onFailure: 'pause', ...patch });
    running.push(started);
    return started;
  };
  const queue = async ({ engine }: TestEngine, branch: string, prompt: string, kind: 'note' | 'commit' = 'note') =>
    (await engine.owner()).queue.enqueue({ branch, kind, prompt });
  const worktree = (branch = 'b') => join(folder, 'repo.worktrees', branch);
  const ready = async (one: TestEngine, branch = 'b') => {
    const { turnId, branchId } = await queue(one, branch, 'true');
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'completed');
    return branchId;
  };
  const held = ({ engine }: TestEngine, turnId: string) => heldInWords(engine.state.turn(turnId)?.commit ?? null, 'b') ?? '';
  const hook = (name: string, script: string) => {
    const path = join(repository, '.git', 'hooks', name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
    return path;
  };
  /** The turn fails with the message, does nothing, and completes after the cause is mended and it is retried. */
  const refusedThenMended = async (one: TestEngine, message: RegExp, mend: () => void, branch = 'b') => {
    const { turnId } = await queue(one, branch, 'touch ran');
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'failed');
    assert.match(one.engine.state.turn(turnId)?.error?.message ?? '', message);
    assert.ok(!existsSync(join(worktree(branch), 'ran')));
    mend();
    await (await one.engine.owner()).queue.retry(turnId);
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'completed', one.engine.state.turn(turnId)?.error?.message);
    assert.ok(existsSync(join(worktree(branch), 'ran')));
  };
  /** Provisioning fails with the message and goes on after a retry. */
  const unpreparedThenMended = async (one: TestEngine, message: RegExp, mend: () => void, branch = 'b') => {
    const { turnId, branchId } = await queue(one, branch, 'true');
    await until(one.engine, () => one.engine.state.branch(branchId)?.worktreeState === 'failed', 'it has failed');
    assert.match(one.engine.state.branch(branchId)?.worktreeError?.message ?? '', message);
    assert.equal(turnState(one.engine, turnId), 'queued');
    mend();
    await (await one.engine.owner()).queue.retryProvisioning(branchId);
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'completed', one.engine.state.turn(turnId)?.error?.message);
  };

  it('a detached HEAD in the worktree is refused with how to get back', async () => {
    const one = start();
    await ready(one);
    git(worktree(), 'checkout', '--quiet', '--detach');
    await refusedThenMended(one, /no branch \(detached HEAD\) instead of "b".*git switch b/, () =>
      git(worktree(), 'switch', '--quiet', 'b'),
    );
  });

  it('a worktree on another branch, and a branch that was renamed, are refused: nothing runs on the wrong one', async () => {
    const one = start();
    await ready(one);
    git(worktree(), 'switch', '--quiet', '-c', 'other');
    await refusedThenMended(one, /on the branch "other" instead of "b"/, () => git(worktree(), 'switch', '--quiet', 'b'));
    rmSync(join(worktree(), 'ran'));
    git(worktree(), 'branch', '-m', 'b', 'renamed');
    await refusedThenMended(one, /on the branch "renamed" instead of "b"/, () => git(worktree(), 'branch', '-m', 'renamed', 'b'));
  });

  it('an agent that switches branches has nothing committed for it to the wrong one', async () => {
    const one = start();
    const { turnId } = await queue(one, 'b', 'git switch --quiet -c elsewhere; echo x > file.txt', 'commit');
    await untilEnded(one.engine, turnId);
    assert.deepEqual(subjects(repository, 'main..elsewhere'), []);
    assert.ok(existsSync(join(worktree(), 'file.txt')));
    assert.equal(turnState(one.engine, turnId), 'completed');
    assert.match(held(one, turnId), /left the branch "b".*"elsewhere"/);
  });

  it('an index.lock left behind stops the commit, not the work, and says so', async () => {
    const one = start();
    await ready(one);
    const lock = join(repository, '.git', 'worktrees', 'b', 'index.lock');
    const { turnId } = await queue(one, 'b', `echo x > file.txt; touch '${lock}'`, 'commit');
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'completed');
    assert.match(held(one, turnId), /commit was refused.*index\.lock/);
    rmSync(lock);
    await (await one.engine.owner()).work.retry(turnId);
    assert.equal(one.engine.state.turn(turnId)?.commit?.state, 'made');
    assert.equal(one.engine.state.turn(turnId)?.attempt, 1, 'nothing was sent again');
    assert.equal(readFileSync(join(worktree(), 'file.txt'), 'utf8'), 'x\n');
  });

  it('a lock on the branch or on the packed refs, as gc holds it, fails the preparation until it is gone', async () => {
    const one = start();
    mkdirSync(join(repository, '.git', 'refs', 'heads'), { recursive: true });
    const lock = join(repository, '.git', 'refs', 'heads', 'b.lock');
    writeFileSync(lock, '');
    await unpreparedThenMended(one, /could not make the worktree.*lock/is, () => rmSync(lock));
  });

  it('a hook that refuses the commit holds it, with its words', async () => {
    hook('pre-commit', 'echo no, thank you >&2; exit 1');
    const one = start();
    const { turnId } = await queue(one, 'b', 'echo x > file.txt', 'commit');
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'completed');
    assert.match(held(one, turnId), /commit was refused: no, thank you/);
  });

  it('a hook that hangs is ended with the turn, and leaves no process', async () => {
    hook('pre-commit', `echo $$ > '${join(folder, 'hook.pid')}'\nsleep 300`);
    const one = start();
    const { turnId } = await queue(one, 'b', 'echo x > file.txt', 'commit');
    await until(one.engine, () => existsSync(join(folder, 'hook.pid')), 'the hook runs');
    const hostId = one.engine.state.turn(turnId)?.hostId ?? 'none';
    await (await one.engine.owner()).queue.cancel(turnId);
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'cancelled');
    await until(
      one.engine,
      () => findMarked(`${hostId}.git`).length === 0 && !isRunning(readFileSync(join(folder, 'hook.pid'), 'utf8')),
      'the hook has ended',
    );
    assert.equal(readFileSync(join(worktree(), 'file.txt'), 'utf8'), 'x\n');
  });

  it('a checkout that hangs is stopped by a person, with everything it started', async () => {
    const pid = join(folder, 'hook.pid');
    const path = hook('post-checkout', `echo $$ > '${pid}'\nsleep 300`);
    const one = start();
    const { branchId, turnId } = await queue(one, 'b', 'true');
    await until(one.engine, () => existsSync(pid), 'the hook runs');
    const { provisioner, queue: line } = await one.engine.owner();
    await provisioner.stop(branchId);
    assert.match(one.engine.state.branch(branchId)?.worktreeError?.message ?? '', /Stopped.*Retry/);
    await until(one.engine, () => !isRunning(readFileSync(pid, 'utf8')), 'the hook has ended');
    rmSync(path);
    await line.retryProvisioning(branchId);
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'completed');
  });

  it('a base that is gone is named, and another one goes', async () => {
    git(repository, 'branch', 'base');
    const one = start();
    const { queue: line } = await one.engine.owner();
    git(repository, 'branch', '-D', 'base');
    const { branchId, turnId } = await line.enqueue({ branch: 'b', base: 'base', kind: 'note', prompt: 'true' });
    await until(one.engine, () => one.engine.state.branch(branchId)?.worktreeState === 'failed', 'it has failed');
    assert.match(
      one.engine.state.branch(branchId)?.worktreeError?.message ?? '',
      /base "base" was not found.*Fetch or create it, then retry/,
    );
    git(repository, 'branch', 'base');
    await line.retryProvisioning(branchId);
    await untilEnded(one.engine, turnId);
  });

  it('a worktree that was moved by git is found by its branch, and one moved by hand is not mistaken', async () => {
    const one = start();
    const branchId = await ready(one);
    git(repository, 'worktree', 'move', worktree(), join(folder, 'moved'));
    const { turnId } = await queue(one, 'b', 'pwd > where');
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'completed', one.engine.state.turn(turnId)?.error?.message);
    assert.equal(one.engine.state.branch(branchId)?.worktreePath, join(folder, 'moved'));
    assert.equal(readFileSync(join(folder, 'moved', 'where'), 'utf8').trim(), join(folder, 'moved'));
  });

  it('a repository that was moved away is said, and nothing is made in its old place', async () => {
    const one = start();
    await ready(one);
    renameSync(repository, join(folder, 'away'));
    const { turnId } = await queue({ engine: one.engine } as TestEngine, 'b', 'touch ran').catch((error: Error) => {
      assert.match(error.message, /No git repository is open|not a folder in a git repository/);
      return { turnId: undefined };
    });
    assert.equal(turnId, undefined);
    assert.ok(!existsSync(repository));
    renameSync(join(folder, 'away'), repository);
    await ready(one);
  });

  it('submodules: worktrees are made, used and, when nothing would be lost, removed', async () => {
    const inner = makeRepository(folder, 'inner');
    git(repository, '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', inner, 'sub');
    git(repository, 'commit', '--quiet', '--message', 'Submodule');
    const one = start();
    const branchId = await ready(one);
    const { turnId } = await queue(
      one,
      'b',
      'git -c protocol.file.allow=always submodule --quiet update --init && test -e sub/README.md',
    );
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'completed', one.engine.state.turn(turnId)?.error?.message);
    const { removal } = await one.engine.owner();
    writeFileSync(join(worktree(), 'sub', 'mine.txt'), 'mine\n');
    await assert.rejects(removal.remove(branchId, false), /sub is a repository of its own with 1 uncommitted file/);
    assert.ok(existsSync(worktree()));
    rmSync(join(worktree(), 'sub', 'mine.txt'));
    await removal.remove(branchId, false);
    assert.ok(!existsSync(worktree()));
  });

  it('sparse checkouts, shallow clones and LFS pointers are worked on as they are', async () => {
    const wide = makeRepository(folder, 'wide', {
      'a/x.txt': 'x',
      'b/y.txt': 'y',
      '.gitattributes': '*.bin filter=lfs -text\n',
      'big.bin': 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n',
    });
    git(wide, 'sparse-checkout', 'set', 'a');
    git(folder, 'clone', '--quiet', '--depth', '1', `file://${repository}`, 'shallow');
    for (const one of [wide, join(folder, 'shallow')]) {
      git(one, 'config', 'user.name', 'Ada');
      git(one, 'config', 'user.email', 'ada@example.com');
    }
    const one = start();
    const { queue: line } = await one.engine.owner();
    for (const path of [wide, join(folder, 'shallow')]) {
      const { turnId, branchId } = await line.enqueue({
        repository: path,
        branch: 'b',
        title: 'Work',
        prompt: 'echo x > new.txt',
      });
      await untilEnded(one.engine, turnId);
      assert.equal(turnState(one.engine, turnId), 'completed', one.engine.state.turn(turnId)?.error?.message);
      assert.deepEqual(subjects(path, 'HEAD..b'), ['Work']);
      const { removal } = await one.engine.owner();
      await removal.remove(branchId, false);
    }
  });

  it('paths with spaces and unicode, names that differ in case only, and a repository behind a symlink', async () => {
    const odd = makeRepository(join(folder, 'a place'), 'größe 日本');
    symlinkSync(odd, join(folder, 'link to it'));
    const one = start();
    const { queue: line } = await one.engine.owner();
    const upper = await line.enqueue({ repository: odd, branch: 'Same', kind: 'note', prompt: 'echo upper > which' });
    const lower = await line.enqueue({
      repository: join(folder, 'link to it'),
      branch: 'same',
      kind: 'note',
      prompt: 'echo lower > which',
    });
    await until(
      one.engine,
      () =>
        [upper, lower].every(
          ({ branchId, turnId }) =>
            turnState(one.engine, turnId) === 'completed' || one.engine.state.branch(branchId)?.worktreeState === 'failed',
        ),
      'both have been tried',
    );
    // Where the file system tells them apart both run; where it does not, one is refused. They never share a folder.
    const paths = [upper, lower].map(({ branchId }) => one.engine.state.branch(branchId)?.worktreePath);
    assert.notEqual(paths[0], paths[1]);
    for (const [index, word] of ['upper', 'lower'].entries())
      if (turnState(one.engine, [upper, lower][index]?.turnId ?? '') === 'completed')
        assert.equal(readFileSync(join(paths[index] ?? '', 'which'), 'utf8'), `${word}\n`);
  });

  it('entries of worktrees that are gone do not stand in the way, however many', async () => {
    for (let n = 0; n < 5; n += 1) {
      git(repository, 'worktree', 'add', '--quiet', '-b', `gone-${n}`, join(folder, `gone-${n}`));
      rmSync(join(folder, `gone-${n}`), { recursive: true });
    }
    const one = start();
    await ready(one, 'gone-2');
    assert.ok(readdirSync(worktree('gone-2')).includes('README.md'));
  });
});

function isRunning(pid: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid.trim()}/stat`, 'latin1');
    return !['Z', 'X'].includes(stat.slice(stat.lastIndexOf(')') + 2)[0] ?? '');
  } catch {
    return false;
  }
}
