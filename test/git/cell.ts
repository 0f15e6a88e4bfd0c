/** One repository of one kind with an engine on it: what operations and tests of faults share. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Owner } from '../../src/sessions/engine.ts';
import { heldInWords } from '../../src/sessions/words.ts';
import type { SessionKind, Turn } from '../../src/model/types.ts';
import type { HeldCommit } from '../../src/model/work.ts';
import type { QueuedIds } from '../../src/sessions/queue.ts';
import { startEngine, stopEngine, type TestEngine, type TestSettings, ended, until } from '../support/engines.ts';
import { git } from '../support/repositories.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { assertUntouched, nothingRuns, type Seen, see } from './invariants.ts';
import { type Also, type Kind, kindNamed, type MadeRepository, makeOf } from './kinds.ts';

export interface Order {
  kind?: SessionKind;
  title?: string;
  /** Of the shell agent: a script. */
  prompt: string;
}

export class Cell {
  readonly folder: string;
  readonly made: MadeRepository;
  /** Count for the window that is opened next. */
  settings: Partial<TestSettings>;
  #before: Seen;
  #one: TestEngine | undefined;
  readonly #environment = new Map<string, string | undefined>();
  #isMended = false;
  /** Branches that agents made in the worktree. */
  readonly ownBranches: string[] = [];

  constructor(kind: Kind, folder: string, patch: Partial<TestSettings> = {}) {
    this.folder = folder;
    this.made = makeOf(kind, folder);
    this.settings = { ...this.made.settings, ...patch };
    this.#before = see(this.made);
    this.setEnvironment(this.made.environment);
  }

