/** What is done with a branch, in a repository of whatever kind, and what has to hold of it afterwards. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Session, Turn } from '../../src/model/types.ts';
import type { ChangedFile } from '../../src/git/trees.ts';
import type { QueuedIds } from '../../src/sessions/queue.ts';
import { changesOfBranch, changesOfSession, changesOfTurn } from '../../src/work/changes.ts';
import type { TestSettings } from '../support/engines.ts';
import { git } from '../support/repositories.ts';
import type { Cell } from './cell.ts';
import { untilThere } from './invariants.ts';
import { script } from './kinds.ts';

export interface Operation {
  name: string;
  run: (cell: Cell) => Promise<void>;
  /** Why a kind of repository, by its name, can't have it. */
  absent?: Readonly<Record<string, string>>;
}

/** The usual work of an agent: a change, a new file, one that goes, and one that is ignored. */
const usualWork = 'echo "more " >> README.md; mkdir -p new/deep; echo new > "new/deep/a b.txt"; rm gone.txt; echo x > debug.log';
const usualPaths = ['README.md', 'gone.txt', 'new/deep/a b.txt'];

/** Waits in a script for what the test does. */
const waitFor = (file: string): string => `while ! test -e '${file}'; do sleep 0.02; done`;

const session = (cell: Cell, turn: Turn): Session => cell.engine.state.session(turn.sessionId) as Session;

function kindsOf(files: readonly ChangedFile[]): Record<string, string> {
  return Object.fromEntries(files.filter(({ isRepository }) => !isRepository).map(({ path, kind }) => [path, kind]));
}

async function commitTurn(cell: Cell): Promise<void> {
  const also = cell.also('first');
  const turn = await cell.completed({ title: 'The first work', prompt: `${usualWork}\n${also.script}` });
  const sha = cell.assertCommitted(turn, [...usualPaths, ...also.paths]);
  assert.equal(cell.git('log', '-1', '--format=%an %s', sha), 'Ada The first work');
  assert.equal(cell.git('rev-parse', cell.made.branch), sha);
  assert.equal(cell.git('rev-parse', `${sha}^`), turn.startSha);
  assert.equal(turn.endSha, sha);
  assert.equal(turn.work?.files, usualPaths.length + also.paths.length);
  assert.deepEqual(turn.work?.inner ?? [], also.inner);
  assert.equal(turn.work?.ref, undefined, 'what a commit has needs no ref');
  assert.deepEqual(cell.uncommitted(), []);
  assert.equal(readFileSync(join(cell.worktree, 'debug.log'), 'utf8'), 'x\n');
  const again = await cell.followUp(turn, 'true');
  assert.deepEqual([again.state, again.commit], ['completed', null], 'no change, no commit');
  assert.equal(cell.git('rev-parse', 'HEAD'), sha);
}

async function noteThenCommit(cell: Cell): Promise<void> {
  const also = cell.also('later');
  const note = await cell.completed({ kind: 'note', prompt: 'echo note > note.txt; echo more >> README.md' });
  assert.equal(note.commit, null);
  cell.assertKept(note, ['README.md', 'note.txt']);
  const turn = await cell.completed({ prompt: `echo n > n.txt\n${also.script}` });
  cell.assertCommitted(turn, ['n.txt', ...also.paths]);
  assert.deepEqual(cell.uncommitted(), ['README.md', 'note.txt']);
}

async function cancelledThenCommit(cell: Cell): Promise<void> {
  const also = cell.also('later');
  const begun = cell.beside('begun');
  const ids = await cell.queue({ prompt: `echo part > part.txt; rm gone.txt; touch '${begun}'; sleep 300` });
  await cell.untilFile(begun);
  await (await cell.owner()).queue.cancel(ids.turnId);
  const cancelled = await cell.ended(ids);
  assert.equal(cancelled.state, 'cancelled');
  assert.equal(cancelled.commit, null);
  cell.assertKept(cancelled, ['gone.txt', 'part.txt']);
  const turn = await cell.completed({ prompt: `echo n > n.txt\n${also.script}` });
  cell.assertCommitted(turn, ['n.txt', ...also.paths]);
  assert.deepEqual(cell.uncommitted(), ['gone.txt', 'part.txt']);
}

