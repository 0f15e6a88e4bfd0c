/**
 * Other examples of the kinds of fault in `faults.test.ts`: what agents, hooks, configurations and names do besides. `npm test` has every
 * third one, `npm run test:git` all.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Session } from '../../src/model/types.ts';
import type { HeldCommit } from '../../src/model/work.ts';
import { Git } from '../../src/git/git.ts';
import { stage } from '../../src/git/trees.ts';
import { worktreeState } from '../../src/git/worktrees.ts';
import { readTranscript, transcriptPath } from '../../src/store/transcripts.ts';
import { changesOfTurn } from '../../src/work/changes.ts';
import { testAgent } from '../support/engines.ts';
import { git } from '../support/repositories.ts';
import { removeTemporaryFolders } from '../support/temporaryFolder.ts';
import { type Cell, inCell } from './cell.ts';
import { commonFolder, script, writeFiles } from './kinds.ts';
import { isWhole } from './table.ts';

let examples = 0;
/** An example, in its turn. */
function example(title: string, run: () => Promise<void>): void {
  if (isWhole || examples % 3 === 0) it(title, run);
  examples += 1;
}

const hook = (cell: Cell, name: string, ...lines: string[]): string =>
  script(join(commonFolder(cell.made.open), 'hooks', name), ...lines);

const inWorktree = (cell: Cell, path: string): string => readFileSync(join(cell.worktree, path), 'utf8');

/** A script that makes two branches which change one line, and is on the branch of the turn then. */
const twoSides = (cell: Cell): string => {
  cell.ownBranches.push('side');
  const commit = (text: string) => `echo ${text} > shared.txt; git commit --quiet --all -m ${text}`;
  return `git switch --quiet -c side; ${commit('theirs')}; git switch --quiet b; ${commit('ours')}`;
};

describe('git: operations that stop half-way', () => {
  afterEach(removeTemporaryFolders);

  /** The agent stops in a conflict and its commit is held; then a turn of the same session does `solve`, and its commit is made. */
  const heldThenSolved = async (
    cell: Cell,
    { stop, why, operation, solve }: { stop: string; why: HeldCommit['why']; operation?: string; solve: string },
  ) => {
    const turn = await cell.completed({ prompt: `${twoSides(cell)}\n${stop}` });
    const held = cell.assertHeld(turn, why, /shared\.txt/);
    assert.equal(held.operation, operation);
    assert.doesNotMatch(cell.git('show', 'HEAD:shared.txt'), /<<<<<<</);
    const { queue } = await cell.owner();
    const mended = await cell.ended(await queue.enqueueTurn(turn.sessionId, { prompt: solve, mends: turn.id }));
    assert.equal(mended.state, 'completed', mended.error?.message);
    assert.equal(mended.commit?.state, 'made', cell.said(mended));
    assert.equal(cell.git('show', 'HEAD:shared.txt'), 'solved');
    assert.deepEqual(cell.uncommitted(), []);
    assert.equal(cell.turn({ turnId: turn.id }).commit?.state, 'made', 'the turn before is settled by it');
    assert.equal(cell.branch.paused, 'no');
  };

  example('a rebase', () =>
    inCell('plain', (cell) =>
      heldThenSolved(cell, {
        stop: 'git rebase --quiet side || true',
        why: 'operation',
        operation: 'rebase',
        solve: 'echo solved > shared.txt; git add shared.txt; GIT_EDITOR=: git rebase --continue',
      }),
    ),
  );

  example('a cherry-pick, solved in the file alone', () =>
    inCell('plain', (cell) =>
      heldThenSolved(cell, {
        stop: 'git cherry-pick side || true',
        why: 'operation',
        operation: 'cherry-pick',
        solve: 'echo solved > shared.txt',
      }),
    ),
  );

  example('a revert', () =>
    inCell('plain', (cell) =>
      heldThenSolved(cell, {
        stop: 'echo more > shared.txt; git commit --quiet --all -m more; git revert --no-edit HEAD^ || true',
        why: 'operation',
        operation: 'revert',
        solve: 'echo solved > shared.txt; git add shared.txt',
      }),
    ),
  );

  example('a squash merge, which leaves no trace but the conflict', () =>
    inCell('plain', (cell) =>
      heldThenSolved(cell, { stop: 'git merge --squash side || true', why: 'unmerged', solve: 'echo solved > shared.txt' }),
    ),
  );

  example('a stash that is popped into a conflict', () =>
    inCell('plain', async (cell) => {
      await heldThenSolved(cell, {
        stop: 'echo stashed > shared.txt; git stash --quiet; echo other > shared.txt; git commit --quiet --all -m other; git stash pop || true',
        why: 'unmerged',
        solve: 'echo solved > shared.txt; git add shared.txt; git stash drop --quiet',
      });
    }),
  );

  example('a conflict that was added with its marks in it is held; a person may mean it', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ prompt: `${twoSides(cell)}\ngit merge --squash side; git add shared.txt` });
      cell.assertHeld(turn, 'markers', /marks of a conflict in shared\.txt/);
      const { sha } = await (await cell.owner()).work.commit(turn.id);
      assert.match(cell.git('show', `${sha}:shared.txt`), /<<<<<<</);
    }),
  );

  example('a text about conflicts is a text', () =>
    inCell('plain', async (cell) => {
      const marks = "printf '<<<<<<< a\\none\\n=======\\ntwo\\n>>>>>>> b\\n' > about.txt";
      const first = await cell.completed({ prompt: marks });
      cell.assertHeld(first, 'markers');
      await (await cell.owner()).work.commit(first.id);
      cell.assertCommitted(await cell.completed({ prompt: 'echo more >> about.txt' }), ['about.txt']);
    }),
  );

  example('a merge without a conflict that was left for somebody to commit is concluded on a person’s word', () =>
    inCell('plain', async (cell) => {
      cell.ownBranches.push('side');
      const turn = await cell.completed({
        prompt: [
          'git switch --quiet -c side; echo s > side.txt; git add .; git commit --quiet -m side',
          'git switch --quiet b; echo b > b.txt; git add .; git commit --quiet -m b; git merge --no-commit side',
        ].join('\n'),
      });
      cell.assertHeld(turn, 'operation', /merge is unfinished\. Finish it, or commit again to conclude it/);
      const { work } = await cell.owner();
      const { sha } = await work.commit(turn.id);
      assert.equal(cell.git('log', '-1', '--format=%P', sha).split(' ').length, 2);
      assert.deepEqual(cell.uncommitted(), []);
    }),
  );

  example('a merge that is discarded is given up as git does it, and what the agent committed itself stays', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ prompt: `${twoSides(cell)}\ngit merge side || true` });
      cell.assertHeld(turn, 'operation');
      await (await cell.owner()).work.discard(turn.id);
      assert.equal(inWorktree(cell, 'shared.txt'), 'ours\n');
      assert.deepEqual(cell.uncommitted(), []);
      assert.equal(cell.branch.paused, 'no');
      cell.assertCommitted(await cell.completed({ prompt: 'echo 1 > one.txt' }), ['one.txt']);
    }),
  );

  example('a removal names what is under way', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ kind: 'note', prompt: `${twoSides(cell)}\ngit merge side || true` });
      await assert.rejects((await cell.owner()).removal.remove(turn.branchId, false), /A merge is under way/);
    }),
  );
});

