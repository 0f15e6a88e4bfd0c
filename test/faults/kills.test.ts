import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startEngine, stopEngine, testAgent, until } from '../support/engines.ts';
import { untilSeen } from '../support/patience.ts';
import { Harms } from '../support/report.ts';
import { makeRepository } from '../support/repositories.ts';
import { randomFrom } from '../support/simulatedDisk.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporaryFolder.ts';
import { readTold, wrongOrder } from '../support/told.ts';
import { rounds, seed } from './rounds.ts';

const program = fileURLToPath(new URL('../support/killedEngine.ts', import.meta.url));
/** More where there is time: what many lives have left is checked once. */
const livesOfAStorage = process.env.BRANCHLINE_ROUNDS === undefined ? 6 : 14;

/** Lets the program live for a while, counted from when it is up or from its very start, then kills it without warning. */
function live(
  folder: string,
  seedOfLife: number,
  life: number,
  { time, fromStart }: { time: number; fromStart: boolean },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, folder, String(seedOfLife), String(life)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let words = '';
    child.stderr.on('data', (text) => {
      words += text;
    });
    const kill = () => setTimeout(() => child.kill('SIGKILL'), time);
    if (fromStart) kill();
    else child.stdout.once('data', kill);
    child.on('exit', (code, signal) =>
      signal === 'SIGKILL' || code === 0 ? resolve() : reject(new Error(`The program ended with ${code}: ${words}`)),
    );
  });
}

describe('A killed extension host', function () {
  this.timeout(0);
  afterEach(removeTemporaryFolders);

  it('loses nothing, doubles nothing, leaves no orphan, and its queue goes on by itself', async () => {
    const storages = rounds(1);
    const counts = { kills: 0, accepted: 0, ran: 0, interrupted: 0 };
    const harms = new Harms('lost', 'doubled', 'orphans', 'illegal', 'unexplained');
    for (let n = 0; n < storages; n += 1) {
      const random = randomFrom(seed + n);
      const folder = temporaryFolder();
      const repository = makeRepository(folder);
      for (let life = 0; life < livesOfAStorage; life += 1) {
        const fromStart = random() < 0.2; // Some die while they open what the one before left.
        await live(folder, seed + n * 100 + life, life, {
          fromStart,
          time: fromStart ? 100 + random() * 300 : 50 + random() * 750,
        });
        counts.kills += 1;
      }
      await check(folder, repository, seed + n, counts, harms);
    }
    const { kills, ...others } = counts;
    harms.report('kills', { rounds: kills, ...others });
  });
});

async function check(
  folder: string,
  repository: string,
  of: number,
  counts: { accepted: number; ran: number; interrupted: number },
  harms: Harms,
): Promise<void> {
  const told = readTold(folder);
  const one = startEngine(folder, repository, {
    agents: { test: testAgent },
    defaultAgent: 'test',
    permissions: 'allowAll',
    onFailure: 'continue',
    maxConcurrentTurns: 4,
  });
  const { engine, problems } = one;
  try {
    const { queue, dispatcher } = await engine.owner();
    const withdrawn = new Set(told.flatMap((entry) => ('removing' in entry ? [entry.removing] : [])));
    const why = `seed ${of}`;
    for (const entry of told) if ('failed' in entry) harms.expect('unexplained', false, `${why}: ${entry.failed}`);
    harms.expect('unexplained', problems.length === 0, `${why}: ${problems.join(' ')}`);
    harms.expect('illegal', wrongOrder(told, engine) === undefined, `${why}: ${wrongOrder(told, engine)}`);
    const accepted = told.flatMap((entry) => ('accepted' in entry ? [entry] : []));
    for (const { turnId, attachments } of accepted) {
      const turn = engine.state.turn(turnId);
      harms.expect('lost', turn !== undefined || withdrawn.has(turnId), `${why}: an accepted turn`);
      if (!turn) continue;
      harms.expect('lost', turn.attachments.length === attachments, `${why}: the attachments of a turn`);
      for (const { sha256 } of turn.attachments)
        harms.expect('lost', existsSync(join(folder, 'storage', 'attachments', sha256)), `${why}: an attachment`);
    }
    // What asks for permission since an earlier life is answered; then everything has to end by itself.
    const answer = () => {
      for (const turn of engine.state.active())
        if (turn.permission) {
          try {
            dispatcher.respond(turn.permission.id, 'yes');
          } catch {
            // Answered already.
          }
        }
    };
    engine.onDidChange(answer);
    answer();
    for (const branch of engine.state.branches()) if (branch.paused !== 'no') await queue.resume(branch.id);
    await until(
      engine,
      () => Array.from(engine.state.turns()).every((turn) => !['queued', 'starting', 'running'].includes(turn.state)),
      `${why}: the queue has drained`,
    );
    for (const turn of engine.state.turns()) {
      const name = /counts\/(\S+)/.exec(turn.prompt)?.[1] ?? '';
      const path = join(folder, 'counts', name);
      const times = existsSync(path) ? readFileSync(path, 'utf8').split('\n').length - 1 : 0;
      harms.expect('doubled', times <= 1, `${why}: the prompt of ${name} was handed over ${times} times`);
      harms.expect('lost', turn.state !== 'completed' || times > 0, `${why}: ${name} is completed and never ran`);
      harms.expect(
        'illegal',
        ['completed', 'cancelled', 'interrupted'].includes(turn.state),
        `${why}: ${name} is ${turn.state}: ${turn.error?.message}`,
      );
      if (turn.state === 'interrupted') counts.interrupted += 1;
    }
    counts.accepted += accepted.length;
    counts.ran += existsSync(join(folder, 'counts')) ? readdirSync(join(folder, 'counts')).length : 0;
  } finally {
    await stopEngine(one);
  }
  await untilGone(folder, (left) => harms.expect('orphans', false, `seed ${of}: ${left}`));
}

/** Waits until no process works in the folder any more; calls `onLeft` for each that stays. */
async function untilGone(folder: string, onLeft: (command: string) => void): Promise<void> {
  await untilSeen(() => processesOf(folder).length === 0, 'no process is left').catch(() => processesOf(folder).forEach(onLeft));
}

/** Command lines of processes that work in this folder. */
function processesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return command.includes(folder) ||
          readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`BRANCHLINE_REPOSITORY=${folder}`)
          ? [command]
          : [];
      } catch {
        return [];
      }
    });
}