/** A commit that is refused is held, with the words of who refused it; then it is made by `again`, and nothing is sent a second time. */
async function refusedThen(cell: Cell, again: (turn: Turn) => Promise<unknown>): Promise<void> {
  const also = cell.also('first');
  const prompts = cell.beside('prompts');
  cell.made.refusal.begin();
  const turn = await cell.completed({ title: 'Held', prompt: `echo x >> '${prompts}'; ${usualWork}\n${also.script}` });
  cell.assertHeld(turn, 'refused', cell.made.refusal.words);
  assert.equal(cell.git('rev-parse', 'HEAD'), turn.startSha);
  cell.assertKept(turn, [...usualPaths, ...also.paths]);
  await assert.rejects((async () => again(turn))(), cell.made.refusal.words, 'it is refused again, with the same words');
  cell.made.refusal.end();
  await again(turn);
  const sha = cell.assertCommitted(turn, [...usualPaths, ...also.paths]);
  assert.equal(cell.git('rev-parse', `${sha}^`), turn.startSha);
  assert.equal(cell.git('log', '-1', '--format=%s'), 'Held');
  assert.deepEqual([cell.turn({ turnId: turn.id }).attempt, readFileSync(prompts, 'utf8')], [1, 'x\n'], 'nothing was sent again');
  assert.equal(cell.branch.paused, 'no');
  assert.deepEqual(cell.uncommitted(), []);
}

async function openChanges(cell: Cell): Promise<void> {
  const also = cell.also('first');
  const [begun, go] = [cell.beside('begun'), cell.beside('go')];
  const expected = {
    'README.md': 'changed',
    'gone.txt': 'deleted',
    'new/deep/a b.txt': 'added',
  };
  const ids = await cell.queue({ prompt: `${usualWork}\n${also.script}\ntouch '${begun}'; ${waitFor(go)}` });
  await cell.untilFile(begun);
  await cell.until(() => cell.turn(ids).state === 'running', 'the window has heard that it runs');
  const running = cell.turn(ids);
  const found = kindsOf((await changesOfTurn(cell.branch, session(cell, running), running)).files);
  assert.deepEqual(Object.keys(found).sort(), [...usualPaths, ...also.paths].sort(), 'while it runs, new files included');
  for (const [path, kind] of Object.entries(expected)) assert.equal(found[path], kind);
  writeFileSync(go, '');
  const turn = await cell.ended(ids);
  cell.assertCommitted(turn, [...usualPaths, ...also.paths]);
  assert.deepEqual(kindsOf((await changesOfTurn(cell.branch, session(cell, turn), turn)).files), found, 'after it');
  const note = await cell.completed({ kind: 'note', prompt: 'echo left > left.txt' });
  assert.deepEqual(kindsOf((await changesOfTurn(cell.branch, session(cell, note), note)).files), { 'left.txt': 'added' });
  assert.deepEqual(kindsOf((await changesOfSession(cell.branch, session(cell, turn), [turn])).files), found);
  assert.deepEqual(kindsOf((await changesOfBranch(cell.branch)).files), { ...found, 'left.txt': 'added' });
}