describe('git: hooks', () => {
  afterEach(removeTemporaryFolders);

  example('one that reformats and lets through without staging: what it changed is in the commit', () =>
    inCell('plain', async (cell) => {
      hook(cell, 'pre-commit', 'grep -q formatted one.txt || echo formatted >> one.txt');
      cell.assertCommitted(await cell.completed({ prompt: 'echo 1 > one.txt' }), ['one.txt']);
      assert.equal(cell.git('show', 'HEAD:one.txt'), '1\nformatted');
      assert.equal(cell.git('rev-list', '--count', 'main..HEAD'), '1');
    }),
  );

  example('one that adds files of its own', () =>
    inCell('plain', async (cell) => {
      hook(cell, 'pre-commit', 'git diff --cached --name-only > generated.txt; git add generated.txt');
      const turn = await cell.completed({ prompt: 'echo 1 > one.txt' });
      cell.assertCommitted(turn, ['generated.txt', 'one.txt']);
      assert.equal(turn.work?.files, 2);
      assert.deepEqual(cell.uncommitted(), []);
    }),
  );

  example(
    'one that changes a file besides and leaves it: that is the turn’s work too, it is told as left and can be committed',
    () =>
      inCell('plain', async (cell) => {
        hook(cell, 'pre-commit', 'git diff --cached --name-only > README.md');
        const turn = await cell.completed({ prompt: 'echo 1 > one.txt' });
        cell.assertCommitted(turn, ['one.txt']);
        assert.equal(turn.work?.files, 2);
        cell.assertKept(turn, ['README.md', 'one.txt']);
        const session = cell.engine.state.session(turn.sessionId) as Session;
        const changes = await changesOfTurn(cell.branch, session, turn);
        assert.deepEqual(changes.files.map(({ path }) => path).sort(), ['README.md', 'one.txt']);
        hook(cell, 'pre-commit', 'exit 0');
        const { work } = await cell.owner();
        await work.commit(turn.id);
        assert.deepEqual(cell.uncommitted(), []);
        assert.equal(cell.turn({ turnId: turn.id }).work?.ref, undefined);
        hook(cell, 'pre-commit', 'git diff --cached --name-only > README.md');
        const other = await cell.completed({ prompt: 'echo 2 > two.txt' });
        assert.deepEqual((await work.discard(other.id)).discarded, ['README.md']);
        cell.assertCommitted(other, ['two.txt']);
        assert.deepEqual(cell.uncommitted(), []);
      }),
  );

  example('one that reformats beside what another turn left: only the turn’s own paths are taken in', () =>
    inCell('plain', async (cell) => {
      await cell.completed({ kind: 'note', prompt: 'echo note >> README.md' });
      hook(cell, 'pre-commit', 'grep -q formatted one.txt || echo formatted >> one.txt');
      cell.assertCommitted(await cell.completed({ prompt: 'echo 1 > one.txt' }), ['one.txt']);
      assert.equal(cell.git('show', 'HEAD:one.txt'), '1\nformatted');
      assert.deepEqual(cell.uncommitted(), ['README.md']);
    }),
  );

  example('one that writes the message, and one that only looks at it afterwards', () =>
    inCell('plain', async (cell) => {
      hook(cell, 'prepare-commit-msg', 'echo "TICKET-1: $(cat "$1")" > "$1"');
      hook(cell, 'post-commit', 'echo "told" >&2; exit 1');
      const sha = cell.assertCommitted(await cell.completed({ prompt: 'echo 1 > one.txt', title: 'Title' }), ['one.txt']);
      assert.equal(cell.git('log', '-1', '--format=%s', sha), 'TICKET-1: Title');
    }),
  );

  example('hooks that the repository names and the worktree lacks are told', () =>
    inCell('plain', async (cell) => {
      git(cell.made.open, 'config', 'core.hooksPath', '.husky/_');
      cell.assertCommitted(await cell.completed({ prompt: 'echo 1 > one.txt' }), ['one.txt']);
      assert.equal(cell.branch.preparation?.missingHooks, '.husky/_');
    }),
  );

  example('a refusal beside what another turn left; the commit is made again when that is still there', () =>
    inCell('plain', async (cell) => {
      await cell.completed({ kind: 'note', prompt: 'echo note >> README.md' });
      cell.made.refusal.begin();
      const turn = await cell.completed({ prompt: 'echo 1 > one.txt' });
      cell.assertHeld(turn, 'refused', /the title must say why/);
      cell.made.refusal.end();
      const next = await cell.queue({ prompt: 'echo 2 > two.txt' });
      await (await cell.owner()).work.commit(turn.id);
      cell.assertCommitted(turn, ['one.txt']);
      cell.assertCommitted(await cell.ended(next), ['two.txt']);
      assert.deepEqual(cell.uncommitted(), ['README.md']);
    }),
  );

  example('a turn whose commit is held keeps its work when the line goes on, and is not in the commit of the next', () =>
    inCell('plain', async (cell) => {
      cell.made.refusal.begin();
      const turn = await cell.completed({ prompt: 'echo 1 > one.txt; echo more >> README.md' });
      cell.assertHeld(turn, 'refused');
      cell.made.refusal.end();
      await (await cell.owner()).queue.resume(turn.branchId);
      cell.assertCommitted(await cell.completed({ prompt: 'echo 2 > two.txt' }), ['two.txt']);
      assert.deepEqual(cell.uncommitted(), ['README.md', 'one.txt']);
      assert.equal(cell.turn({ turnId: turn.id }).commit?.state, 'held');
      await (await cell.owner()).work.commit(turn.id);
      cell.assertCommitted(turn, ['README.md', 'one.txt']);
    }),
  );

  example('without a name and address nothing is committed, and it is told how to set them', () =>
    inCell('plain', async (cell) => {
      for (const name of ['user.name', 'user.email']) git(cell.made.open, 'config', '--unset', name);
      git(cell.made.open, 'config', 'user.useConfigOnly', 'true');
      cell.setEnvironment({ GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', EMAIL: undefined });
      const turn = await cell.completed({ prompt: 'echo 1 > one.txt' });
      cell.assertHeld(turn, 'identity', /git does not know who you are.*git config --global user\.name/);
      git(cell.made.open, 'config', 'user.name', 'Ada');
      git(cell.made.open, 'config', 'user.email', 'ada@example.com');
      await (await cell.owner()).work.commit(turn.id);
      cell.assertCommitted(turn, ['one.txt']);
    }),
  );

  example('writes the configuration that the user’s own checkout has, too: it is committed, and told', () =>
    inCell('plain', async (cell) => {
      hook(cell, 'pre-commit', 'git config branchline.test changed');
      const turn = await cell.completed({ prompt: 'echo 1 > one.txt' });
      cell.assertCommitted(turn, ['one.txt']);
      const said = await readTranscript(transcriptPath(cell.beside('storage'), turn.sessionId));
      assert.ok(said.some((entry) => entry.type === 'notice' && /A hook has changed the configuration/.test(entry.text)));
      cell.git('config', '--unset', 'branchline.test');
      cell.seeAgain();
    }),
  );
});

describe('git: repositories inside', () => {
  afterEach(removeTemporaryFolders);
  const identity = '-c user.name=Gen -c user.email=gen@example.com';
  const makeInner = (path: string) =>
    `mkdir -p ${path}; (cd ${path}; git init --quiet; echo a > a.txt; git add .; git ${identity} commit --quiet -m Made)`;
  const refused = async (cell: Cell, branchId: string, message: RegExp) =>
    assert.rejects((await cell.owner()).removal.remove(branchId, false), message);

  example('two deep: both are told by a removal', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ prompt: `${makeInner('outer')}; ${makeInner('outer/deep/inner')}; echo 1 > one.txt` });
      cell.assertCommitted(turn, ['one.txt']);
      await refused(cell, turn.branchId, /outer is a repository of its own.*outer\/deep\/inner is a repository of its own/s);
    }),
  );

  example('in an ignored folder', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ prompt: `echo vendor/ > .gitignore; ${makeInner('vendor/lib')}` });
      cell.assertCommitted(turn, ['.gitignore']);
      await refused(cell, turn.branchId, /vendor\/lib is a repository of its own with 1 commit that is nowhere else/);
    }),
  );

  example('one without a commit: its files are counted', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ prompt: 'mkdir app; cd app; git init --quiet; echo a > a.txt' });
      assert.equal(turn.commit, null);
      assert.deepEqual(turn.work?.inner, ['app']);
      await refused(cell, turn.branchId, /app is a repository of its own with 1 uncommitted file/);
    }),
  );

  example('one that the agent added itself is never committed as a hull by us', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ prompt: `${makeInner('app')}; echo 1 > one.txt; git add --all` });
      assert.notEqual(turn.commit, null);
      if (turn.commit?.state === 'made') assert.deepEqual(cell.pathsOf(turn.commit.sha), ['one.txt']);
      await refused(cell, turn.branchId, /app is a repository of its own/);
    }),
  );

  example('one that the agent committed itself is counted', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ prompt: `${makeInner('app')}; git add app; git commit --quiet -m Hull` });
      await refused(cell, turn.branchId, /app is a repository of its own with 1 commit that is nowhere else/);
    }),
  );

  example('a submodule that the agent added is committed as one', () =>
    inCell('with a submodule', async (cell) => {
      const turn = await cell.completed({
        prompt: `git -c protocol.file.allow=always submodule --quiet add --name other '${cell.beside('inner')}' other`,
      });
      cell.assertCommitted(turn, ['.gitmodules', 'other']);
      assert.equal(turn.work?.inner, undefined);
    }),
  );

  example('a commit in a submodule that only this worktree has is counted, also when the branch records it', () =>
    inCell('with a submodule', async (cell) => {
      const turn = await cell.completed({
        prompt: `cd sub; echo x >> README.md; git ${identity} commit --quiet --all -m Inside`,
      });
      cell.assertCommitted(turn, ['sub']);
      await refused(cell, turn.branchId, /sub is a repository of its own with 1 commit that is nowhere else/);
    }),
  );

  example('releases that a clone has by their tags alone are elsewhere; what was committed here is not, also under a tag', () =>
    inCell('plain', async (cell) => {
      const upstream = cell.beside('upstream');
      const commit = `git ${identity} commit --quiet --allow-empty -m`;
      const tag = (name: string) => `${commit} ${name}; git ${identity} tag -a -m ${name} ${name}; git tag light-${name}`;
      const turn = await cell.completed({
        prompt: [
          `mkdir '${upstream}'; cd '${upstream}'; export GIT_COMMITTER_DATE=2001-02-03T04:05:06Z; git init --quiet -b main; ${commit} base`,
          `git switch --quiet -c release; ${tag('v1')}; ${tag('v2')}; git switch --quiet main; git branch --quiet -D release`,
          `cd "$OLDPWD"; unset GIT_COMMITTER_DATE; echo build/ > .gitignore; mkdir build; cd build`,
          `git clone --quiet '${upstream}' whole; git -C whole checkout --quiet v2`,
          `git clone --quiet --depth 1 --branch v1 'file://${upstream}' shallow`,
        ].join('\n'),
      });
      cell.assertCommitted(turn, ['.gitignore']);
      const { removal } = await cell.owner();
      assert.deepEqual((await removal.atRisk(turn.branchId)).inner, []);
      await cell.followUp(turn, `cd build/whole; ${commit} here; git tag here; git checkout --quiet v1`);
      await refused(cell, turn.branchId, /build\/whole is a repository of its own with 1 commit that is nowhere else/);
      await cell.followUp(turn, `cd build/shallow; git remote remove origin`);
      await refused(cell, turn.branchId, /build\/shallow is a repository of its own with 1 commit that is nowhere else/);
    }),
  );

  example('a submodule that became a folder of files, and back', () =>
    inCell('with a submodule', async (cell) => {
      const turn = await cell.completed({ prompt: 'git rm --quiet -f sub; rm -rf sub; mkdir sub; echo f > sub/file.txt' });
      assert.equal(turn.commit?.state, 'made', cell.said(turn));
      assert.deepEqual(cell.pathsOf('HEAD'), ['.gitmodules', 'sub', 'sub/file.txt']);
    }),
  );
  for (const [what, setting] of [
    ['a submodule', 'submodule.sub.ignore'],
    ['all submodules', 'diff.ignoreSubmodules'],
  ] as const)
    example(`git is told to look at none of ${what}: a commit in one is in the turn’s all the same`, () =>
      inCell('with a submodule', async (cell) => {
        await cell.completed({ kind: 'note', prompt: `git config ${setting} all; echo n > n.txt` });
        const inside = 'cd sub; echo x >> README.md; git commit --quiet --all -m Inside; cd ..';
        const turn = await cell.completed({ prompt: `${inside}; echo 1 > one.txt` });
        cell.assertCommitted(turn, ['one.txt', 'sub']);
        cell.git('config', '--unset', setting);
        cell.seeAgain();
      }),
    );
});

