/**
 * Processes by identity: a pid alone can be reused, so it always goes with the time the process was started.
 *
 * Everything we start that may start more carries a mark in its environment, which its descendants inherit; so a process
 * that left its group or lost its parent is still found on Linux. macOS hides the environment of its own programs, and Windows
 * that of all, so everywhere the tree below the leader (and below what is marked) is ended, too.
 */
import { execFileSync, type ExecFileSyncOptionsWithStringEncoding } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import {
  belonging,
  entriesFromPowerShell,
  entriesFromPs,
  entryFromStat,
  markVariable,
  powerShellScript,
  type ProcessEntry,
  type ProcessIdentity,
  psEnvironment,
  psFields,
} from './processTable.ts';
import { powerShell, type System, systemProgram, startTimeIn, tableOf, thisSystem } from './system.ts';

export { markVariable, type ProcessIdentity } from './processTable.ts';

/**
 * When the process was started, as an opaque text; undefined when there is no such process (a zombie counts as gone).
 * It blocks where another program has to be asked (all but Linux): `identityOf` does not.
 */
export function startTimeOf(pid: number): string | undefined {
  const quietly: ExecFileSyncOptionsWithStringEncoding = {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    windowsHide: true,
  };
  try {
    if (process.platform === 'linux') return entryFromStat(pid, readFileSync(`/proc/${pid}/stat`, 'latin1'))?.startTime;
    if (process.platform === 'win32')
      return entriesFromPowerShell(
        execFileSync(
          powerShell(process.env),
          ['-NoProfile', '-NonInteractive', '-Command', powerShellScript(`ProcessId = ${pid}`)],
          quietly,
        ),
      )[0]?.startTime;
    return entriesFromPs(
      execFileSync('ps', ['-o', psFields, '-p', String(pid)], { ...quietly, env: { ...process.env, ...psEnvironment } }),
    )[0]?.startTime;
  } catch {
    return undefined;
  }
}

/** Blocks as `startTimeOf` does; `livesStill` does not. */
export function isAlive(identity: ProcessIdentity): boolean {
  return startTimeOf(identity.pid) === identity.startTime;
}

/**
 * The process that has this pid now, told apart from any other that had it or will; undefined when there is none. Rejects when the
 * system does not answer.
 */
export async function identityOf(pid: number, system: System = thisSystem): Promise<ProcessIdentity | undefined> {
  const startTime = await startTimeIn(system, pid);
  return startTime === undefined ? undefined : { pid, startTime };
}

/** Rejects when the system does not answer. */
export async function livesStill(identity: ProcessIdentity, system: System = thisSystem): Promise<boolean> {
  return (await startTimeIn(system, identity.pid)) === identity.startTime;
}

/** Pids of the processes whose mark starts with `mark`, this process left out. It blocks; `endMarked` does not. */
export function findMarked(mark: string): number[] {
  const wanted = `${markVariable}=${mark}`;
  if (process.platform === 'linux') {
    return readdirSync('/proc').flatMap((name) => {
      const pid = Number(name);
      if (!Number.isInteger(pid) || pid === process.pid) return [];
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
        const found = environment.startsWith(wanted) || environment.includes(`\0${wanted}`);
        return found && startTimeOf(pid) !== undefined ? [pid] : [];
      } catch {
        return []; // Another user's, or gone.
      }
    });
  }
  if (process.platform === 'darwin') {
    const list = execFileSync('ps', ['-axEww', '-o', 'pid=,command='], { encoding: 'utf8', maxBuffer: 1 << 26 });
    return list.split('\n').flatMap((line) => {
      const pid = Number.parseInt(line, 10);
      return line.includes(` ${wanted}`) && pid !== process.pid ? [pid] : [];
    });
  }
  return [];
}

export interface EndOptions {
  /** Ended with its group and all that descends from it: a child of ours that has not been reaped, or anybody by identity. */
  leader?: number | ProcessIdentity;
  /** Ended first and by force: who would only report the end of the others as a failure. All that descends from it ends, too. */
  keeper?: ProcessIdentity;
  /** Milliseconds from asking to insisting. */
  grace?: number;
  /** Milliseconds from insisting to giving up, on what even the kernel can't end (it waits for a dead disk; it is another user's). */
  limit?: number;
}

const shortestLook = 15;
const longestLook = 150;

/**
 * Ends every process whose mark starts with `mark`, what descends from them, and the leader with its group: asks first, and after
 * `grace` insists. A stopped process is woken to hear the question, and need not be to be ended. Resolves with what could not be ended
 * within the limit; that is nothing, as a rule.
 */
export async function endMarked(mark: string, options: EndOptions = {}, system: System = thisSystem): Promise<ProcessIdentity[]> {
  const { leader, keeper, grace = 3_000, limit = 10_000 } = options;
  const started = system.now(); // A clock that jumps must not hold this up.
  const asked = new Set<string>();
  let known: ProcessEntry[] = [];
  for (let wait = shortestLook; ; wait = Math.min(wait * 2, longestLook)) {
    const whole = leader !== undefined || keeper !== undefined || known.length > 0;
    const entries = await tableOf(system, { mark, whole }).catch((error: unknown) => endBlindly(error, options, system));
    if (!entries) return [];
    const self = system.self;
    const found = new Map(belonging(entries, { leader, known, self }).map((entry) => [entry.pid, entry]));
    for (const entry of keeper ? belonging(entries, { leader: keeper, self }) : []) found.set(entry.pid, entry);
    known = [...found.values()];
    if (known.length === 0) return [];
    const elapsed = system.now() - started;
    if (elapsed > grace + limit) return known.map(({ pid, startTime }) => ({ pid, startTime }));
    const first = keeper && known.find(({ pid, startTime }) => pid === keeper.pid && startTime === keeper.startTime);
    if (first) system.signal(first.pid, 'SIGKILL');
    for (const entry of known) {
      if (entry === first) continue;
      const key = `${entry.pid} ${entry.startTime}`;
      if (elapsed > grace) system.signal(entry.pid, 'SIGKILL');
      else if (!asked.has(key)) {
        asked.add(key);
        system.signal(entry.pid, 'SIGTERM');
        system.signal(entry.pid, 'SIGCONT');
      }
    }
    await delay(wait);
  }
}

/** Where Windows does not say which processes there are (PowerShell may be forbidden), it can at least end a tree. */
async function endBlindly(error: unknown, { leader, keeper }: EndOptions, system: System): Promise<undefined> {
  if (system.platform !== 'win32') throw error;
  for (const one of [keeper, leader]) {
    const pid = typeof one === 'number' ? one : one?.pid;
    if (pid !== undefined)
      await system
        .run(systemProgram(system.environment, 'taskkill.exe'), ['/pid', String(pid), '/T', '/F'], system.environment)
        .catch(() => undefined);
  }
}

export { userEnvironment } from './environment.ts';