async function discard(cell: Cell): Promise<void> {
  const also = cell.also('first');
  await cell.completed({ kind: 'note', prompt: 'echo kept > kept.txt' });
  const inWorktree = (path: string) => readFileSync(join(cell.worktree, path), 'utf8');
  const [readme, gone] = [inWorktree('README.md'), inWorktree('gone.txt')];
  const note = await cell.completed({ kind: 'note', prompt: `${usualWork}\n${also.script}` });
  const { work } = await cell.owner();
  const { discarded, kept } = await work.discard(note.id);
  assert.deepEqual(discarded.sort(), [...usualPaths, ...also.paths].sort());
  assert.deepEqual(kept, []);
  assert.deepEqual(cell.uncommitted(), ['kept.txt'], 'what was there before is there still');
  assert.deepEqual([inWorktree('README.md'), inWorktree('gone.txt'), inWorktree('kept.txt')], [readme, gone, 'kept\n']);
  assert.ok(!existsSync(join(cell.worktree, 'new')));
  assert.equal(inWorktree('debug.log'), 'x\n', 'ignored files are nobody’s work');
  const ref = `refs/branchline/discarded/${note.id}`;
  assert.equal(git(cell.made.open, 'show', `${ref}:new/deep/a b.txt`), 'new', 'it can still be found');
  assert.equal(cell.turn({ turnId: note.id }).work?.ref, undefined);
}

async function restore(cell: Cell): Promise<void> {
  const also = cell.also('second');
  const first = await cell.completed({ title: 'One', prompt: 'echo one > one.txt; echo one >> README.md' });
  const firstSha = cell.assertCommitted(first, ['README.md', 'one.txt']);
  const files = () => cell.git('ls-tree', '-r', 'HEAD');
  const before = files();
  const second = await cell.followUp(first, `${usualWork}; rm one.txt\n${also.script}`);
  const secondSha = cell.assertCommitted(second, [...usualPaths, 'one.txt', ...also.paths]);
  const after = files();
  const { work } = await cell.owner();
  const plan = await work.planRestore(second.id);
  const paths = [...usualPaths, 'one.txt', ...also.paths].sort();
  assert.deepEqual(plan.files.flatMap(({ path, isRepository }) => (isRepository ? [] : [path])).sort(), paths);
  assert.deepEqual(
    plan.turns.map(({ id }) => id),
    [second.id],
  );
  const { undo, sha } = await work.restore(second.id);
  assert.ok(sha, 'what was committed is undone by a commit');
  assert.equal(files(), before);
  assert.deepEqual(cell.uncommitted(), []);
  assert.equal(cell.git('rev-parse', `${sha}^`), secondSha, 'the history stays');
  assert.equal(cell.git('rev-parse', `${sha}^^`), firstSha);
  await work.restoreTree(second.id, undo);
  assert.equal(files(), after);
  assert.deepEqual(cell.uncommitted(), []);
}

async function removeClean(cell: Cell): Promise<void> {
  const turn = await cell.completed({ prompt: 'echo n > n.txt' });
  const sha = cell.assertCommitted(turn, ['n.txt']);
  const { worktree } = cell;
  const { removal } = await cell.owner();
  await removal.remove(turn.branchId, false);
  assert.ok(!existsSync(worktree));
  assert.ok(!git(cell.made.open, 'worktree', 'list').includes(worktree));
  assert.equal(git(cell.made.open, 'rev-parse', cell.made.branch), sha, 'the branch stays');
  assert.equal(cell.branch.worktreeState, 'removed');
}