describe('git: what agents do with it themselves', () => {
  afterEach(removeTemporaryFolders);

  example('commit all of it: no second commit is made, and theirs is the turn’s', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ prompt: 'echo 1 > one.txt; git add .; git commit --quiet -m Own' });
      assert.deepEqual(
        [turn.commit?.state, turn.commit?.state === 'made' && turn.commit.sha],
        ['made', cell.git('rev-parse', 'HEAD')],
      );
      assert.equal(cell.git('log', '-1', '--format=%s'), 'Own');
      assert.equal(turn.work?.files, 1);
    }),
  );

  example('rename the branch: the next turn says how to give it its name back', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.run({ prompt: 'git branch -m renamed' });
      const { queue } = await cell.owner();
      await queue.resume(turn.branchId);
      const next = await cell.run({ prompt: 'echo 1 > one.txt' });
      assert.equal(next.state, 'failed');
      assert.match(next.error?.message ?? '', /"b", which is not there any more.*`git branch -m renamed b`/);
      cell.git('branch', '-m', 'renamed', 'b');
      await queue.resume(turn.branchId);
      cell.assertCommitted(await cell.completed({ prompt: 'echo 1 > one.txt' }), ['one.txt']);
    }),
  );

  example('commit a part: the rest is committed, and all of it is the turn’s work', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({
        title: 'Rest',
        prompt: 'echo 1 > one.txt; git add .; git commit --quiet -m Own; echo 2 > two.txt; echo more >> one.txt',
      });
      cell.assertCommitted(turn, ['one.txt', 'two.txt']);
      assert.deepEqual(cell.git('log', '-2', '--format=%s').split('\n'), ['Rest', 'Own']);
      assert.equal(turn.work?.files, 2);
    }),
  );

  example('make an empty commit', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ prompt: 'git commit --quiet --allow-empty -m Empty' });
      assert.deepEqual(turn.commit, { state: 'made', sha: cell.git('rev-parse', 'HEAD'), files: 0 });
    }),
  );

  example('amend the commit of the turn before', () =>
    inCell('plain', async (cell) => {
      await cell.completed({ prompt: 'echo 1 > one.txt', title: 'One' });
      const turn = await cell.completed({ prompt: 'echo 2 > two.txt; git add .; git commit --quiet --amend --no-edit' });
      assert.equal(turn.commit?.state, 'made');
      assert.equal(turn.work?.files, 1);
      assert.deepEqual(cell.pathsOf('HEAD'), ['one.txt', 'two.txt']);
    }),
  );

  example('take back the last commit and leave its content: it is committed anew, nothing is left over', () =>
    inCell('plain', async (cell) => {
      for (const name of ['one', 'two']) await cell.completed({ prompt: `echo ${name} > ${name}.txt`, title: name });
      const turn = await cell.completed({ prompt: 'git reset --soft HEAD~2', title: 'Squashed' });
      cell.assertCommitted(turn, ['one.txt', 'two.txt']);
      assert.equal(cell.git('log', 'main..HEAD', '--format=%s'), 'Squashed');
      assert.deepEqual(cell.uncommitted(), []);
    }),
  );

  example('take back the last commit beside what a note left: that stays out of the new one', () =>
    inCell('plain', async (cell) => {
      await cell.completed({ prompt: 'echo 1 > one.txt' });
      await cell.completed({ kind: 'note', prompt: 'echo note > note.txt; echo note >> README.md' });
      cell.assertCommitted(await cell.completed({ prompt: 'git reset --quiet HEAD~1' }), ['one.txt']);
      assert.deepEqual(cell.uncommitted(), ['README.md', 'note.txt']);
    }),
  );

  example('throw away the last commit', () =>
    inCell('plain', async (cell) => {
      const first = await cell.completed({ prompt: 'echo 1 > one.txt' });
      const turn = await cell.completed({ prompt: 'git reset --quiet --hard HEAD~1' });
      assert.equal(turn.state, 'completed');
      assert.ok(!existsSync(join(cell.worktree, 'one.txt')));
      const { work } = await cell.owner();
      await work.restore(turn.id);
      assert.equal(inWorktree(cell, 'one.txt'), '1\n', 'going back to before it brings the files back');
      assert.ok(first.endSha);
    }),
  );

  example('stash: what a turn stashed away is no work of it, what it pops is', () =>
    inCell('plain', async (cell) => {
      const first = await cell.completed({ prompt: 'echo more >> README.md; git stash --quiet' });
      assert.equal(first.commit, null);
      cell.assertCommitted(await cell.completed({ prompt: 'git stash pop --quiet' }), ['README.md']);
    }),
  );

  example('stage some and leave the rest: all of it is committed', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({
        prompt: 'echo 1 > one.txt; git add one.txt; echo 2 >> one.txt; echo more >> README.md; git add -N .; echo n > new.txt',
      });
      cell.assertCommitted(turn, ['README.md', 'new.txt', 'one.txt']);
      assert.equal(cell.git('show', 'HEAD:one.txt'), '1\n2');
      assert.deepEqual(cell.uncommitted(), []);
    }),
  );

  example('delete what an earlier turn had only staged, beside what another one has staged', () =>
    inCell('plain', async (cell) => {
      await cell.completed({ kind: 'note', prompt: 'echo n > note.txt; echo g > passing.txt; git add note.txt passing.txt' });
      const turn = await cell.completed({ prompt: 'rm passing.txt; echo 1 > one.txt' });
      cell.assertCommitted(turn, ['one.txt']);
      assert.deepEqual(cell.uncommitted(), ['note.txt']);
      await cell.completed({ kind: 'note', prompt: 'echo g > passing.txt; git add passing.txt' });
      const alone = await cell.completed({ prompt: 'rm passing.txt' });
      assert.equal(alone.commit, null, cell.said(alone));
      assert.deepEqual(cell.uncommitted(), ['note.txt']);
    }),
  );

  example('switch to another branch and commit there: held, and nothing of ours is on the wrong one', () =>
    inCell('plain', async (cell) => {
      cell.ownBranches.push('elsewhere');
      const turn = await cell.completed({
        prompt: 'git switch --quiet -c elsewhere; echo 1 > one.txt; git add .; git commit --quiet -m Own; echo 2 > two.txt',
      });
      cell.assertHeld(turn, 'left', /left the branch "b".*"elsewhere"/);
      assert.equal(cell.git('log', 'b..elsewhere', '--format=%s'), 'Own');
      cell.assertKept(turn, ['one.txt', 'two.txt']);
    }),
  );

  example('detach HEAD and commit: what no branch has is under the turn’s ref', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({
        prompt: 'git switch --quiet --detach; echo 1 > one.txt; git add .; git commit --quiet -m Alone',
      });
      cell.assertHeld(turn, 'left');
      cell.assertKept(turn, ['one.txt']);
      const { removal } = await cell.owner();
      await assert.rejects(removal.remove(turn.branchId, false), /1 commit is on no branch/);
      await removal.remove(turn.branchId, true);
      assert.equal(git(cell.made.open, 'show', `${turn.work?.ref}:one.txt`), '1');
    }),
  );

  example('collect garbage: what turns left can be looked at and gone back to all the same', () =>
    inCell('plain', async (cell) => {
      const note = await cell.completed({ kind: 'note', prompt: 'echo note > note.txt; echo more >> README.md' });
      const turn = await cell.completed({ prompt: 'echo 1 > one.txt; git gc --quiet --prune=now' });
      cell.assertCommitted(turn, ['one.txt']);
      await cell.completed({ kind: 'note', prompt: 'echo again >> note.txt; git gc --quiet --prune=now' });
      git(cell.made.open, 'gc', '--quiet', '--prune=now');
      cell.seeAgain(); // It writes all reflogs anew.
      for (const [one, paths] of [
        [note, ['README.md', 'note.txt']],
        [turn, ['one.txt']],
      ] as const) {
        const session = cell.engine.state.session(one.sessionId);
        assert.ok(session);
        const { files } = await changesOfTurn(cell.branch, session, cell.turn({ turnId: one.id }));
        assert.deepEqual(
          files.map(({ path }) => path),
          paths,
        );
      }
      const { work } = await cell.owner();
      await work.restore(turn.id);
      assert.equal(inWorktree(cell, 'note.txt'), 'note\n');
      assert.ok(!existsSync(join(cell.worktree, 'one.txt')));
    }),
  );

  example('delete the .git file: the turn says that its work is not committed, and loses none of it', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.run({ prompt: 'echo 1 > one.txt; rm .git' });
      assert.equal(inWorktree(cell, 'one.txt'), '1\n');
      const { commit } = cell.turn({ turnId: turn.id });
      if (commit?.state === 'made') cell.assertCommitted(turn, ['one.txt']);
      else assert.match(cell.said(turn) ?? turn.error?.message ?? 'nothing', /not a worktree.*any more|work is in the worktree/);
    }),
  );

  example('make another repository of the worktree: nothing is committed to it, and the turn says so', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.run({ prompt: 'echo 1 > one.txt; rm .git; git init --quiet --initial-branch=b' });
      assert.equal(inWorktree(cell, 'one.txt'), '1\n');
      assert.throws(() => cell.git('rev-parse', '--verify', 'HEAD'), 'nothing is committed in the other one');
      assert.match(cell.said(turn) ?? turn.error?.message ?? 'nothing', /not a worktree.*any more|work is in the worktree/);
      await (await cell.owner()).queue.resume(turn.branchId);
      const next = await cell.run({ prompt: 'echo 2 > two.txt' });
      assert.equal(next.state, 'failed');
      assert.match(next.error?.message ?? '', /is not a worktree of this repository any more\. Move that folder away and retry/);
      assert.ok(!existsSync(join(cell.worktree, 'two.txt')));
    }),
  );

  example('delete the worktree: the turn ends, and the next one has it made again', () =>
    inCell('plain', async (cell) => {
      await cell.completed({ prompt: 'echo 1 > one.txt' });
      await cell.run({ prompt: 'rm -rf "$PWD"' });
      const { queue } = await cell.owner();
      if (cell.branch.paused !== 'no') await queue.resume(cell.branch.id);
      cell.assertCommitted(await cell.completed({ prompt: 'test -e one.txt; echo 2 > two.txt' }), ['two.txt']);
    }),
  );

  example('leave a lock on the index: the commit is held, and made again when it is gone', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ prompt: 'echo 1 > one.txt; touch "$(git rev-parse --git-dir)/index.lock"' });
      cell.assertHeld(turn, 'refused', /index\.lock/);
      cell.assertKept(turn, ['one.txt']);
      rmSync(cell.git('rev-parse', '--git-path', 'index.lock'));
      await (await cell.owner()).work.retry(turn.id);
      cell.assertCommitted(turn, ['one.txt']);
    }),
  );
});

