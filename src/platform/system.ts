/** The system that we run on, as far as processes go: a parameter, so that the ways of all three run in tests on one. */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
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

export interface System {
  platform: NodeJS.Platform;
  /** Where Linux shows its processes. */
  proc: string;
  /** Our own pid, which is never ended. */
  self: number;
  environment: NodeJS.ProcessEnv;
  /** Runs a program to its end without blocking; resolves with what it printed, rejects when it failed. */
  run(file: string, args: readonly string[], environment: NodeJS.ProcessEnv): Promise<string>;
  /** Never throws: who is gone already has what was wanted. */
  signal(pid: number, signal: NodeJS.Signals): void;
  /** Milliseconds that no clock on the wall changes. */
  now(): number;
}

/** Milliseconds for `ps` and PowerShell to answer. */
const answerLimit = 20_000;

export const thisSystem: System = {
  platform: process.platform,
  proc: '/proc',
  self: process.pid,
  environment: process.env,
  run: (file, args, environment) =>
    new Promise((resolve, reject) => {
      const options = {
        env: environment,
        maxBuffer: 1 << 28,
        timeout: answerLimit,
        killSignal: 'SIGKILL',
        windowsHide: true,
      } as const;
      execFile(file, args, options, (error, output) => (error ? reject(error) : resolve(output)));
    }),
  signal: (pid, signal) => {
    if (process.platform === 'win32' && signal !== 'SIGKILL' && signal !== 'SIGTERM') return; // It has no others.
    try {
      process.kill(pid, signal);
    } catch {
      // Gone already, or another user's.
    }
  },
  now: () => performance.now(),
};

/** Windows' own program, wherever the PATH or the folder that we are in lead. */
export function systemProgram(environment: NodeJS.ProcessEnv, name: string): string {
  const root = Object.entries(environment).find(([key]) => key.toLowerCase() === 'systemroot')?.[1] ?? 'C:\\Windows';
  return `${root}\\System32\\${name}`;
}
export const powerShell = (environment: NodeJS.ProcessEnv): string =>
  systemProgram(environment, 'WindowsPowerShell\\v1.0\\powershell.exe');

const isLinux = ({ platform }: System) => platform === 'linux' || platform === 'android';

/**
 * When the process was started, as an opaque text; undefined when there is no such process. Rejects when the system does not answer:
 * that is no "no".
 */
export async function startTimeIn(system: System, pid: number): Promise<string | undefined> {
  try {
    if (isLinux(system)) return entryFromStat(pid, await readFile(join(system.proc, String(pid), 'stat'), 'latin1'))?.startTime;
    if (system.platform === 'win32') return (await askPowerShell(system, `ProcessId = ${pid}`))[0]?.startTime;
    return (await askPs(system, ['-p', String(pid)]))[0]?.startTime;
  } catch (error) {
    // What /proc says of a process that is gone, or goes while it is read; and `ps` ends with 1 when it found none.
    const { code } = error as { code?: string | number };
    if (isLinux(system) ? code === 'ENOENT' || code === 'ESRCH' : code === 1 && system.platform !== 'win32') return undefined;
    throw error;
  }
}

/** Those of the processes that are there. Rejects when the system does not answer. */
export async function livingOf(system: System, identities: readonly ProcessIdentity[]): Promise<ReadonlySet<ProcessIdentity>> {
  const times = new Map<number, string | undefined>();
  if (isLinux(system)) for (const { pid } of identities) times.set(pid, await startTimeIn(system, pid));
  // One question for all, for it takes a program to ask it.
  else if (identities.length > 0) for (const { pid, startTime } of await tableOf(system)) times.set(pid, startTime);
  return new Set(identities.filter(({ pid, startTime }) => times.get(pid) === startTime));
}

/** What is looked for: with `whole` every process is told of, else it may be only those with the mark. */
export interface Look {
  mark?: string;
  whole: boolean;
}

/** The processes that there are, those with the mark marked. Reads and asks without blocking. */
export async function tableOf(system: System, { mark, whole }: Look = { whole: true }): Promise<ProcessEntry[]> {
  const wanted = mark === undefined ? undefined : `${markVariable}=${mark}`;
  if (isLinux(system)) return tableOfLinux(system, wanted, whole);
  const isMarked = wanted === undefined ? undefined : (command: string) => command.includes(wanted);
  if (system.platform === 'win32') return askPowerShell(system, '', isMarked);
  if (!isMarked) return askPs(system, ['-ax']);
  // Darwin's -E shows environments, as far as it lets us see them; the others' is -e.
  return askPs(system, system.platform === 'darwin' ? ['-axEww'] : ['-axeww'], isMarked);
}

async function askPowerShell(system: System, filter: string, isMarked?: (command: string) => boolean): Promise<ProcessEntry[]> {
  const args = ['-NoProfile', '-NonInteractive', '-Command', powerShellScript(filter)];
  return entriesFromPowerShell(await system.run(powerShell(system.environment), args, system.environment), isMarked);
}

async function askPs(system: System, which: readonly string[], isMarked?: (command: string) => boolean): Promise<ProcessEntry[]> {
  const args = [...which, '-o', isMarked ? `${psFields},command=` : psFields];
  return entriesFromPs(await system.run('ps', args, { ...system.environment, ...psEnvironment }), isMarked);
}

/** How many files are asked for at once: more would make those wait who share the few threads of the process for their files. */
const besideEachOther = 8;

async function tableOfLinux(system: System, wanted: string | undefined, whole: boolean): Promise<ProcessEntry[]> {
  const pids = (await readdir(system.proc)).filter((name) => /^\d+$/.test(name)).map(Number);
  const marked = new Set<number>();
  const asked = wanted === undefined ? [] : pids;
  await each(asked, async (pid) => {
    const environment = await text(join(system.proc, String(pid), 'environ'));
    if (`\0${environment ?? ''}`.includes(`\0${wanted}`)) marked.add(pid);
  });
  if (!whole && marked.size === 0) return [];
  const entries: ProcessEntry[] = [];
  await each(pids, async (pid) => {
    const stat = await text(join(system.proc, String(pid), 'stat'));
    const entry = stat === undefined ? undefined : entryFromStat(pid, stat);
    if (entry) entries.push({ ...entry, marked: marked.has(pid) });
  });
  return entries;
}

async function each(pids: readonly number[], look: (pid: number) => Promise<void>): Promise<void> {
  const left = pids[Symbol.iterator]();
  const worker = async () => {
    for (const pid of left) await look(pid);
  };
  await Promise.all(Array.from({ length: besideEachOther }, worker));
}

/** Undefined for another user's process, and for one that is gone. */
async function text(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'latin1');
  } catch {
    return undefined;
  }
}