async function removeWithLoss(cell: Cell): Promise<void> {
  const also = cell.also('mine');
  const turn = await cell.completed({ kind: 'note', prompt: `echo mine > "my file.txt"\n${also.script}` });
  const { worktree } = cell;
  const { removal } = await cell.owner();
  await assert.rejects(removal.remove(turn.branchId, false), (error: Error) => {
    assert.match(error.message, /uncommitted changes, which would be lost \(.*my file\.txt/s);
    for (const path of also.inner) assert.ok(error.message.includes(`${path} is a repository of its own`), error.message);
    return true;
  });
  assert.equal(readFileSync(join(worktree, 'my file.txt'), 'utf8'), 'mine\n');
  assert.equal(cell.branch.worktreeState, 'ready');
  await removal.remove(turn.branchId, true);
  assert.ok(!existsSync(worktree));
  const kept = cell.turn({ turnId: turn.id }).work?.ref ?? '';
  assert.equal(git(cell.made.open, 'show', `${kept}:my file.txt`), 'mine', 'what a turn left is under its ref still');
}

async function conflict(cell: Cell): Promise<void> {
  const { branch } = cell.made;
  cell.ownBranches.push('side');
  const also = cell.also('first');
  const commit = (text: string) => `echo ${text} > shared.txt; git commit --quiet --all --message "${text}"`;
  const turn = await cell.completed({
    prompt: [
      `git switch --quiet -c side; ${commit('theirs')}`,
      `git switch --quiet '${branch}'; ${commit('ours')}`,
      'git merge side || true',
    ].join('\n'),
  });
  const held = cell.assertHeld(turn, 'operation', /a merge is unfinished, in conflict: shared\.txt/);
  assert.deepEqual([held.operation, held.paths], ['merge', ['shared.txt']]);
  const ours = cell.git('rev-parse', 'HEAD');
  assert.equal(cell.git('log', '-1', '--format=%s'), 'ours', 'nothing was committed');
  const { queue } = await cell.owner();
  const ids = await queue.enqueueTurn(turn.sessionId, {
    prompt: `printf 'solved\\n' > shared.txt\n${also.script}`,
    mends: turn.id,
  });
  const mended = await cell.ended(ids);
  assert.equal(mended.state, 'completed', mended.error?.message);
  assert.equal(mended.commit?.state, 'made', cell.said(mended));
  assert.deepEqual(cell.git('log', '-1', '--format=%P').split(' '), [ours, cell.git('rev-parse', 'side')]);
  assert.equal(cell.git('show', 'HEAD:shared.txt'), 'solved');
  for (const path of also.paths) assert.notEqual(cell.git('ls-tree', 'HEAD', '--', `:(literal)${path}`), '');
  assert.deepEqual(cell.uncommitted(), []);
  assert.equal(cell.turn({ turnId: turn.id }).commit?.state, 'made', 'the turn that was held is settled by it');
}

/** Where the window is killed, and what holds it there. */
interface Crash {
  /** Arguments of the git call, a part of them. */
  at?: string;
  /** What the stand-in for git does instead; `$real` is git. */
  instead?: readonly string[];
}

/** A window is killed in the middle of a step; the next one goes on with what that has left, while its git still hangs. */
function crash({ at, instead = [] }: Crash): (cell: Cell) => Promise<void> {
  return async (cell) => {
    if (cell.made.lacks) await cell.useAnotherBranch(); // What it lacks is not what is tested here.
    const also = cell.also('first');
    const [reached, go, count, bin] = [cell.beside('reached'), cell.beside('go'), cell.beside('count'), cell.beside('hanging')];
    const hang = [`touch '${reached}'`, waitFor(go)];
    const setup = `echo setup >> '${count}'`;
    const settings = (command: string): Partial<TestSettings> => ({
      ...cell.settings,
      worktrees: {
        ...cell.settings.worktrees,
        include: ['.env'],
        setup: [...(cell.settings.worktrees?.setup ?? []), { command, wait: true, timeoutSeconds: 60 }],
      },
    });
    const environment = { ...process.env };
    if (at !== undefined) {
      script(
        join(bin, 'git'),
        `PATH=$(printf %s "$PATH" | sed 's|^${bin}:||'); export PATH`,
        'real=$(command -v git)',
        `case "$*" in *'${at}'*) ;; *) exec "$real" "$@" ;; esac`,
        ...instead,
        ...hang,
        'exec "$real" "$@"',
      );
      environment.PATH = `${bin}:${environment.PATH}`;
    }
    const source = cell.made.checkouts.at(-1);
    if (source) writeFileSync(join(source, '.env'), 'secret\n');
    const life = {
      folder: cell.folder,
      open: cell.made.open,
      settings: settings(at === undefined ? [...hang, setup].join('; ') : setup),
      order: { branch: cell.made.branch, title: 'After a crash', prompt: `echo ran >> '${count}'; ${usualWork}\n${also.script}` },
    };
    const program = fileURLToPath(new URL('dyingWindow.ts', import.meta.url));
    const window = spawn(process.execPath, [program, JSON.stringify(life)], {
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const ids = await untilQueued(window);
      await untilThere(reached);
      window.kill('SIGKILL');
      await once(window, 'exit');
      cell.settings = settings(setup);
      const turn = await cell.ended(ids);
      cell.assertCommitted(turn, [...usualPaths, ...also.paths]);
      assert.match(readFileSync(count, 'utf8'), /^(setup\n)+ran\n$/, 'setup was run, and the prompt once');
      const entries = git(cell.made.open, 'worktree', 'list', '--porcelain').split('\n');
      assert.equal(entries.filter((line) => line === `branch refs/heads/${cell.made.branch}`).length, 1, 'it has one worktree');
      assert.equal(cell.branch.adopted, false, 'which is ours');
      if (source) assert.equal(readFileSync(join(cell.worktree, '.env'), 'utf8'), 'secret\n');
      const { removal } = await cell.owner();
      await removal.remove(turn.branchId, true); // What is ignored is only there.
      assert.equal(cell.branch.worktreeState, 'removed');
    } finally {
      window.kill('SIGKILL');
      writeFileSync(go, '');
      if (source) rmSync(join(source, '.env'));
    }
  };
}

async function untilQueued(window: ChildProcess): Promise<QueuedIds> {
  let said = '';
  for await (const part of window.stdout as AsyncIterable<Buffer>) {
    said += part.toString('utf8');
    const line = /^(\{.*\})\n/m.exec(said)?.[1];
    if (line) return JSON.parse(line) as QueuedIds;
  }
  throw new Error(`The window ended early: ${said}`);
}

/** As git is killed in its checkout: an entry that is locked with a word of another language, files half there, and no index. */
const halfMade = [
  '"$real" "$@" > /dev/null 2>&1',
  'for path in "$@"; do case "$path" in /*) break ;; esac; done',
  'entry=$(sed "s/^gitdir: //" "$path/.git")',
  'rm -f "$entry/index" "$path/shared.txt"; echo initialisiere > "$entry/locked"',
];

export const operations: readonly Operation[] = [
  { name: 'commit turn', run: commitTurn },
  { name: 'note, then commit', run: noteThenCommit },
  { name: 'cancelled, then commit', run: cancelledThenCommit },
  {
    name: 'hook refuses, commit again',
    run: (cell) => refusedThen(cell, async ({ id }) => (await cell.owner()).work.commit(id)),
  },
  { name: 'hook refuses, retry', run: (cell) => refusedThen(cell, async ({ id }) => (await cell.owner()).work.retry(id)) },
  { name: 'open changes', run: openChanges },
  { name: 'discard', run: discard },
  { name: 'restore and undo', run: restore },
  { name: 'remove, clean', run: removeClean },
  { name: 'remove, with loss', run: removeWithLoss },
  { name: 'merge in conflict', run: conflict },
  { name: 'crash: base', run: crash({ at: '^{commit}' }) },
  { name: 'crash: worktree half made', run: crash({ at: 'worktree add', instead: halfMade }) },
  { name: 'crash: worktree made', run: crash({ at: 'worktree add', instead: ['"$real" "$@"'] }) },
  {
    name: 'crash: files',
    run: crash({ at: '--exclude-from' }),
    absent: { bare: 'a bare repository has no checkout to copy files from' },
  },
  { name: 'crash: setup', run: crash({}) },
];

export function operationNamed(name: string): Operation {
  const operation = operations.find((one) => one.name === name);
  if (!operation) throw new Error(`There is no operation "${name}".`);
  return operation;
}
