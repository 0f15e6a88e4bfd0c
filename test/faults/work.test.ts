/**
 * What an agent did, and whoever is killed between its end and its commit: the agent host at each point that others can see of it, the
 * git that it runs, a hook that hangs. A new engine on the storage has to find all of it, once.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hostFileSchema } from '../../src/agentHost/protocol.ts';
import { findMarked } from '../../src/platform/processes.ts';
import { heldInWords } from '../../src/sessions/words.ts';
import {
  programs,
  startEngine,
  stopEngine,
  type TestEngine,
  testAgent,
  turnState,
  until,
  untilEnded,
} from '../support/engines.ts';
import { untilSeen } from '../support/patience.ts';
import { Harms } from '../support/report.ts';
import { git, makeRepository } from '../support/repositories.ts';
import { randomFrom } from '../support/simulatedDisk.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporaryFolder.ts';
import { rounds, seed } from './rounds.ts';

/** What kind of turn it is, or what it meets. */
const scenes = ['plain', 'dirty', 'staged', 'held', 'note', 'cancelled'] as const;
type Scene = (typeof scenes)[number];

/** A part of a point's name (`stoppingHost.ts`), its number, or what a hook does: `killGit` and `hang` with the hook that does it. */
type Stop = string | number | { hook: 'pre-commit' | 'post-commit' | 'reference-transaction'; does: 'killGit' | 'hang' };

interface Case {
  scene: Scene;
  stop: Stop;
}

const namedStops: readonly Stop[] = [
  'before the entry answered',
  'after the entry answered',
  'during git add',
  'during git commit',
  'after git commit',
  { hook: 'pre-commit', does: 'hang' },
  { hook: 'pre-commit', does: 'killGit' },
  { hook: 'reference-transaction', does: 'killGit' },
  { hook: 'post-commit', does: 'hang' },
  { hook: 'post-commit', does: 'killGit' },
  'before the entry commit',
  'concluded',
  'before the entry ended',
  'after the entry ended',
];

/** Each point once, and what is told apart by the kind of turn. A short run tries some of them, others each time. */
const known: readonly Case[] = [
  ...namedStops.map((stop) => ({ scene: 'plain' as const, stop })),
  { scene: 'dirty', stop: 'before the entry answered' },
  { scene: 'dirty', stop: 'during git add' },
  { scene: 'dirty', stop: { hook: 'pre-commit', does: 'hang' } },
  { scene: 'staged', stop: { hook: 'reference-transaction', does: 'killGit' } },
  { scene: 'staged', stop: { hook: 'reference-transaction', does: 'hang' } },
  { scene: 'staged', stop: 'after git commit' },
  { scene: 'held', stop: 'after git commit' },
  { scene: 'held', stop: 'before the entry held' },
  { scene: 'note', stop: 'before the entry answered' },
  { scene: 'note', stop: 'during git update-ref' },
  { scene: 'cancelled', stop: 'after the entry answered' },
  { scene: 'cancelled', stop: 'concluded' },
];

const inShortRun = 10;
/** Turns beside each other. */
const atOnce = 5;
const points = fileURLToPath(new URL('../support/stoppingHost.ts', import.meta.url));

describe('The work of a turn, whoever is killed between the end of its agent and its commit', function () {
  this.timeout(0);
  const running: TestEngine[] = [];
  afterEach(async () => {
    for (const one of running.splice(0)) await stopEngine(one);
    removeTemporaryFolders();
  });

  it('is kept, committed once, and its prompt is sent once (invariants 2, 11, 12)', async () => {
    const harms = new Harms('lost', 'doubled', 'orphans', 'illegal', 'unexplained');
    const counts = { rounds: 0, kills: 0, completed: 0, interrupted: 0, cancelled: 0 };
    const isLong = process.env.BRANCHLINE_ROUNDS !== undefined;
    const cases = isLong ? await longRun(running) : shuffled(known, seed).slice(0, inShortRun);
    for (let round = 0; round < rounds(1); round += 1) {
      const all = isLong ? shuffled(cases, seed + round).slice(0, known.length) : cases;
      for (let first = 0; first < all.length; first += atOnce) {
        const batch = all.slice(first, first + atOnce);
        const set = new Stage(running, randomFrom(seed + round * 1_000 + first)() < 0.5);
        const lives = await set.play(batch);
        for (const life of lives) {
          const why = `seed ${seed}, ${life.scene}, ${JSON.stringify(life.stop)}`;
          const state = await set.check(life, { harms, why, goesOn: isLong || typeof life.stop === 'object' });
          counts.rounds += 1;
          if (set.cameToStop(life)) counts.kills += 1;
          if (state === 'completed' || state === 'interrupted' || state === 'cancelled') counts[state] += 1;
        }
        for (const one of running.splice(0)) await stopEngine(one);
        removeTemporaryFolders();
      }
    }
    harms.report('work of turns', counts);
  });
});