describe('git: paths and contents', () => {
  afterEach(removeTemporaryFolders);

  example('names with odd characters are names: pathspec magic, globs, options, quotes, line feeds, spaces at the end', () =>
    inCell('plain', async (cell) => {
      await cell.completed({ kind: 'note', prompt: 'echo note > note.txt' }); // So that the commit names its paths.
      const names = [
        ':(top)x',
        ':!note.txt',
        '*',
        '?',
        '[a]',
        '-A',
        '--all',
        'a"b',
        "a'b",
        'a\\b',
        'a\nb',
        'a\tb',
        ' a ',
        '~',
        '#x',
        '!y',
        'é',
        'e\u0301',
        '日本',
        '😀',
      ];
      writeFiles(cell.worktree, {});
      const turn = await cell.completed({
        prompt: names.map((name) => `printf x > './${name.replaceAll("'", `'"'"'`)}'`).join('; '),
      });
      cell.assertCommitted(turn, names);
      assert.deepEqual(cell.uncommitted(), ['note.txt']);
    }),
  );

  example('a name that is no UTF-8 is committed, or told; never left out in silence', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ prompt: 'printf x > "$(printf \'bad\\377.txt\')"; echo 1 > one.txt' });
      const left = cell.git('status', '--porcelain');
      if (turn.commit?.state === 'made') assert.equal(left, '', 'all of it is committed');
      else assert.match(cell.said(turn) ?? 'nothing', /bad/);
    }),
  );

  example('files become folders, folders become files, files become links and back', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({
        prompt:
          'rm README.md; mkdir README.md; echo x > README.md/x; rm -r a; echo a > a; rm gone.txt; ln -s b gone.txt; ln -s /nowhere dangling',
      });
      cell.assertCommitted(turn, ['README.md', 'README.md/x', 'a', 'a/one.txt', 'dangling', 'gone.txt']);
      const { work } = await cell.owner();
      await work.restore(turn.id);
      assert.equal(inWorktree(cell, 'a/one.txt'), 'one\n');
      assert.equal(inWorktree(cell, 'README.md'), '# Sample\n\nof a repository\n');
      assert.deepEqual(cell.uncommitted(), []);
    }),
  );

  example('the same left by a note is discarded, and nothing is followed through a link', () =>
    inCell('plain', async (cell) => {
      const outside = cell.beside('outside');
      writeFiles(outside, { 'one.txt': 'outside\n' });
      const note = await cell.completed({
        kind: 'note',
        prompt: `rm README.md; mkdir README.md; echo x > README.md/x; rm -r a; ln -s '${outside}' a; rm -r b; echo b > b`,
      });
      await (await cell.owner()).work.discard(note.id);
      assert.deepEqual(cell.uncommitted(), []);
      assert.equal(readFileSync(join(outside, 'one.txt'), 'utf8'), 'outside\n');
      assert.equal(inWorktree(cell, 'a/one.txt'), 'one\n');
    }),
  );

  example('a change of mode alone', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ prompt: 'chmod +x README.md' });
      cell.assertCommitted(turn, ['README.md']);
      assert.match(cell.git('ls-tree', 'HEAD', 'README.md'), /^100755/);
      await (await cell.owner()).work.restore(turn.id);
      assert.match(cell.git('ls-tree', 'HEAD', 'README.md'), /^100644/);
    }),
  );

  example('a rename, in letters of another case too', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ prompt: 'mv README.md readme.md; git mv shared.txt Shared.txt' });
      cell.assertCommitted(turn, ['README.md', 'Shared.txt', 'readme.md', 'shared.txt']);
    }),
  );

  example('a file that is changed in the second of its commit, to as many letters, is looked at', () =>
    inCell('plain', async (cell) => {
      await cell.completed({ kind: 'note', prompt: 'true' });
      const file = join(cell.worktree, 'README.md');
      const seconds = new Set<number>();
      do {
        seconds.clear();
        for (const text of ['aaaa\n', 'bbbb\n']) {
          writeFileSync(file, text);
          seconds.add(Math.floor(statSync(file).mtimeMs / 1_000));
          if (text === 'aaaa\n') cell.git('commit', '--quiet', '--all', '--allow-empty', '-m', 'By hand');
        }
      } while (seconds.size > 1);
      await delay(1_100); // A copy of the index is of a later second than the file.
      const turn = await cell.completed({ kind: 'note', prompt: 'echo x > x.txt' });
      assert.equal(cell.git('show', `${turn.startTree}:README.md`), 'bbbb');
    }),
  );

  example('other ends of lines alone are no loss; other words are', () =>
    inCell('plain', async (cell) => {
      cell.assertCommitted(await cell.completed({ prompt: 'echo "*.md text" > .gitattributes' }), ['.gitattributes']);
      const note = await cell.completed({ kind: 'note', prompt: "sed -i 's/$/\\r/' README.md" });
      const { removal } = await cell.owner();
      assert.match(cell.git('status', '--porcelain'), /README\.md/);
      assert.deepEqual((await removal.atRisk(note.branchId)).uncommitted, []);
      await cell.followUp(note, 'echo more >> README.md; echo x > new.txt');
      assert.deepEqual((await removal.atRisk(note.branchId)).uncommitted, ['README.md', 'new.txt']);
    }),
  );

  example('thousands of changed files, beside what another turn left', () =>
    inCell('plain', async (cell) => {
      await cell.completed({ kind: 'note', prompt: 'echo note > note.txt' });
      const many = 5_000;
      const turn = await cell.completed({
        prompt: `mkdir -p a-folder-with-a-rather-long-name; cd a-folder-with-a-rather-long-name; seq ${many} | split -l 1 -a 4 - a-file-with-a-rather-long-name-`,
      });
      assert.equal(turn.commit?.state, 'made', cell.said(turn));
      assert.equal(turn.work?.files, many);
      assert.equal(cell.pathsOf('HEAD').length, many);
      assert.deepEqual(cell.uncommitted(), ['note.txt']);
    }),
  );

  example('files that were ignored and are not any more, and the other way round', () =>
    inCell('plain', async (cell) => {
      await cell.completed({ kind: 'note', prompt: 'echo x > debug.log' });
      const turn = await cell.completed({ prompt: 'echo "gone.txt" > .gitignore; echo more >> gone.txt' });
      const sha = cell.assertCommitted(turn, ['.gitignore', 'debug.log', 'gone.txt']);
      assert.equal(cell.git('show', `${sha}:gone.txt`), 'to be deleted\nmore');
    }),
  );

  example('a filter that refuses a file: the commit is held with its words, the work is kept', () =>
    inCell('plain', async (cell) => {
      git(cell.made.open, 'config', 'filter.strict.clean', 'echo "no key" >&2; exit 1');
      git(cell.made.open, 'config', 'filter.strict.required', 'true');
      const turn = await cell.completed({ prompt: 'echo "*.key filter=strict" > .gitattributes; echo secret > a.key' });
      cell.assertHeld(turn, 'refused', /no key|filter/);
      cell.assertKept(turn, ['.gitattributes', 'a.key']);
      git(cell.made.open, 'config', 'filter.strict.clean', 'cat');
      await (await cell.owner()).work.commit(turn.id);
      cell.assertCommitted(turn, ['.gitattributes', 'a.key']);
    }),
  );
});