  /** Of this process, as VS Code would have been started with it; taken back at the end. */
  setEnvironment(environment: NodeJS.ProcessEnv): void {
    for (const [name, value] of Object.entries(environment)) {
      if (!this.#environment.has(name)) this.#environment.set(name, process.env[name]);
      setVariable(name, value);
    }
  }

  /** The engine, started when it is first needed. */
  get one(): TestEngine {
    this.#one ??= startEngine(this.folder, this.made.open, this.settings);
    return this.#one;
  }
  get engine() {
    return this.one.engine;
  }
  owner(): Promise<Owner> {
    return this.engine.owner();
  }

  /** Mends what the repository lacks, and goes on with a branch that has nothing behind it. */
  async useAnotherBranch(): Promise<void> {
    await this.completed({ kind: 'note', prompt: 'true' });
    this.ownBranches.push(this.made.branch);
    this.made.branch = 'another';
    await this.closeWindow();
  }

  /** Ends the window; the next use of the engine is another one on the same storage. */
  async closeWindow(): Promise<void> {
    await this.#one?.engine.dispose();
    this.#one = undefined;
  }

  get branch() {
    const branch = Array.from(this.engine.state.branches()).find(({ name }) => name === this.made.branch);
    assert.ok(branch, 'the branch is in the queue');
    return branch;
  }
  get worktree(): string {
    const path = this.branch.worktreePath;
    assert.ok(path, 'the worktree is there');
    return path;
  }
  turn({ turnId }: Pick<QueuedIds, 'turnId'>): Turn {
    const turn = this.engine.state.turn(turnId);
    assert.ok(turn, 'the turn is in the queue');
    return turn;
  }
  git(...args: string[]): string {
    return git(this.worktree, ...args);
  }

  /** What the agent does in a repository of this kind besides. */
  also(label: string): Required<Also> {
    return { inner: [], ...this.made.also(label) };
  }

  async queue({ kind = 'commit', title = 'Work', prompt }: Order): Promise<QueuedIds> {
    const { queue } = await this.owner();
    const ids = await queue.enqueue({ branch: this.made.branch, kind, title, prompt });
    if (this.made.lacks && !this.#isMended) await this.#mend(ids);
    return ids;
  }

  /** A repository that lacks something says so, and goes on when it has it. */
  async #mend({ branchId }: QueuedIds): Promise<void> {
    this.#isMended = true;
    const { lacks } = this.made;
    await this.until(() => this.engine.state.branch(branchId)?.worktreeState === 'failed', 'it says what is lacking');
    assert.match(this.engine.state.branch(branchId)?.worktreeError?.message ?? '', lacks?.said ?? /./);
    lacks?.mend();
    this.#before = see(this.made);
    await (await this.owner()).queue.retryProvisioning(branchId);
  }

  async run(order: Order): Promise<Turn> {
    const ids = await this.queue(order);
    return this.ended(ids);
  }

  async ended(ids: Pick<QueuedIds, 'turnId'>): Promise<Turn> {
    await this.until(() => ended(this.engine, ids.turnId), 'the turn has ended');
    return this.turn(ids);
  }

  /** Runs a further turn of a session. */
  async followUp({ sessionId }: Pick<Turn, 'sessionId'>, prompt: string): Promise<Turn> {
    const { queue } = await this.owner();
    return this.ended(await queue.enqueueTurn(sessionId, { prompt }));
  }

  /** Runs a turn whose agent has to complete it. */
  async completed(order: Order): Promise<Turn> {
    const turn = await this.run(order);
    assert.equal(turn.state, 'completed', turn.error?.message ?? '');
    return turn;
  }

  until(condition: () => boolean, what: string): Promise<void> {
    return until(this.engine, condition, what);
  }
  untilFile(path: string): Promise<void> {
    return this.until(() => existsSync(path), `${path} is there`);
  }

  /** A path of this test that is in no repository. */
  beside(name: string): string {
    return join(this.folder, name);
  }

  /** Asserts that a turn's commit was made, on the branch, of exactly these paths, and that nothing of it is left. */
  assertCommitted(turn: Pick<Turn, 'id'>, paths: readonly string[]): string {
    const { commit, work, state, error } = this.turn({ turnId: turn.id });
    assert.equal(state, 'completed', error?.message);
    assert.equal(commit?.state, 'made', this.said(turn) ?? `nothing was committed: ${JSON.stringify(work)}`);
    const sha = commit?.state === 'made' ? commit.sha : '';
    assert.deepEqual(this.pathsOf(sha), [...paths].sort());
    assert.deepEqual(
      this.uncommitted().filter((path) => paths.includes(path)),
      [],
    );
    this.made.check(this.worktree, sha);
    return sha;
  }

  /** What a commit changed, sorted. */
  pathsOf(sha: string): string[] {
    return git(
      this.worktree,
      'diff-tree',
      '--root',
      '--no-commit-id',
      '-r',
      '-z',
      '--name-only',
      '--no-renames',
      '--ignore-submodules=none',
      sha,
    )
      .split('\0')
      .filter(Boolean)
      .sort();
  }

  /** Paths that differ from HEAD in the worktree, repositories inside left out. */
  uncommitted(): string[] {
    return git(
      this.worktree,
      'status',
      '--porcelain=v1',
      '-z',
      '--no-renames',
      '--untracked-files=all',
      '--ignore-submodules=dirty',
    )
      .split('\0')
      .flatMap((line) => (line === '' || line.endsWith('/') ? [] : [line.slice(3)]))
      .sort();
  }

  assertHeld(turn: Pick<Turn, 'id'>, why: HeldCommit['why'], said?: RegExp): HeldCommit {
    const { commit, state, error } = this.turn({ turnId: turn.id });
    assert.equal(state, 'completed', error?.message);
    assert.equal(commit?.state, 'held', JSON.stringify(commit));
    const held = commit as HeldCommit;
    assert.equal(held.why, why, this.said(turn));
    if (said) assert.match(this.said(turn) ?? '', said);
    assert.equal(this.branch.paused, 'failure', 'the line waits for a person');
    return held;
  }

  /** Why a turn's work is not committed, as a person reads it. */
  said(turn: Pick<Turn, 'id'>): string | undefined {
    return heldInWords(this.turn({ turnId: turn.id }).commit, this.made.branch);
  }

  /** Asserts that what a turn left is under its ref, as a content against the content before. */
  assertKept(turn: Pick<Turn, 'id'>, paths: readonly string[]): void {
    const { ref } = this.turn({ turnId: turn.id }).work ?? {};
    assert.ok(ref, 'the work is kept under a ref');
    const kept = git(this.made.open, 'diff-tree', '-r', '-z', '--name-only', '--no-renames', `${ref}^1`, ref);
    assert.deepEqual(kept.split('\0').filter(Boolean).sort(), [...paths].sort());
  }

  /** Ends agent hosts, whose environment is that of the time when they were started. */
  async endHosts(): Promise<void> {
    const { hosts } = await this.owner();
    await hosts.end((await hosts.take()).hostId); // The one that is kept ready, or on its way up.
    for (const client of [...hosts.all()]) await hosts.end(client.hostId);
  }

  /** What the test itself changed in the user's files is how they are from now on. */
  seeAgain(): void {
    this.#before = see(this.made);
  }

  /** Ends the engine and looks at what may not have been touched. */
  async end(): Promise<void> {
    if (this.#one) await stopEngine(this.#one);
    this.#one = undefined;
    this.takeBackEnvironment();
    await nothingRuns(this.folder);
    assertUntouched(this.made, this.#before, this.ownBranches);
  }

  /** For a test that failed: nothing is left behind, nothing more is asked. */
  async abandon(): Promise<void> {
    if (this.#one) await stopEngine(this.#one).catch(() => undefined);
    this.#one = undefined;
    this.takeBackEnvironment();
  }

  /** The environment is what it was before. */
  takeBackEnvironment(): void {
    for (const [name, value] of this.#environment) setVariable(name, value);
    this.#environment.clear();
  }
}

function setVariable(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

/** Does something in a repository of this kind, and looks afterwards at what it may not have touched. */
export async function inCell(
  kind: Kind | string,
  action: (cell: Cell) => Promise<void>,
  patch: Partial<TestSettings> = {},
): Promise<void> {
  const cell = new Cell(typeof kind === 'string' ? kindNamed(kind) : kind, temporaryFolder(), patch);
  try {
    await action(cell);
    await cell.end();
  } finally {
    await cell.abandon();
  }
}