/** Every point that a host comes to, in each scene: found by letting one of each pass. */
async function longRun(running: TestEngine[]): Promise<Case[]> {
  const set = new Stage(running, true);
  const passed = await set.play(scenes.map((scene) => ({ scene, stop: 'nowhere' })));
  const found = passed.flatMap(({ scene, branch }) =>
    Array.from(set.pointsOf(branch), (_, number): Case => ({ scene, stop: number })),
  );
  for (const one of running.splice(0)) await stopEngine(one);
  removeTemporaryFolders();
  return [...found, ...known];
}

interface Judge {
  harms: Harms;
  why: string;
  /** Whether the branch is made to go on afterwards, which costs another turn. */
  goesOn: boolean;
}

interface Life extends Case {
  branch: string;
  turnId: string;
}

/** One repository with a turn on each of its branches, a window on it, and the next one. */
class Stage {
  readonly #folder = temporaryFolder();
  readonly #repository = makeRepository(this.#folder, 'repo', { 'README.md': '# Sample\n', 'tracked.txt': 'before\n' });
  readonly #running: TestEngine[];
  /** False: the window that the turns were queued in is there all the time, and finds out itself. */
  readonly #windowGoes: boolean;
  #one!: TestEngine;

  constructor(running: TestEngine[], windowGoes: boolean) {
    this.#running = running;
    this.#windowGoes = windowGoes;
    for (const name of ['stops', 'counts', 'programs', 'go', 'hooks']) mkdirSync(join(this.#folder, name));
    const wrapper = [
      `process.env.TEST_STOPS = ${JSON.stringify(join(this.#folder, 'stops'))};`,
      `require(${JSON.stringify(points)});`,
      `require(${JSON.stringify(join(programs, 'agentHost.js'))});`,
    ];
    writeFileSync(join(this.#folder, 'programs', 'package.json'), '{ "type": "commonjs" }\n');
    writeFileSync(join(this.#folder, 'programs', 'agentHost.js'), wrapper.join('\n'));
    for (const name of ['pre-commit', 'post-commit', 'reference-transaction']) this.#makeHook(name);
  }

  /** What it does is said by files that are named after the branch. */
  #makeHook(name: string): void {
    const path = join(this.#repository, '.git', 'hooks', name);
    mkdirSync(join(path, '..'), { recursive: true });
    const script = [
      '#!/bin/sh',
      // Of the branch itself, once it is written.
      ...(name === 'reference-transaction' ? ['[ "$1" = committed ] && grep -q refs/heads/ || exit 0'] : []),
      `here='${join(this.#folder, 'hooks')}'/$(git symbolic-ref --short HEAD).${name}`,
      '[ -e "$here.refuse" ] && { echo "no, thank you" >&2; exit 1; }',
      '[ -e "$here.killGit" ] && { mv "$here.killGit" "$here.here"; kill -9 $PPID; }',
      '[ -e "$here.hang" ] && { mv "$here.hang" "$here.here"; read nothing < "$here.pipe"; }',
      'exit 0',
    ];
    writeFileSync(path, `${script.join('\n')}\n`);
    chmodSync(path, 0o755);
  }

  #start(): TestEngine {
    const one = startEngine(
      this.#folder,
      this.#repository,
      { agents: { test: testAgent }, defaultAgent: 'test', maxConcurrentTurns: 20 },
      { programs: join(this.#folder, 'programs') },
    );
    this.#running.push(one);
    return one;
  }

  worktree(branch: string): string {
    return join(this.#folder, 'repo.worktrees', branch);
  }
  #hook(branch: string, name: string, what: string): string {
    return join(this.#folder, 'hooks', `${branch}.${name}.${what}`);
  }
  pointsOf(branch: string): string[] {
    return readFileSync(join(this.#folder, 'stops', `${branch}.points`), 'utf8')
      .trim()
      .split('\n');
  }

  /** Lets a turn of each case come to its stop, and a window find out what became of it. */
  async play(cases: readonly Case[]): Promise<Life[]> {
    this.#one = this.#start();
    const { engine } = this.#one;
    const { queue } = await engine.owner();
    const lives: Life[] = [];
    for (const [number, one] of cases.entries()) {
      const branch = `b${number}`;
      this.#prepare(branch, one);
      const prompt = [
        `count ${join(this.#folder, 'counts', branch)}`,
        `write own.txt the work on ${branch}`,
        'append tracked.txt after',
        `count ${join(this.#folder, 'go', `${branch}.waits`)}`,
        `wait ${join(this.#folder, 'go', branch)}`,
      ].join('\n');
      const kind = one.scene === 'note' ? 'note' : 'commit';
      lives.push({ ...one, branch, turnId: (await queue.enqueue({ branch, kind, title: `Work on ${branch}`, prompt })).turnId });
    }
    const waits = (branch: string) => existsSync(join(this.#folder, 'go', `${branch}.waits`));
    await until(
      engine,
      () => lives.every(({ branch, turnId }) => turnState(engine, turnId) === 'running' && waits(branch)),
      'all agents are at their end',
    );
    for (const life of lives) this.#arm(life);
    const pids = new Map(lives.map(({ branch, turnId }) => [branch, this.#hostPid(engine.state.turn(turnId)?.hostId)]));
    for (const { scene, turnId } of lives) if (scene === 'cancelled') await queue.cancel(turnId);
    if (this.#windowGoes) await engine.dispose();
    for (const { scene, branch } of lives) if (scene !== 'cancelled') writeFileSync(join(this.#folder, 'go', branch), '');
    await Promise.all(lives.map((life) => this.#stopped(life, pids.get(life.branch) as number)));
    if (this.#windowGoes) this.#one = this.#start();
    await this.#one.engine.owner();
    await untilEnded(this.#one.engine, ...lives.map(({ turnId }) => turnId));
    return lives;
  }

  #prepare(branch: string, { scene }: Case): void {
    if (scene === 'dirty' || scene === 'staged') {
      const path = this.worktree(branch);
      git(this.#repository, 'worktree', 'add', '--quiet', '-b', branch, path);
      writeFileSync(join(path, 'dirty.txt'), 'dirty\n');
      appendFileSync(join(path, 'README.md'), 'dirty\n');
      if (scene === 'staged') git(path, 'add', '--all');
    }
  }

  /** Done when the agent is at its end: hooks run when a worktree is made, too. */
  #arm({ branch, scene, stop }: Life): void {
    if (scene === 'held') writeFileSync(this.#hook(branch, 'pre-commit', 'refuse'), '');
    if (typeof stop !== 'object') writeFileSync(join(this.#folder, 'stops', `${branch}.stop`), String(stop));
    else {
      if (stop.does === 'hang') execFileSync('mkfifo', [this.#hook(branch, stop.hook, 'pipe')]);
      writeFileSync(this.#hook(branch, stop.hook, stop.does), '');
    }
  }

  #hostPid(hostId: string | null | undefined): number {
    const text = readFileSync(join(this.#folder, 'storage', 'hosts', `${hostId}.json`), 'utf8');
    return hostFileSchema.parse(JSON.parse(text)).pid as number;
  }

  /** Resolves when the case has come to its stop: its host has been killed, or its git. */
  async #stopped({ branch, stop }: Life, pid: number): Promise<void> {
    if (typeof stop !== 'object') {
      return untilSeen(
        () => existsSync(join(this.#folder, 'stops', `${branch}.stopped`)) || this.#isPast(branch),
        `the host of ${branch} is killed at ${stop}`,
      );
    }
    await untilSeen(() => existsSync(this.#hook(branch, stop.hook, 'here')) || this.#isPast(branch), `${stop.hook} runs`);
    if (stop.does === 'hang' && !this.#isPast(branch)) process.kill(pid, 'SIGKILL');
  }

  cameToStop({ branch, stop }: Life): boolean {
    return existsSync(
      typeof stop === 'object' ? this.#hook(branch, stop.hook, 'here') : join(this.#folder, 'stops', `${branch}.stopped`),
    );
  }

  /** The host went on to the end of the turn: it never came to the point. */
  #isPast(branch: string): boolean {
    const path = join(this.#folder, 'stops', `${branch}.points`);
    return existsSync(path) && readFileSync(path, 'utf8').includes('after the entry ended');
  }

  /** A git that was killed leaves its lock behind, and the next one says what to do about it. */
  #removeLock(branch: string): void {
    rmSync(join(this.#repository, '.git', 'worktrees', branch, 'index.lock'), { force: true });
  }

  async check({ scene, stop, branch, turnId }: Life, { harms, why, goesOn }: Judge): Promise<string | undefined> {
    const { engine } = this.#one;
    const { queue, work } = await engine.owner();
    const row = () => engine.state.turn(turnId);
    const worktree = this.worktree(branch);
    const show = (revision: string, path: string) => {
      try {
        return git(this.#repository, 'show', `${revision}:${path}`);
      } catch {
        return undefined;
      }
    };
    const changedBy = (revision: string) =>
      git(this.#repository, 'diff-tree', '--root', '-r', '--no-commit-id', '--name-only', revision);
    const commits = () => git(this.#repository, 'rev-list', `main..${branch}`).split('\n').filter(Boolean);
    const isKept = () =>
      [branch, `refs/branchline/turns/${turnId}`].some(
        (where) => show(where, 'own.txt') === `the work on ${branch}` && show(where, 'tracked.txt') === 'before\nafter',
      );
    const first = row();
    const { state, commit } = first ?? {};
    harms.expect('lost', isKept(), `${why}: what the agent did is neither in a commit nor under a ref`);
    harms.expect(
      'lost',
      readFileSync(join(worktree, 'own.txt'), 'utf8') === `the work on ${branch}\n`,
      `${why}: the file itself`,
    );
    const times = readFileSync(join(this.#folder, 'counts', branch), 'utf8').split('\n').length - 1;
    harms.expect('doubled', times === 1, `${why}: the prompt was sent ${times} times`);
    harms.expect('doubled', commits().length <= 1, `${why}: ${commits().length} commits`);

    // Whoever was killed, the agent had ended: only before that is written down anywhere, nobody can know.
    const isKnown = stop !== 'before the entry answered' && !(typeof stop === 'number' && this.pointsOf(branch).length <= 1);
    const expected = scene === 'cancelled' ? 'cancelled' : isKnown ? 'completed' : 'interrupted';
    harms.expect('illegal', state === expected, `${why}: the turn is ${state}: ${first?.error?.message}`);
    if (state === 'completed' && scene !== 'note') {
      const words = heldInWords(commit ?? null, branch) ?? commit?.state ?? 'nothing';
      const mayHold = scene === 'held' || (typeof stop === 'object' && stop.does === 'killGit' && stop.hook === 'pre-commit');
      harms.expect('unexplained', commit?.state === (mayHold ? 'held' : 'made'), `${why}: ${words}`);
    }
    if (commit?.state === 'made')
      harms.expect('illegal', commits()[0] === commit.sha, `${why}: the commit that is told is not the one that was made`);
    if (commit?.state === 'held') {
      harms.expect('illegal', engine.state.branch(first?.branchId ?? '')?.paused === 'failure', `${why}: held, and not paused`);
      harms.expect('lost', first?.work?.ref !== undefined, `${why}: held, and no ref is named`);
      rmSync(this.#hook(branch, 'pre-commit', 'refuse'), { force: true });
      this.#removeLock(branch);
      await work.retry(turnId);
    }
    for (const sha of commits())
      harms.expect('illegal', changedBy(sha) === 'own.txt\ntracked.txt', `${why}: the commit has ${changedBy(sha)}`);
    if (scene === 'dirty' || scene === 'staged')
      harms.expect(
        'lost',
        show(branch, 'dirty.txt') === undefined && existsSync(join(worktree, 'dirty.txt')),
        `${why}: what was dirty`,
      );
    const isHostKilled = typeof stop !== 'object' || stop.does === 'hang';
    if (isHostKilled && first?.hostId)
      harms.expect('orphans', findMarked(first.hostId).length === 0, `${why}: processes of the host are left`);

    if (!goesOn) return state;
    // And the branch goes on: the next turn commits its own, and only that.
    this.#removeLock(branch);
    const before = commits().length;
    if (engine.state.branch(first?.branchId ?? '')?.paused !== 'no') await queue.resume(first?.branchId ?? '');
    const next = await queue.enqueue({ branch, title: 'Next', prompt: `write next.txt ${branch}` });
    await untilEnded(engine, next.turnId);
    const told = engine.state.turn(next.turnId);
    harms.expect(
      'unexplained',
      told?.commit?.state === 'made' && commits().length === before + 1 && changedBy(branch) === 'next.txt',
      `${why}: the next turn is ${told?.state} ${told?.error?.message ?? ''} ${JSON.stringify(told?.commit)}: ${changedBy(branch)}`,
    );
    harms.expect('lost', isKept(), `${why}: what the agent did, after the next turn`);
    return state;
  }
}

function shuffled<T>(list: readonly T[], by: number): T[] {
  const random = randomFrom(by);
  return list
    .map((one) => ({ one, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
}