describe('git: environments and configurations', () => {
  afterEach(removeTemporaryFolders);

  example('who wrote another commit, from a VS Code that `git commit` started as its editor, is not who writes ours', () =>
    inCell('plain', async (cell) => {
      cell.setEnvironment({
        GIT_AUTHOR_NAME: 'Mallory',
        GIT_AUTHOR_EMAIL: 'mallory@example.com',
        GIT_AUTHOR_DATE: '@1000000000 +0000',
        GIT_EDITOR: 'false',
        GIT_EXEC_PATH: git(cell.made.open, '--exec-path'),
      });
      const turn = await cell.completed({ prompt: 'echo 1 > one.txt' });
      const sha = cell.assertCommitted(turn, ['one.txt']);
      assert.equal(cell.git('log', '-1', '--format=%an', sha), 'Ada');
      assert.notEqual(cell.git('log', '-1', '--format=%at', sha), '1000000000');
    }),
  );

  example('a name and address that the user sets in the environment are theirs', () =>
    inCell('plain', async (cell) => {
      cell.setEnvironment({ GIT_AUTHOR_NAME: 'Grace', GIT_AUTHOR_EMAIL: 'grace@example.com' });
      const sha = cell.assertCommitted(await cell.completed({ prompt: 'echo 1 > one.txt' }), ['one.txt']);
      assert.equal(cell.git('log', '-1', '--format=%an %ae', sha), 'Grace grace@example.com');
    }),
  );

  example('a trace of git’s that is on says nothing that we take for an answer', () =>
    inCell('plain', async (cell) => {
      cell.setEnvironment({ GIT_TRACE: '1', GIT_TRACE_SETUP: '2', GIT_CURL_VERBOSE: '1' });
      cell.assertCommitted(await cell.completed({ prompt: 'echo 1 > one.txt' }), ['one.txt']);
    }),
  );

  example('a title that begins like a comment or an option is the title', () =>
    inCell('plain', async (cell) => {
      for (const [index, title] of ['# 12: the title', '--amend', '-m x'].entries()) {
        const sha = cell.assertCommitted(await cell.completed({ title, prompt: `echo ${index} > ${index}.txt` }), [
          `${index}.txt`,
        ]);
        assert.equal(cell.git('log', '-1', '--format=%s', sha), title);
      }
      assert.equal(cell.git('rev-list', '--count', 'main..HEAD'), '3');
    }),
  );

  example('an agent’s question beside its work: the commit waits for the answer, and has all of it', () =>
    inCell(
      'plain',
      async (cell) => {
        const ids = await cell.queue({ prompt: 'write one.txt 1\nask Go on\nwrite two.txt 2' });
        await cell.until(() => cell.turn(ids).permission !== null, 'it asks');
        (await cell.owner()).dispatcher.respond(cell.turn(ids).permission?.id ?? '', 'yes');
        cell.assertCommitted(await cell.ended(ids), ['one.txt', 'two.txt']);
      },
      { agents: { test: testAgent }, defaultAgent: 'test' },
    ),
  );

  example('two windows with a storage each on one branch: each turn’s commit has its own work alone', () =>
    inCell('plain', async (cell) => {
      const first = await cell.completed({ prompt: 'echo 1 > one.txt' });
      cell.assertCommitted(first, ['one.txt']);
      writeFileSync(join(cell.worktree, 'by hand.txt'), 'x\n'); // Somebody works in it besides.
      cell.assertCommitted(await cell.completed({ prompt: 'echo 2 > two.txt' }), ['two.txt']);
      assert.deepEqual(cell.uncommitted(), ['by hand.txt']);
    }),
  );
});

