/**
 * Processes by identity: a pid alone can be reused, so it always goes with the time the process was started.
 *
 * Everything we start that may start more carries a mark in its environment, which its descendants inherit; so a process
 * that left its group or lost its parent is still found. (Linux and macOS; on Windows the tree of the pid is all there is.)
 */
import { execFile, execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

export interface ProcessIdentity {
  pid: number;
  /** Opaque; equal for the same process only. */
  startTime: string;
}

/** The environment variable that marks what we start. */
export const markVariable = 'BRANCHLINE_RUN';

/** When the process was started, as an opaque text; undefined when there is no such process (a zombie counts as gone). */
export function startTimeOf(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      // The command name in parentheses may hold anything; the fields after it are fixed (proc(5)).
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
    }
    if (process.platform === 'win32') {
      const script = `(Get-Process -Id ${pid}).StartTime.Ticks`;
      return (
        execFileSync('powershell', ['-NoProfile', '-Command', script], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        }).trim() || undefined
      );
    }
    return (
      execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim() || undefined
    );
  } catch {
    return undefined;
  }
}

export function isAlive(identity: ProcessIdentity): boolean {
  return startTimeOf(identity.pid) === identity.startTime;
}

/** Pids of the processes whose mark starts with `mark`, this process left out. */
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

/**
 * Ends every process whose mark starts with `mark`, and the group of `leader` if given: asks first, and after `grace`
 * milliseconds insists. Resolves when none is left.
 */
export async function endMarked(mark: string, options: { leader?: number; grace?: number } = {}): Promise<void> {
  const { leader, grace = 3_000 } = options;
  if (process.platform === 'win32') {
    if (leader) await new Promise<void>((resolve) => execFile('taskkill', ['/pid', String(leader), '/T', '/F'], () => resolve()));
    return;
  }
  const deadline = performance.now() + grace; // A clock that jumps must not hold this up.
  for (let signal: NodeJS.Signals = 'SIGTERM'; ; ) {
    const pids = findMarked(mark);
    if (leader && groupIsAlive(leader)) send(-leader, signal);
    else if (pids.length === 0) return;
    for (const pid of pids) send(pid, signal);
    await delay(15);
    if (performance.now() > deadline) signal = 'SIGKILL';
  }
}

function groupIsAlive(leader: number): boolean {
  try {
    process.kill(-leader, 0);
  } catch {
    return false;
  }
  // A group of zombies answers, too; they end with their parent and run nothing.
  if (process.platform !== 'linux') return true;
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[2] === String(leader) && fields[0] !== 'Z' && fields[0] !== 'X';
    } catch {
      return false;
    }
  });
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already.
  }
}

export { userEnvironment } from './environment.ts';
