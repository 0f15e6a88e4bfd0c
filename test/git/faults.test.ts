/** What went wrong in version 0.1.0, each as it was found. Other examples of the same kinds are in `likeFaults.test.ts`. */
import assert from 'node:assert/strict';
import { existsSync, lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readTranscript, transcriptPath } from '../../src/store/transcripts.ts';
import { changesOfTurn } from '../../src/work/changes.ts';
import { startEngine, stopEngine, testAgent, until } from '../support/engines.ts';
import { git } from '../support/repositories.ts';
import { removeTemporaryFolders } from '../support/temporaryFolder.ts';
import { inCell, type Cell } from './cell.ts';
import { untilThere } from './invariants.ts';
import { commonFolder, script, writeFiles } from './kinds.ts';
import { operationNamed } from './operations.ts';

const hook = (cell: Cell, name: string, ...lines: string[]): string =>
  script(join(commonFolder(cell.made.open), 'hooks', name), ...lines);

const inWorktree = (cell: Cell, path: string): string => readFileSync(join(cell.worktree, path), 'utf8');

const transcript = (cell: Cell, sessionId: string) => readTranscript(transcriptPath(cell.beside('storage'), sessionId));

const withAgent = { agents: { test: testAgent }, defaultAgent: 'test' };

describe('git, as it went wrong in 0.1.0', () => {
  afterEach(removeTemporaryFolders);

  it('G1: a merge in conflict is never committed by itself; a follow-up that solves it is', () =>
    inCell('plain', operationNamed('merge in conflict').run));

  it('G2: what a cancelled, failed or interrupted turn left keeps no later turn from its commit', () =>
    inCell('plain', async (cell) => {
      const failed = await cell.run({ prompt: 'echo part > failed.txt; exit 3' });
      assert.equal(failed.state, 'failed');
      cell.assertKept(failed, ['failed.txt']);
      const { queue, hosts } = await cell.owner();
      await queue.resume(failed.branchId);
      const begun = cell.beside('begun');
      const ids = await cell.queue({ prompt: `echo part > interrupted.txt; touch '${begun}'; sleep 300` });
      await cell.untilFile(begun);
      await hosts.end(cell.turn(ids).hostId ?? '');
      const interrupted = await cell.ended(ids);
      assert.equal(interrupted.state, 'interrupted');
      cell.assertKept(interrupted, ['interrupted.txt']);
      await queue.resume(failed.branchId);
      cell.assertCommitted(await cell.completed({ prompt: 'echo n > n.txt' }), ['n.txt']);
      assert.deepEqual(cell.uncommitted(), ['failed.txt', 'interrupted.txt']);
    }));

  it('G3: what a note left is its own, and no other turn’s commit has it', () =>
    inCell('plain', operationNamed('note, then commit').run));

  it('G4: links that we made are no changes, are in no commit, and no removal follows them', () =>
    inCell(
      'plain',
      async (cell) => {
        writeFileSync(join(cell.made.open, '.gitignore'), 'node_modules/\n'); // Which fits no link.
        writeFiles(cell.made.open, { 'node_modules/x/index.js': 'x\n', 'packages/a/node_modules/y.js': 'y\n' });
        cell.seeAgain();
        const links = ['node_modules', 'packages/a/node_modules'];
        const first = await cell.completed({ prompt: 'echo 1 > one.txt; git add .' });
        for (const link of links) assert.ok(lstatSync(join(cell.worktree, link)).isSymbolicLink());
        cell.assertCommitted(first, ['one.txt']);
        cell.assertCommitted(await cell.completed({ prompt: 'echo 2 > two.txt' }), ['two.txt']);
        const { removal } = await cell.owner();
        await removal.remove(first.branchId, false);
        assert.ok(existsSync(join(cell.made.open, 'node_modules', 'x', 'index.js')));
      },
      { worktrees: { symlinkDirectories: ['node_modules', 'packages/a/node_modules'] } },
    ));

  it('G5: what setup changed is told once, is nobody’s work, and no loss', () =>
    inCell(
      'plain',
      async (cell) => {
        const turn = await cell.completed({ prompt: 'echo 1 > one.txt' });
        cell.assertCommitted(turn, ['one.txt']);
        assert.deepEqual(cell.branch.preparation?.setupChanged.toSorted(), ['README.md', 'lock.json']);
        assert.deepEqual(cell.uncommitted(), ['README.md', 'lock.json']);
        const own = await cell.completed({ prompt: 'echo agent >> lock.json' });
        cell.assertCommitted(own, ['lock.json']);
        assert.deepEqual(cell.uncommitted(), ['README.md']);
        await (await cell.owner()).removal.remove(turn.branchId, false);
        assert.equal(cell.branch.worktreeState, 'removed');
      },
      { worktrees: { setup: [{ command: 'echo x >> README.md; echo {} > lock.json', wait: true, timeoutSeconds: 60 }] } },
    ));

  it('G6: a commit that a hook refuses is made again, under another message, or when the agent has mended what is in the way', () =>
    inCell(
      'plain',
      async (cell) => {
        hook(cell, 'commit-msg', 'grep -q "^feat: " "$1" || { echo "the title needs a type" >&2; exit 1; }');
        const first = await cell.completed({ title: 'No type', prompt: 'write one.txt 1' });
        cell.assertHeld(first, 'refused', /the title needs a type/);
        const { work } = await cell.owner();
        await work.commit(first.id, { message: 'feat: with a type\n\n# a line that looks like a comment' });
        const sha = cell.assertCommitted(first, ['one.txt']);
        assert.equal(cell.git('log', '-1', '--format=%B', sha).trim(), 'feat: with a type\n\n# a line that looks like a comment');
        hook(cell, 'commit-msg', 'test ! -e bad.txt || { echo "bad.txt is bad" >&2; exit 1; }');
        const second = await cell.completed({ prompt: 'write bad.txt x\nwrite two.txt 2' });
        cell.assertHeld(second, 'refused', /bad\.txt is bad/);
        rmSync(join(cell.worktree, 'bad.txt')); // As the agent would, asked to.
        const mended = await cell.ended(await work.mend(second.id));
        assert.equal(mended.state, 'completed', mended.error?.message);
        assert.equal(cell.turn({ turnId: second.id }).commit?.state, 'made', cell.said(mended));
        assert.deepEqual(cell.pathsOf('HEAD'), ['two.txt']);
        assert.deepEqual(cell.uncommitted(), []);
      },
      withAgent,
    ));

  it('G7: what a pre-commit hook reformats is taken in, and the commit tried once more', () =>
    inCell('plain', async (cell) => {
      const tries = cell.beside('tries');
      hook(cell, 'pre-commit', `echo x >> '${tries}'; grep -q formatted one.txt || { echo formatted >> one.txt; exit 1; }`);
      const turn = await cell.completed({ prompt: 'echo 1 > one.txt' });
      cell.assertCommitted(turn, ['one.txt']);
      assert.equal(cell.git('show', 'HEAD:one.txt'), '1\nformatted');
      assert.equal(readFileSync(tries, 'utf8'), 'x\nx\n');
    }));

  it('G8: a repository that the agent made inside is told, never committed as a hull, and counted by a removal', () =>
    inCell('plain', async (cell) => {
      const identity = '-c user.name=Gen -c user.email=gen@example.com';
      const turn = await cell.completed({
        prompt: `echo 1 > one.txt; mkdir app; cd app; git init --quiet; echo a > a.txt; git add .; git ${identity} commit --quiet -m Made`,
      });
      cell.assertCommitted(turn, ['one.txt']);
      assert.deepEqual(turn.work?.inner, ['app']);
      assert.ok((await transcript(cell, turn.sessionId)).some((entry) => entry.type === 'notice' && entry.text.includes('app')));
      const { removal } = await cell.owner();
      await assert.rejects(
        removal.remove(turn.branchId, false),
        /app is a repository of its own with 1 commit that is nowhere else/,
      );
      assert.ok(existsSync(join(cell.worktree, 'app', '.git')));
    }));

  it('G9: changes inside a submodule alone fail no turn: they are told, and counted by a removal', () =>
    inCell('with a submodule', async (cell) => {
      const turn = await cell.completed({ prompt: 'echo x >> sub/README.md; echo n > sub/new.txt' });
      assert.equal(turn.commit, null);
      assert.deepEqual(turn.work?.inner, ['sub']);
      const { removal } = await cell.owner();
      await assert.rejects(removal.remove(turn.branchId, false), /sub is a repository of its own with 2 uncommitted files/);
    }));

  it('G10: a clean worktree with a submodule is removed; a removal that failed has its own state and its own retry', () =>
    inCell('with a submodule', async (cell) => {
      const turn = await cell.completed({ kind: 'note', prompt: 'test -e sub/README.md' });
      const { removal } = await cell.owner();
      git(cell.made.open, 'worktree', 'lock', cell.worktree);
      const { worktree } = cell;
      await assert.rejects(removal.remove(turn.branchId, false), /could not be removed/);
      assert.equal(cell.branch.worktreeState, 'removalFailed');
      assert.ok(existsSync(join(worktree, 'README.md')));
      git(cell.made.open, 'worktree', 'unlock', worktree);
      await removal.remove(turn.branchId, false);
      assert.equal(cell.branch.worktreeState, 'removed');
      assert.ok(!existsSync(worktree));
    }));

  it('G11: commits on no branch, and ignored files that are only here, are counted and named', () =>
    inCell('plain', async (cell) => {
      writeFileSync(join(cell.made.open, 'shared.log'), 'log\n');
      cell.seeAgain();
      const turn = await cell.completed({
        kind: 'note',
        prompt: [
          'git switch --quiet --detach; git commit --quiet --allow-empty -m Alone; git switch --quiet b; git switch --quiet --detach HEAD@{1}',
          'echo log > shared.log; for n in 1 2 3 4 5 6; do echo $n > only-$n.log; done',
        ].join('\n'),
      });
      const { removal } = await cell.owner();
      await assert.rejects(removal.remove(turn.branchId, false), (error: Error) => {
        assert.match(error.message, /1 commit is on no branch \(detached HEAD\)/);
        assert.match(error.message, /6 ignored files are only here, 12 bytes \(only-1\.log, .*only-5\.log, …\)/);
        assert.doesNotMatch(error.message, /shared\.log/);
        return true;
      });
    }));

  it('G12: a post-checkout hook that fails leaves the worktree ready, ours, and its words told', () =>
    inCell('plain', async (cell) => {
      hook(cell, 'post-checkout', 'echo "This repository is configured for Git LFS but it was not found" >&2; exit 2');
      const turn = await cell.completed({ prompt: 'echo 1 > one.txt' });
      cell.assertCommitted(turn, ['one.txt']);
      assert.equal(cell.branch.adopted, false);
      assert.match(cell.branch.preparation?.hookSaid ?? '', /configured for Git LFS/);
      const { worktree } = cell;
      await (await cell.owner()).removal.remove(turn.branchId, false);
      assert.ok(!existsSync(worktree));
    }));

  it('G13: variables that tie git to another repository reach no git, agent, setup or script of ours', () =>
    inCell(
      'plain',
      async (cell) => {
        const other = cell.beside('other');
        git(cell.folder, 'init', '--quiet', '--initial-branch=main', other);
        cell.setEnvironment({
          GIT_DIR: join(other, '.git'),
          GIT_WORK_TREE: other,
          GIT_INDEX_FILE: join(other, '.git', 'index'),
          GIT_OBJECT_DIRECTORY: join(other, '.git', 'objects'),
          GIT_COMMON_DIR: join(other, '.git'),
          GIT_PREFIX: 'deep/',
          GIT_NAMESPACE: 'elsewhere',
          GIT_CONFIG_COUNT: '1',
          GIT_CONFIG_KEY_0: 'user.name',
          GIT_CONFIG_VALUE_0: 'Mallory',
          GIT_CONFIG_PARAMETERS: "'user.email'='mallory@example.com'",
          GIT_LITERAL_PATHSPECS: '1',
          GIT_REFLOG_ACTION: 'commit',
        });
        const turn = await cell.ended(await cell.queue({ prompt: `env > '${cell.beside('agent.env')}'; echo 1 > one.txt` }));
        cell.takeBackEnvironment();
        const sha = cell.assertCommitted(turn, ['one.txt']);
        assert.equal(cell.git('log', '-1', '--format=%an %ae', sha), 'Ada ada@example.com');
        const local = git(cell.folder, 'rev-parse', '--local-env-vars').split('\n');
        for (const file of ['agent.env', 'setup.env']) {
          const names = readFileSync(cell.beside(file), 'utf8').matchAll(/^(\w+)=/gm);
          assert.deepEqual(
            Array.from(names, (name) => name[1] ?? '').filter((name) => local.includes(name)),
            [],
            file,
          );
        }
        assert.equal(git(other, 'for-each-ref'), '');
      },
      { worktrees: { setup: [{ command: 'env > ../../setup.env', wait: true, timeoutSeconds: 60 }] } },
    ));

  it('G14: a new branch starts from what HEAD was when it was queued, whatever the user does before it is made', () =>
    inCell(
      'plain',
      async (cell) => {
        const { open } = cell.made;
        const main = git(open, 'rev-parse', 'main');
        const { queue } = await cell.owner();
        const ids = await queue.enqueue({ branch: cell.made.branch, prompt: 'echo 1 > one.txt' });
        git(open, 'stash', '--quiet', '--include-untracked');
        git(open, 'switch', '--quiet', '-c', 'other');
        git(open, 'commit', '--quiet', '--allow-empty', '-m', 'Other');
        git(open, 'stash', 'pop', '--quiet', '--index');
        git(open, 'pack-refs', '--all');
        cell.seeAgain();
        cell.one.settings.trusted = true;
        cell.engine.reconcile();
        const turn = await cell.ended(ids);
        const sha = cell.assertCommitted(turn, ['one.txt']);
        assert.equal(cell.git('rev-parse', `${sha}^`), main);
      },
      { trusted: false },
    ));

  it('G15: a bare repository with worktrees beside it is one, whichever folder is open; what is copied comes from the open checkout', () =>
    inCell(
      '.bare with a .git file',
      async (cell) => {
        const around = join(cell.folder, 'project');
        writeFileSync(join(around, 'main', '.env'), 'secret\n');
        cell.seeAgain();
        const inCheckout = await cell.completed({ prompt: 'cat .env > copied.txt' });
        cell.assertCommitted(inCheckout, ['copied.txt']);
        assert.equal(inWorktree(cell, 'copied.txt'), 'secret\n');
        assert.equal(cell.worktree, join(around, 'b'), 'beside the others');
        const { queue } = await cell.owner();
        for (const repository of [around, join(around, '.bare'), cell.worktree]) {
          const { branchId } = await queue.enqueue({ repository, branch: 'b', kind: 'note', prompt: 'true' });
          assert.equal(branchId, inCheckout.branchId, repository);
        }
        const ofRoot = await queue.enqueue({ repository: around, branch: 'c', kind: 'note', prompt: 'true' });
        cell.ownBranches.push('c');
        assert.equal((await cell.ended(ofRoot)).state, 'completed');
      },
      { worktrees: { include: ['.env'] } },
    ));

  it('G16: a rebase of this branch that is in conflict is named, and a turn may solve it; one of another branch is refused', () =>
    inCell('plain', async (cell) => {
      const change = (text: string) => `echo ${text} > shared.txt; git commit --quiet --all -m ${text}`;
      await cell.completed({
        kind: 'note',
        prompt: `${change('ours')}; git branch side HEAD^; git switch --quiet side; ${change('theirs')}; git switch --quiet b`,
      });
      cell.ownBranches.push('side');
      assert.throws(() => cell.git('rebase', '--quiet', 'side'));
      const turn = await cell.completed({
        prompt:
          'git status | grep -q "rebase in progress" || exit 1; echo solved > shared.txt; git add shared.txt; GIT_EDITOR=: git rebase --continue',
      });
      assert.equal(turn.commit?.state, 'made', cell.said(turn));
      assert.equal(cell.git('log', '-1', '--format=%s'), 'ours');
      assert.equal(cell.git('rev-parse', 'HEAD^'), cell.git('rev-parse', 'side'));
      const told = (await transcript(cell, turn.sessionId)).flatMap((entry) => (entry.type === 'notice' ? [entry.text] : []));
      assert.match(told.join('\n'), /rebase is under way.*in conflict: shared\.txt/);
      cell.git('reset', '--quiet', '--hard', 'side^');
      cell.git('commit', '--quiet', '--allow-empty', '-m', 'Empty');
      cell.git('switch', '--quiet', '-c', 'third');
      cell.ownBranches.push('third');
      cell.git('config', 'advice.mergeConflict', 'false');
      writeFileSync(join(cell.worktree, 'shared.txt'), 'third\n');
      cell.git('commit', '--quiet', '--all', '-m', 'Third');
      assert.throws(() => cell.git('rebase', '--quiet', 'side'));
      const refused = await cell.run({ prompt: 'echo x > never.txt' });
      assert.equal(refused.state, 'failed');
      assert.match(refused.error?.message ?? '', /rebase is under way there \(of "third"\); finish or abort it first/);
      assert.ok(!existsSync(join(cell.worktree, 'never.txt')));
      cell.git('rebase', '--abort');
    }));

  it('G17: dubious ownership is told with git’s own words and command, and is never taken for another folder', () =>
    inCell('plain', async (cell) => {
      await cell.owner();
      cell.setEnvironment({ GIT_TEST_ASSUME_DIFFERENT_OWNER: '1' });
      const { queue } = await cell.owner();
      const ids = await queue.enqueue({ branch: cell.made.branch, prompt: 'echo 1 > one.txt' });
      await cell.until(() => cell.branch.worktreeState === 'failed', 'it is refused');
      assert.match(cell.branch.worktreeError?.message ?? '', /dubious ownership.*safe\.directory/s);
      assert.doesNotMatch(cell.branch.worktreeError?.message ?? '', /Move that folder away/);
      cell.takeBackEnvironment();
      await cell.endHosts();
      await queue.retryProvisioning(ids.branchId);
      cell.assertCommitted(await cell.ended(ids), ['one.txt']);
    }));

  it('G17: dubious ownership of a worktree that was ready fails the turn with git’s words, and a retry goes on', () =>
    inCell('plain', async (cell) => {
      await cell.completed({ kind: 'note', prompt: 'true' });
      await cell.endHosts();
      cell.setEnvironment({ GIT_TEST_ASSUME_DIFFERENT_OWNER: '1' });
      const turn = await cell.run({ prompt: 'echo 1 > one.txt' });
      assert.equal(turn.state, 'failed');
      assert.match(turn.error?.message ?? '', /dubious ownership.*safe\.directory/s);
      const { removal, queue } = await cell.owner();
      await assert.rejects(removal.remove(turn.branchId, false), /can't be counted, so it is not removed:.*safe\.directory/s);
      cell.takeBackEnvironment();
      await cell.endHosts();
      await queue.retry(turn.id);
      cell.assertCommitted(await cell.ended({ turnId: turn.id }), ['one.txt']);
    }));

  /** A git that says it is of a version, and knows no `worktree list -z` where that had none. */
  const oldGit = (cell: Cell, version: string): NodeJS.ProcessEnv => {
    const bin = cell.beside('old');
    script(
      join(bin, 'git'),
      `case "$*" in version) echo 'git version ${version}'; exit ;; esac`,
      'case "$*" in *"worktree list"*" -z"*) echo "error: unknown switch \\`z\'" >&2; exit 129 ;; esac',
      `PATH=$(printf %s "$PATH" | sed 's|^${bin}:||'); export PATH`,
      'exec git "$@"',
    );
    return { PATH: `${bin}:${process.env.PATH}` };
  };

  it('G18: a git that has no `worktree list -z` works', () =>
    inCell('plain', async (cell) => {
      cell.setEnvironment(oldGit(cell, '2.30.1'));
      const turn = await cell.completed({ prompt: 'echo 1 > one.txt' });
      cell.assertCommitted(turn, ['one.txt']);
      rmSync(cell.worktree, { recursive: true });
      cell.assertCommitted(await cell.completed({ prompt: 'echo 2 > two.txt' }), ['two.txt']);
      await (await cell.owner()).removal.remove(turn.branchId, false);
    }));

  it('G18: a git that is too old is told with what is needed, before anything is made', () =>
    inCell('plain', async (cell) => {
      cell.setEnvironment(oldGit(cell, '2.20.1'));
      const ids = await cell.queue({ prompt: 'echo 1 > one.txt' });
      await cell.until(() => cell.branch.worktreeState === 'failed', 'it is refused');
      assert.match(cell.branch.worktreeError?.message ?? '', /needs git 2\.26 or later, and this is 2\.20\. Install a newer git/);
      assert.equal(git(cell.made.open, 'branch', '--list', cell.made.branch), '');
      cell.takeBackEnvironment();
      await cell.endHosts(); // They have the environment that they were started with.
      await (await cell.owner()).queue.retryProvisioning(ids.branchId);
      cell.assertCommitted(await cell.ended(ids), ['one.txt']);
    }));

  it('G19: a git that was killed in its checkout, and speaks another language, leaves nothing that is taken as whole', () =>
    inCell('another language', operationNamed('crash: worktree half made').run));

  it('G20: another worktree of the user’s, on a disk that is away, keeps its entry when ours is made anew', () =>
    inCell('plain', async (cell) => {
      const first = await cell.completed({ prompt: 'echo 1 > one.txt' });
      const { worktree } = cell;
      rmSync(worktree, { recursive: true });
      cell.assertCommitted(await cell.completed({ prompt: 'echo 2 > two.txt' }), ['two.txt']);
      rmSync(worktree, { recursive: true });
      await (await cell.owner()).removal.remove(first.branchId, false);
      assert.ok(!git(cell.made.open, 'worktree', 'list').includes(worktree));
    })); // That the entry of the other one is whole is looked at in each cell.

  it('G20: a branch whose worktree of the user’s is on a disk that is away is refused, and taken up when it is back', () =>
    inCell('plain', async (cell) => {
      const { queue } = await cell.owner();
      const ids = await queue.enqueue({ branch: 'user/away', kind: 'note', prompt: 'true' });
      const state = () => cell.engine.state.branch(ids.branchId);
      await cell.until(() => state()?.worktreeState === 'failed', 'it is refused');
      assert.match(state()?.worktreeError?.message ?? '', /can't be reached now\. Connect its disk/);
      cell.made.neighbours?.plugIn();
      await queue.retryProvisioning(ids.branchId);
      assert.equal((await cell.ended(ids)).state, 'completed');
      assert.deepEqual([state()?.worktreePath, state()?.adopted], [cell.made.neighbours?.away, true]);
    }));

  it('G20: a worktree of ours whose disk is away is not reachable, not missing; nothing is made in its place', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ kind: 'note', prompt: 'echo kept > kept.txt' });
      const { worktree } = cell;
      const { store } = await cell.owner();
      const { preparation } = cell.branch;
      assert.ok(preparation);
      renameSync(worktree, cell.beside('unplugged'));
      await store.commit((tx) =>
        tx.update('branch', turn.branchId, { preparation: { ...preparation, mount: cell.beside('no mount') } }),
      );
      const ids = await cell.queue({ prompt: 'echo 1 > one.txt' });
      await cell.until(() => cell.branch.worktreeState === 'unreachable', 'it is not reachable');
      assert.ok(!existsSync(worktree));
      renameSync(cell.beside('unplugged'), worktree);
      await store.commit((tx) => tx.update('branch', turn.branchId, { preparation }));
      cell.engine.reconcile();
      cell.assertCommitted(await cell.ended(ids), ['one.txt']);
      assert.equal(inWorktree(cell, 'kept.txt'), 'kept\n');
    }));

  it('G21: nothing is removed while an agent of another window works in it', () =>
    inCell('plain', async (cell) => {
      const first = await cell.completed({ kind: 'note', prompt: 'true' });
      const [begun, go] = [cell.beside('begun'), cell.beside('go')];
      const other = startEngine(cell.beside('other window'), cell.made.open);
      try {
        const { queue } = await other.engine.owner();
        const { turnId } = await queue.enqueue({
          branch: cell.made.branch,
          kind: 'note',
          prompt: `touch '${begun}'; while ! test -e '${go}'; do sleep 0.02; done; rm -f '${go}'`,
        });
        await untilThere(begun);
        const { removal } = await cell.owner();
        for (const force of [false, true])
          await assert.rejects(
            removal.remove(first.branchId, force),
            /Something else writes in .*End it there, then remove the branch/,
          );
        assert.equal(cell.branch.worktreeState, 'ready');
        assert.ok(existsSync(cell.worktree));
        writeFileSync(go, '');
        await until(other.engine, () => other.engine.state.turn(turnId)?.state === 'completed', 'the other one has ended');
        await removal.remove(first.branchId, false);
      } finally {
        await stopEngine(other);
      }
    }));

  it('G22: a git that hangs holds only its own; who waits for it can be stopped at once, and goes on later', () =>
    inCell('plain', async (cell) => {
      const [reached, go] = [cell.beside('reached'), cell.beside('go')];
      const path = hook(
        cell,
        'post-checkout',
        `test "$(git branch --show-current)" = slow || exit 0; touch '${reached}'; while ! test -e '${go}'; do sleep 0.02; done`,
      );
      const other = startEngine(cell.beside('other window'), cell.made.open);
      try {
        const slow = await (await other.engine.owner()).queue.enqueue({ branch: 'slow', kind: 'note', prompt: 'true' });
        cell.ownBranches.push('slow');
        await untilThere(reached);
        const ids = await cell.queue({ prompt: 'echo 1 > one.txt' });
        const { provisioner, queue } = await cell.owner();
        await cell.until(() => provisioner.isAtWork(ids.branchId), 'it waits');
        await provisioner.stop(ids.branchId);
        assert.equal(cell.branch.worktreeState, 'failed');
        assert.match(cell.branch.worktreeError?.message ?? '', /Stopped.*Retry/);
        await (await other.engine.owner()).provisioner.stop(slow.branchId);
        rmSync(path);
        await queue.retryProvisioning(ids.branchId);
        cell.assertCommitted(await cell.ended(ids), ['one.txt']);
      } finally {
        await stopEngine(other);
      }
    }));

  it('G22: nobody is asked and no input is waited for, by git, its hooks, or what they start', () =>
    inCell('plain', async (cell) => {
      hook(cell, 'pre-commit', `cat > '${cell.beside('input')}'; env > '${cell.beside('hook.env')}'`);
      cell.assertCommitted(await cell.completed({ prompt: 'echo 1 > one.txt' }), ['one.txt']);
      assert.equal(readFileSync(cell.beside('input'), 'utf8'), '');
      const said = readFileSync(cell.beside('hook.env'), 'utf8');
      for (const line of ['GIT_TERMINAL_PROMPT=0', 'SSH_ASKPASS_REQUIRE=never']) assert.ok(said.includes(line), line);
    }));

  it('G23: an agent that goes on after its turn: its words are kept, its files are that turn’s work and in its commit', () =>
    inCell(
      'plain',
      async (cell) => {
        const go = cell.beside('go');
        const turn = await cell.completed({ title: 'Goes on', prompt: `write one.txt 1\nlater ${go} late.txt late words` });
        cell.assertCommitted(turn, ['one.txt']);
        writeFileSync(go, '');
        await cell.until(() => cell.turn({ turnId: turn.id }).work?.files === 2, 'the late file is the turn’s work');
        const { commit } = cell.turn({ turnId: turn.id });
        assert.deepEqual(cell.pathsOf(commit?.state === 'made' ? commit.sha : ''), ['late.txt']);
        assert.deepEqual(cell.uncommitted(), []);
        const late = (await transcript(cell, turn.sessionId)).filter((entry) => entry.turnId === turn.id && entry.late);
        assert.ok(
          late.some((entry) => entry.type === 'text' && entry.text.includes('late words')),
          JSON.stringify(late),
        );
        cell.assertCommitted(await cell.completed({ prompt: 'write two.txt 2' }), ['two.txt']);
      },
      withAgent,
    ));

  it('G24: other ends of lines alone are nothing to commit, and no failure', () =>
    inCell('plain', async (cell) => {
      git(cell.made.open, 'config', 'core.autocrlf', 'input');
      const turn = await cell.completed({ prompt: "printf 'one\\r\\ntwo\\r\\nthree\\r\\n' > shared.txt" });
      assert.equal(turn.commit, null, cell.said(turn));
      const both = await cell.completed({ prompt: "printf 'one\\r\\ntwo\\r\\nthree\\r\\n' > shared.txt; echo 1 > one.txt" });
      cell.assertCommitted(both, ['one.txt']);
    }));

  it('G25: what a running turn, a note and a cancelled turn changed is shown, new files included', () =>
    inCell('plain', async (cell) => {
      await operationNamed('open changes').run(cell);
      const begun = cell.beside('begun again');
      const ids = await cell.queue({ prompt: `echo part > part.txt; touch '${begun}'; sleep 300` });
      await cell.untilFile(begun);
      await (await cell.owner()).queue.cancel(ids.turnId);
      const turn = await cell.ended(ids);
      const session = cell.engine.state.session(ids.sessionId);
      assert.ok(session);
      const { files } = await changesOfTurn(cell.branch, session, turn);
      assert.deepEqual(
        files.map(({ path, kind }) => [path, kind]),
        [['part.txt', 'added']],
      );
    }));

  it('G26: links of ours are unlinked before git removes anything', () =>
    inCell(
      'plain',
      async (cell) => {
        writeFiles(cell.made.open, { 'node_modules/x.js': 'x\n' });
        writeFileSync(join(cell.made.open, '.gitignore'), 'node_modules\n');
        cell.seeAgain();
        const turn = await cell.completed({ kind: 'note', prompt: 'true' });
        const { worktree } = cell;
        const bin = cell.beside('watching');
        script(
          join(bin, 'git'),
          `case "$*" in "worktree remove"*) test -L '${worktree}/node_modules' && touch '${cell.beside('was there')}' ;; esac`,
          `PATH=$(printf %s "$PATH" | sed 's|^${bin}:||'); export PATH`,
          'exec git "$@"',
        );
        cell.setEnvironment({ PATH: `${bin}:${process.env.PATH}` });
        await (await cell.owner()).removal.remove(turn.branchId, true);
        assert.ok(!existsSync(worktree));
        assert.ok(!existsSync(cell.beside('was there')));
      },
      { worktrees: { symlinkDirectories: ['node_modules'] } },
    ));
});