describe('git: what stands where a file was', () => {
  afterEach(removeTemporaryFolders);

  example('a pipe that nobody writes to: nothing waits for it, it is told, and the rest is kept', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ prompt: 'rm README.md; mkfifo README.md; echo 1 > one.txt' });
      const { paths } = cell.assertHeld(turn, 'unreadable');
      assert.deepEqual(paths, ['README.md']);
      cell.assertKept(turn, ['one.txt']);
      rmSync(join(cell.worktree, 'README.md'));
      cell.git('checkout', '--quiet', 'README.md');
      await (await cell.owner()).work.commit(turn.id);
      cell.assertCommitted(turn, ['one.txt']);
    }),
  );

  const staged = 'echo n > n.txt; git add n.txt';
  for (const [what, prompt, paths] of [
    ['a link in place of a folder', 'rm -r a; ln -s b a', ['a', 'a/one.txt']],
    [
      'a link out of the worktree, to a folder with a file of the same name',
      'mkdir ../outside; echo outside > ../outside/one.txt; rm -r a; ln -s ../../outside a',
      ['a', 'a/one.txt'],
    ],
    ['a folder in place of a file', 'rm shared.txt; mkdir shared.txt; echo 1 > shared.txt/one', ['shared.txt', 'shared.txt/one']],
    ['a file in place of a folder', 'rm -r a; echo 1 > a', ['a', 'a/one.txt']],
    [
      'a file that is ignored from now on, and stays',
      'git rm --quiet --cached shared.txt; echo shared.txt >> .gitignore',
      ['.gitignore', 'shared.txt'],
    ],
  ] as const) {
    example(`${what} is committed`, () =>
      inCell('plain', async (cell) => {
        cell.assertCommitted(await cell.completed({ prompt }), paths);
      }),
    );

    example(`${what} is committed beside what a note has staged`, () =>
      inCell('plain', async (cell) => {
        await cell.completed({ kind: 'note', prompt: staged });
        cell.assertCommitted(await cell.completed({ prompt }), paths);
        assert.equal(cell.git('status', '--porcelain'), 'A  n.txt');
      }),
    );
  }

  for (const kind of ['unborn', 'sparse', 'split index, caches on'])
    example(`what a note has staged stays out of the next commit: ${kind}`, () =>
      inCell(kind, async (cell) => {
        await cell.completed({ kind: 'note', prompt: staged });
        const { script: more, paths } = cell.also('x');
        cell.assertCommitted(await cell.completed({ prompt: `echo 1 > one.txt; ${more}` }), ['one.txt', ...paths]);
        assert.match(cell.git('status', '--porcelain'), /^A {2}n\.txt$/m);
      }),
    );

  example('what a note has staged is in no commit that a hook’s changes are taken into', () =>
    inCell('plain', async (cell) => {
      await cell.completed({ kind: 'note', prompt: staged });
      hook(cell, 'pre-commit', 'grep -q formatted one.txt || echo formatted >> one.txt');
      cell.assertCommitted(await cell.completed({ prompt: 'echo 1 > one.txt' }), ['one.txt']);
      assert.equal(cell.git('show', 'HEAD:one.txt'), '1\nformatted');
      assert.equal(cell.git('status', '--porcelain'), 'A  n.txt');
    }),
  );

  example('a new file that vanishes while the work is looked at holds nothing', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ kind: 'note', prompt: 'echo 1 > one.txt; echo 2 > two.txt' });
      const folder = new Git(cell.worktree);
      const { changed } = await worktreeState(folder);
      rmSync(join(cell.worktree, 'two.txt'));
      assert.deepEqual(await stage(folder, changed, { raw: false }), []);
      assert.equal(cell.git('status', '--porcelain'), 'A  one.txt');
      assert.ok(turn.work?.ref);
    }),
  );
});

