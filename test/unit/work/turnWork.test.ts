import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Git } from '../../../src/git/git.ts';
import { turnRef } from '../../../src/git/trees.ts';
import { worktreeState } from '../../../src/git/worktrees.ts';
import type { Beginning, Conclusion } from '../../../src/model/work.ts';
import { begin, commitAgain, type ConcludeOrder, conclude } from '../../../src/work/turnWork.ts';
import { git, makeRepository, subjects } from '../../support/repositories.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

/** On real git, without hosts and agents: what an agent does is a function. */
describe('The work of a turn', () => {
  let repository: string;
  let worktree: string;
  let turns = 0;
  afterEach(removeTemporaryFolders);
  beforeEach(() => {
    repository = makeRepository(temporaryFolder(), 'repo', { 'README.md': '# Sample\n', 'tracked.txt': 'before\n' });
    worktree = `${repository}.worktrees/b`;
    git(repository, 'worktree', 'add', '--quiet', '-b', 'b', worktree);
    turns = 0;
  });
  const write = (path: string, text: string) => {
    mkdirSync(join(worktree, path, '..'), { recursive: true });
    writeFileSync(join(worktree, path), text);
  };
  const hook = (name: string, ...lines: string[]) => {
    const path = join(repository, '.git', 'hooks', name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, `#!/bin/sh\n${lines.join('\n')}\n`);
    chmodSync(path, 0o755);
    return path;
  };
  const start = (links: readonly string[] = []): Promise<Beginning> =>
    begin(new Git(worktree), { turnId: `t${turns}`, title: `Turn ${turns}`, repository, branch: 'b', links, now: 1_000 });
  const finish = (beginning: Beginning, patch: Partial<ConcludeOrder> = {}): Promise<Conclusion> =>
    conclude(new Git(worktree), {
      turnId: `t${turns}`,
      title: `Turn ${turns}`,
      message: `Turn ${turns}`,
      repository,
      branch: 'b',
      links: [],
      commits: true,
      held: [],
      mends: null,
      beginning,
      ...patch,
    });
  /** A turn whose agent does `work`. */
  const turn = async (work: () => void, patch: Partial<ConcludeOrder> = {}): Promise<Conclusion & { beginning: Beginning }> => {
    turns += 1;
    const beginning = await start(patch.links);
    work();
    return { beginning, ...(await finish(beginning, patch)) };
  };
  const changedBy = (revision: string) =>
    git(repository, 'diff-tree', '--root', '-r', '--no-commit-id', '--name-only', revision).split('\n').filter(Boolean);
  const ref = (id = `t${turns}`) => turnRef(id);
  const show = (name: string) => git(repository, 'show', name);
  const status = () => git(worktree, 'status', '--porcelain').split('\n').filter(Boolean);
  const heldWhy = ({ commit }: Conclusion) => (commit?.state === 'held' ? commit.why : commit?.state);

  it('makes no worktree of a folder that took the place of the one that it began in', async () => {
    const beginning = await start();
    renameSync(worktree, `${worktree}.moved`);
    write('other.txt', 'other\n');
    await assert.rejects(finish(beginning), /is not a worktree of this repository any more/);
    assert.ok(!existsSync(join(worktree, '.git')));
  });

  it('knows what was there before it whatever is collected while it goes on', async () => {
    write('left.txt', 'left\n');
    const { beginning, commit } = await turn(() => {
      git(repository, 'gc', '--quiet', '--prune=now');
      write('left.txt', 'changed\n');
    });
    assert.equal(show(`${beginning.tree}:left.txt`), 'left');
    assert.equal(commit?.state, 'made');
    assert.deepEqual(changedBy('b'), ['left.txt']);
  });

  it('is committed: new, changed and deleted files, with their counts', async () => {
    const { commit, work } = await turn(() => {
      write('a/new.txt', 'one\ntwo\n');
      appendFileSync(join(worktree, 'tracked.txt'), 'after\n');
      rmSync(join(worktree, 'README.md'));
    });
    assert.deepEqual(work, { files: 3, added: 3, removed: 1 });
    assert.deepEqual(commit, { state: 'made', sha: git(repository, 'rev-parse', 'b'), files: 3 });
    assert.deepEqual(changedBy('b'), ['README.md', 'a/new.txt', 'tracked.txt']);
    assert.deepEqual(subjects(repository, 'main..b'), ['Turn 1']);
  });

  for (const staged of [false, true]) {
    it(`is committed, and nothing else, beside files that were changed before${staged ? ' and staged' : ''} (G2)`, async () => {
      write('left.txt', 'left\n');
      appendFileSync(join(worktree, 'README.md'), 'left\n');
      if (staged) git(worktree, 'add', '--all');
      const { commit, work } = await turn(() => write('own.txt', 'own\n'));
      assert.deepEqual([commit?.state, work.files, changedBy('b')], ['made', 1, ['own.txt']]);
      assert.deepEqual(status(), staged ? ['M  README.md', 'A  left.txt'] : [' M README.md', '?? left.txt']);
      // What was there before is under a ref, whatever becomes of the worktree.
      assert.equal(show(`${ref()}:left.txt`), 'left');
    });
  }

  it('holds a file that was changed before and by the agent, too, as it is at the end', async () => {
    appendFileSync(join(worktree, 'tracked.txt'), 'left\n');
    const { commit, work } = await turn(() => appendFileSync(join(worktree, 'tracked.txt'), 'after\n'));
    assert.deepEqual([commit?.state, work.added, changedBy('b')], ['made', 1, ['tracked.txt']]);
    assert.equal(show('b:tracked.txt'), 'before\nleft\nafter');
  });

  it('is nothing where an agent changed nothing, and where it undid what it did', async () => {
    write('left.txt', 'left\n');
    const { commit, work } = await turn(() => {
      write('own.txt', 'own\n');
      rmSync(join(worktree, 'own.txt'));
    });
    assert.deepEqual([commit, work.files, work.ref], [null, 0, undefined]);
  });

  it('that the agent committed itself is told as its commit, with what it left beside it in another', async () => {
    const own = await turn(() => {
      write('own.txt', 'own\n');
      git(worktree, 'add', 'own.txt');
      git(worktree, 'commit', '--quiet', '--message', 'By the agent');
    });
    assert.deepEqual([own.commit?.state, own.work.files], ['made', 1]);
    const both = await turn(() => {
      write('more.txt', 'more\n');
      git(worktree, 'add', 'more.txt');
      git(worktree, 'commit', '--quiet', '--message', 'By the agent, too');
      write('rest.txt', 'rest\n');
    });
    assert.deepEqual([both.commit?.state, both.work.files], ['made', 2]);
    assert.deepEqual(subjects(repository, 'main..b'), ['By the agent', 'By the agent, too', 'Turn 2']);
  });

  it('that ends in no commit is kept under a ref: what it was before, what it is, and what was beside it (G3, invariant 11)', async () => {
    write('left.txt', 'left\n');
    const { commit, work } = await turn(() => write('own.txt', 'own\n'), { commits: false });
    assert.deepEqual([commit, work.files, work.ref], [null, 1, ref()]);
    assert.equal(show(`${ref()}:own.txt`), 'own');
    assert.deepEqual(git(repository, 'diff', '--name-only', `${ref()}^1`, ref()), 'own.txt');
    // It stays there when the worktree is wiped.
    git(worktree, 'clean', '--quiet', '--force');
    assert.equal(show(`${ref()}:own.txt`), 'own');
  });

  it('does not hold what links of ours lead to, or the links (G4)', async () => {
    mkdirSync(join(repository, 'deps'));
    symlinkSync(join(repository, 'deps'), join(worktree, 'deps'));
    const { commit } = await turn(() => write('own.txt', 'own\n'), { links: ['deps'] });
    assert.deepEqual([commit?.state, changedBy('b')], ['made', ['own.txt']]);
    git(worktree, 'add', 'deps');
    const staged = await turn(() => write('next.txt', 'next\n'), { links: ['deps'] });
    assert.deepEqual([staged.commit?.state, changedBy('b')], ['made', ['next.txt']]);
    assert.ok(!git(repository, 'ls-tree', '-r', '--name-only', staged.tree).includes('deps'));
  });

  it('with marks of a conflict is held, unless they were there before (G1)', async () => {
    const conflict = '<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n';
    const held = await turn(() => write('own.txt', conflict));
    assert.deepEqual([heldWhy(held), held.work.ref], ['markers', ref()]);
    assert.deepEqual(subjects(repository, 'main..b'), []);
    const about = await turn(() => write('own.txt', `${conflict}A text about conflicts.\n`));
    assert.deepEqual([about.commit?.state, changedBy('b')], ['made', ['own.txt']]);
  });

  /** A change of the same line on `main`, so that a merge of it is in conflict. */
  const conflictOnMain = () => {
    writeFileSync(join(repository, 'tracked.txt'), 'on main\n');
    git(repository, 'commit', '--quiet', '--all', '--message', 'On main');
    write('tracked.txt', 'on b\n');
    git(worktree, 'commit', '--quiet', '--all', '--message', 'On b');
  };
  const merge = () => {
    try {
      git(worktree, 'merge', '--quiet', 'main');
    } catch {
      // In conflict.
    }
  };

  it('in the middle of a merge that the agent began is held; solving it is the work of the turn that finds it (G1)', async () => {
    conflictOnMain();
    const begun = await turn(() => {
      merge();
      write('own.txt', 'own\n');
    });
    const operationId = git(worktree, 'rev-parse', 'MERGE_HEAD');
    assert.deepEqual(begun.commit, { state: 'held', why: 'operation', operation: 'merge', operationId, paths: ['tracked.txt'] });
    const held = [{ turnId: 't1', from: begun.beginning.tree, to: begun.tree }];
    const unsolved = await turn(() => write('more.txt', 'more\n'), { held });
    assert.equal(heldWhy(unsolved), 'operation');
    const solved = await turn(() => write('tracked.txt', 'both\n'), { held });
    assert.equal(solved.commit?.state, 'made');
    assert.equal(git(repository, 'rev-list', '--count', '--merges', 'main..b'), '1');
    assert.equal(show('b:tracked.txt'), 'both');
  });

  it('says which operation is under way when the turn begins, and that a rebase of the branch is one of its own (G16)', async () => {
    conflictOnMain();
    assert.throws(() => git(worktree, 'rebase', '--quiet', 'main'));
    const { beginning, commit } = await turn(() => write('own.txt', 'own\n'));
    assert.equal(beginning.operation?.kind, 'rebase');
    assert.deepEqual([commit?.state, commit?.state === 'held' && commit.operation], ['held', 'rebase']);
  });

  it('of an agent that left the branch is held, and kept (invariant 12)', async () => {
    const left = await turn(() => {
      git(worktree, 'switch', '--quiet', '-c', 'elsewhere');
      write('own.txt', 'own\n');
    });
    assert.deepEqual(left.commit, { state: 'held', why: 'left', branch: 'elsewhere' });
    assert.equal(show(`${ref()}:own.txt`), 'own');
    assert.deepEqual(subjects(repository, 'main..elsewhere'), []);
    turns += 1;
    await assert.rejects(start(), /on the branch "elsewhere" instead of "b".*git switch b/);
  });

  it('takes in what a hook changed: one that reformats and says no, and one that does so in silence (G7)', async () => {
    hook('pre-commit', 'grep -q formatted own.txt && exit 0', 'echo formatted >> own.txt', 'exit 1');
    const refused = await turn(() => write('own.txt', 'own\n'));
    assert.deepEqual([refused.commit?.state, show('b:own.txt')], ['made', 'own\nformatted']);
    hook('pre-commit', 'grep -q formatted next.txt || echo formatted >> next.txt');
    const silent = await turn(() => write('next.txt', 'next\n'));
    assert.deepEqual([silent.commit?.state, show('b:next.txt'), status()], ['made', 'next\nformatted', []]);
    assert.deepEqual(subjects(repository, 'main..b'), ['Turn 1', 'Turn 2']);
    // The same with something else there.
    write('left.txt', 'left\n');
    hook('pre-commit', 'grep -q formatted last.txt && exit 0', 'echo formatted >> last.txt', 'exit 1');
    const beside = await turn(() => write('last.txt', 'last\n'));
    assert.deepEqual([beside.commit?.state, changedBy('b'), show('b:last.txt')], ['made', ['last.txt'], 'last\nformatted']);
  });

  it('is held where a hook refuses, with its words, and committed again without the agent (G6)', async () => {
    const path = hook('commit-msg', 'echo the title is not right >&2', 'exit 1');
    const { commit, beginning, tree, work } = await turn(() => write('own.txt', 'own\n'));
    assert.equal(commit?.state === 'held' && commit.said, 'the title is not right');
    assert.equal(work.ref, ref());
    write('later.txt', 'later\n');
    rmSync(path);
    const again = await commitAgain(new Git(worktree), {
      branch: 'b',
      links: [],
      beginning,
      end: tree,
      endHead: undefined,
      message: 'Again',
    });
    assert.deepEqual(
      [again.commit?.state, changedBy('b'), again.left.map((one) => one.path)],
      ['made', ['own.txt'], ['later.txt']],
    );
  });

  it('is held where git does not know who commits', async () => {
    git(repository, 'config', '--unset', 'user.name');
    git(repository, 'config', '--unset', 'user.email');
    git(repository, 'config', 'user.useConfigOnly', 'true');
    const nobody = new Git(worktree, { environment: { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' } });
    turns += 1;
    const beginning = await start();
    write('own.txt', 'own\n');
    const order = {
      turnId: 't1',
      title: 'a',
      message: 'a',
      repository,
      branch: 'b',
      links: [],
      commits: true,
      held: [],
      mends: null,
      beginning,
    };
    const held = await conclude(nobody, order);
    assert.deepEqual([heldWhy(held), held.work.ref], ['identity', ref()]);
    assert.equal(show(`${ref()}:own.txt`), 'own');
  });

  it('that mends what held another turn is committed with the work of that one, which is settled', async () => {
    const path = hook('pre-commit', 'exit 1');
    const held = await turn(() => write('first.txt', 'first\n'));
    rmSync(path);
    const order = { held: [{ turnId: 't1', from: held.beginning.tree, to: held.tree }], mends: 't1' };
    const mended = await turn(() => write('second.txt', 'second\n'), order);
    assert.deepEqual([mended.commit?.state, changedBy('b'), mended.settled], ['made', ['first.txt', 'second.txt'], ['t1']]);
  });

  it('does not settle a held turn whose files still wait', async () => {
    const path = hook('pre-commit', 'exit 1');
    const held = await turn(() => write('first.txt', 'first\n'));
    rmSync(path);
    const order = { held: [{ turnId: 't1', from: held.beginning.tree, to: held.tree }] };
    const other = await turn(() => write('second.txt', 'second\n'), order);
    assert.deepEqual([other.commit?.state, changedBy('b'), other.settled], ['made', ['second.txt'], []]);
    const last = await turn(() => rmSync(join(worktree, 'first.txt')), order);
    assert.deepEqual([heldWhy(last), last.settled], [undefined, []]);
  });

  it('begins on a branch without a commit', async () => {
    worktree = join(temporaryFolder(), 'unborn');
    repository = worktree;
    mkdirSync(worktree);
    git(worktree, 'init', '--quiet', '--initial-branch=b');
    for (const [name, value] of [
      ['user.name', 'Ada'],
      ['user.email', 'ada@example.com'],
    ] as const)
      git(worktree, 'config', name, value);
    write('left.txt', 'left\n');
    const { beginning, commit } = await turn(() => write('own.txt', 'own\n'));
    assert.equal(beginning.head, null);
    assert.deepEqual([commit?.state, changedBy('b'), status()], ['made', ['own.txt'], ['?? left.txt']]);
  });

  it('names repositories inside, whose hulls are not committed (G8)', async () => {
    const { commit, work } = await turn(() => {
      git(worktree, 'init', '--quiet', 'generated');
      write('generated/file.txt', 'file\n');
      write('own.txt', 'own\n');
    });
    assert.deepEqual([commit?.state, changedBy('b'), work.inner], ['made', ['own.txt'], ['generated']]);
  });

  it('is no failure where git sees nothing to commit (G24)', async () => {
    git(repository, 'config', 'core.autocrlf', 'true');
    const { commit } = await turn(() => write('tracked.txt', 'before\r\n'));
    assert.equal(commit, null);
    write('left.txt', 'left\n');
    git(worktree, 'add', 'left.txt');
    const beside = await turn(() => write('README.md', '# Sample\r\n'));
    assert.equal(beside.commit, null);
    assert.deepEqual(subjects(repository, 'main..b'), []);
  });

  describe('concluded a second time, after a crash', () => {
    it('is not committed twice', async () => {
      const first = await turn(() => write('own.txt', 'own\n'));
      const again = await finish(first.beginning);
      assert.deepEqual([again.commit, again.work.files, again.head], [first.commit, 1, first.head]);
      assert.deepEqual(subjects(repository, 'main..b'), ['Turn 1']);
    });

    it('finds a commit whose git was killed as soon as it was made', async () => {
      for (const name of ['post-commit', 'reference-transaction']) {
        const isBranch = name === 'post-commit' ? [] : ['[ "$1" = committed ] && grep -q refs/heads/ || exit 0'];
        const path = hook(name, ...isBranch, 'kill -9 $PPID', 'exit 0');
        const { commit } = await turn(() => write(`${name}.txt`, 'own\n'));
        rmSync(path);
        assert.deepEqual(commit, { state: 'made', sha: git(repository, 'rev-parse', 'b'), files: 1 }, name);
        rmSync(join(repository, '.git', 'worktrees', 'b', 'index.lock'), { force: true });
      }
    });

    it('finds a commit that its git had no time to write into the index', async () => {
      write('left.txt', 'left\n');
      git(worktree, 'add', 'left.txt');
      turns += 1;
      const beginning = await start();
      write('own.txt', 'own\n');
      // What a commit of some paths leaves when it is ended between the branch and the index.
      const index = readFileSync(join(repository, '.git', 'worktrees', 'b', 'index'));
      git(worktree, 'add', 'own.txt');
      git(worktree, 'commit', '--quiet', '--message', 'Turn 1', '--only', 'own.txt');
      writeFileSync(join(repository, '.git', 'worktrees', 'b', 'index'), index);
      const again = await finish(beginning);
      assert.deepEqual(again.commit, { state: 'made', sha: git(repository, 'rev-parse', 'b'), files: 1 });
      assert.deepEqual(subjects(repository, 'main..b'), ['Turn 1']);
      assert.deepEqual(status(), ['A  left.txt']);
    });
  });

  it('leaves the index and the worktree as they were when it only looks', async () => {
    write('left.txt', 'left\n');
    git(worktree, 'add', 'left.txt');
    appendFileSync(join(worktree, 'left.txt'), 'more\n');
    const before = status();
    await turn(() => undefined, { commits: false });
    assert.deepEqual(status(), before);
    assert.equal((await worktreeState(new Git(worktree))).operation, undefined);
    assert.ok(!existsSync(join(repository, '.git', 'worktrees', 'b', 'index.lock')));
  });
});