describe('git: going back, in states that nobody thought of', () => {
  afterEach(removeTemporaryFolders);

  example('a file that is ignored by now is not written over', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({
        prompt: 'git rm --quiet --cached shared.txt; echo shared.txt >> .gitignore; echo precious > shared.txt',
      });
      const { work } = await cell.owner();
      await assert.rejects(work.restore(turn.id), /write over .*shared\.txt/);
      assert.equal(inWorktree(cell, 'shared.txt'), 'precious\n');
      rmSync(join(cell.worktree, 'shared.txt'));
      await work.restore(turn.id);
      assert.equal(inWorktree(cell, 'shared.txt'), 'one\ntwo\nthree\n');
    }),
  );

  example('nor is one by a discard', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({
        kind: 'note',
        prompt: 'git rm --quiet --cached shared.txt; echo shared.txt >> .gitignore; echo precious > shared.txt',
      });
      const { work } = await cell.owner();
      assert.deepEqual(await work.discard(turn.id), { discarded: ['.gitignore'], kept: ['shared.txt'] });
      assert.equal(inWorktree(cell, 'shared.txt'), 'precious\n');
    }),
  );

  example('a folder with something ignored in it does not make room for the file that it replaced', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({
        prompt: 'rm shared.txt; mkdir shared.txt; echo 1 > shared.txt/one; echo precious > shared.txt/x.log',
      });
      const { work } = await cell.owner();
      await assert.rejects(work.restore(turn.id), /write over .*shared\.txt/);
      assert.equal(inWorktree(cell, 'shared.txt/x.log'), 'precious\n');
      rmSync(join(cell.worktree, 'shared.txt/x.log'));
      await work.restore(turn.id);
      assert.equal(inWorktree(cell, 'shared.txt'), 'one\ntwo\nthree\n');
    }),
  );

  example('on another branch nothing is written: it says how to get back', () =>
    inCell('plain', async (cell) => {
      cell.ownBranches.push('elsewhere');
      const turn = await cell.completed({ prompt: 'echo 1 > one.txt; git switch --quiet -c elsewhere; echo more >> README.md' });
      cell.assertHeld(turn, 'left');
      const before = cell.uncommitted();
      const { work } = await cell.owner();
      await assert.rejects(work.restore(turn.id), /on the branch "elsewhere" instead of "b"/);
      assert.deepEqual(cell.uncommitted(), before);
      cell.git('switch', '--quiet', 'b');
      await work.restore(turn.id);
      assert.deepEqual(cell.uncommitted(), []);
    }),
  );

  const inConflict = (cell: Cell) => cell.completed({ prompt: `${twoSides(cell)}\ngit merge side || true` });

  example('a discard keeps what was solved by hand in the operation that it aborts', () =>
    inCell('plain', async (cell) => {
      const turn = await inConflict(cell);
      writeFileSync(join(cell.worktree, 'shared.txt'), 'solved by hand\n');
      await (await cell.owner()).work.discard(turn.id);
      assert.equal(inWorktree(cell, 'shared.txt'), 'ours\n');
      const ref = `refs/branchline/discarded/${turn.id}`;
      const kept = git(cell.made.open, 'rev-list', ref).split('\n');
      assert.ok(kept.some((sha) => git(cell.made.open, 'show', `${sha}:shared.txt`) === 'solved by hand'));
    }),
  );

  example('a discard aborts no operation that was begun after it', () =>
    inCell('plain', async (cell) => {
      const turn = await inConflict(cell);
      cell.git('merge', '--abort');
      cell.ownBranches.push('third');
      cell.git('switch', '--quiet', '-c', 'third', 'side');
      writeFileSync(join(cell.worktree, 'shared.txt'), 'third\n');
      cell.git('commit', '--quiet', '--all', '--message', 'Third');
      cell.git('switch', '--quiet', 'b');
      assert.throws(() => cell.git('merge', '--quiet', 'third'));
      await (await cell.owner()).work.discard(turn.id);
      assert.match(cell.git('rev-parse', '--verify', 'MERGE_HEAD'), /^[0-9a-f]{40}$/, 'it is under way still');
    }),
  );

  example('a hook that refuses the commit which undoes others is told, and the files are back', () =>
    inCell('plain', async (cell) => {
      const turn = await cell.completed({ prompt: 'echo more >> README.md' });
      hook(cell, 'pre-commit', 'echo not on a Friday >&2; exit 1');
      const done = await (await cell.owner()).work.restore(turn.id);
      assert.equal(done.sha, undefined);
      assert.match(done.held ?? '', /not on a Friday/);
      assert.deepEqual(cell.uncommitted(), ['README.md']);
    }),
  );

  example('a discard after the operation was aborted by hand', () =>
    inCell('plain', async (cell) => {
      const turn = await inConflict(cell);
      cell.git('merge', '--abort');
      await (await cell.owner()).work.discard(turn.id);
      assert.equal(cell.turn({ turnId: turn.id }).commit, null);
      assert.equal(cell.branch.paused, 'no');
    }),
  );
});

describe('git: names that mean something to git', () => {
  afterEach(removeTemporaryFolders);

  example('a file called HEAD', () =>
    inCell('plain', async (cell) => {
      cell.assertCommitted(await cell.completed({ prompt: 'echo 1 > HEAD' }), ['HEAD']);
      await cell.completed({ kind: 'note', prompt: 'echo n > n.txt; git add n.txt' });
      const turn = await cell.completed({ prompt: 'echo 2 > HEAD' });
      cell.assertCommitted(turn, ['HEAD']);
      const { removal } = await cell.owner();
      const { uncommitted, unmerged } = await removal.atRisk(turn.branchId);
      assert.deepEqual([uncommitted, unmerged], [['n.txt'], 2]);
    }),
  );
});

describe('git: what a removal counts that no status shows', () => {
  afterEach(removeTemporaryFolders);
  const identity = '-c user.name=Gen -c user.email=gen@example.com';
  const counted = (what: string, kind: string, prompt: string, message: RegExp) =>
    example(what, () =>
      inCell(kind, async (cell) => {
        const turn = await cell.completed({ prompt });
        await assert.rejects((await cell.owner()).removal.remove(turn.branchId, false), message);
      }),
    );

  for (const flag of ['--assume-unchanged', '--skip-worktree'])
    counted(
      `a change to a file with ${flag}`,
      'plain',
      `git update-index ${flag} README.md shared.txt; echo work >> README.md`,
      /1 file has uncommitted changes, which would be lost \(README\.md\)/,
    );

  counted(
    'a repository in a folder of tracked files',
    'plain',
    `cd a; git init --quiet; git add .; git ${identity} commit --quiet -m Made`,
    /a is a repository of its own with 1 commit that is nowhere else/,
  );

  counted(
    'an ignored file in a repository inside that has all else elsewhere',
    'plain',
    "git clone --quiet . inner; echo '*.key' > inner/.git/info/exclude; echo precious > inner/my.key",
    /1 ignored file is only here.*inner\/my\.key/,
  );

  counted(
    'an ignored file in a submodule',
    'with a submodule',
    'cd sub; folder="$(git rev-parse --git-dir)/info"; mkdir -p "$folder"; echo "*.key" > "$folder/exclude"; echo precious > my.key',
    /1 ignored file is only here.*sub\/my\.key/,
  );

  counted(
    'a commit in a submodule that is not checked out any more',
    'with a submodule',
    `(cd sub; echo x >> README.md; git ${identity} commit --quiet --all -m Inside)
git add sub; git commit --quiet -m Inside; git submodule --quiet deinit --force sub`,
    /sub is a repository of its own with 1 commit that is nowhere else/,
  );

  example('a submodule that was never changed and is not checked out is nobody’s work', () =>
    inCell('with a submodule', async (cell) => {
      const turn = await cell.completed({ prompt: 'git submodule --quiet deinit --force sub' });
      await (await cell.owner()).removal.remove(turn.branchId, false);
    }),
  );
});
