/**
 * What the system tells of its processes, and which of them belong to a run. Pure: each platform's words come in as they are,
 * so that all three are understood (and tested) on any of them.
 */

/** The environment variable that marks what we start. */
export const markVariable = 'BRANCHLINE_RUN';

export interface ProcessIdentity {
  pid: number;
  /** Opaque; equal for the same process only. */
  startTime: string;
}

export interface ProcessEntry extends ProcessIdentity {
  parent: number;
  /** Process group; 0 where there are none. */
  group: number;
  /** When it was started, to be compared with others of the same table only. */
  started: number;
  /** True when it carries the mark that was asked for. */
  marked: boolean;
}

/** The fields of `/proc/PID/stat` (proc(5)); undefined for a zombie, which runs nothing and ends with its parent. */
export function entryFromStat(pid: number, stat: string): ProcessEntry | undefined {
  // The command name in parentheses may hold anything; the fields after it are fixed.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, parent, group] = fields;
  const startTime = fields[19];
  if (startTime === undefined || state === 'Z' || state === 'X') return undefined;
  return { pid, startTime, parent: Number(parent), group: Number(group), started: Number(startTime), marked: false };
}

/** What is asked of `ps`; the time of start is in the zone and language of its environment, so those are fixed (`psEnvironment`). */
export const psFields = 'pid=,ppid=,pgid=,stat=,lstart=';
export const psEnvironment = { TZ: 'UTC', LC_ALL: 'C', LANG: 'C' };

const psLine = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\w{3}\s+\w{3}\s+\d+\s+[\d:]+\s+\d{4})(?:\s+(.*))?$/;

/** The lines of `ps -o psFields[,command=]`; with -E the environment stands behind the command. Zombies are left out. */
export function entriesFromPs(output: string, isMarked: (command: string) => boolean = () => false): ProcessEntry[] {
  return output.split('\n').flatMap((line) => {
    const [, pid, parent, group, state, start, command = ''] = psLine.exec(line) ?? [];
    if (start === undefined || state?.startsWith('Z')) return [];
    const startTime = start.replace(/\s+/g, ' ');
    return [
      {
        pid: Number(pid),
        startTime,
        parent: Number(parent),
        group: Number(group),
        started: Date.parse(`${startTime} UTC`),
        marked: isMarked(command),
      },
    ];
  });
}

/** A PowerShell script whose output `entriesFromPowerShell` reads: one line each, `pid parent start command line`. */
export const powerShellScript = (filter = ''): string =>
  `[Console]::OutputEncoding = [Text.Encoding]::UTF8; Get-CimInstance Win32_Process${filter ? ` -Filter '${filter}'` : ''} -Property ProcessId,ParentProcessId,CreationDate,CommandLine | ForEach-Object { if ($_.CreationDate) { '{0} {1} {2} {3}' -f $_.ProcessId, $_.ParentProcessId, $_.CreationDate.ToFileTimeUtc(), ($_.CommandLine -replace '\\s+', ' ') } }`;

export function entriesFromPowerShell(output: string, isMarked: (command: string) => boolean = () => false): ProcessEntry[] {
  return output.split(/\r?\n/).flatMap((line) => {
    const [, pid, parent, startTime, command = ''] = /^(\d+) (\d+) (\d+) ?(.*)$/.exec(line.trim()) ?? [];
    if (startTime === undefined) return [];
    return [
      {
        pid: Number(pid),
        startTime,
        parent: Number(parent),
        group: 0,
        started: Number(startTime),
        marked: isMarked(command),
      },
    ];
  });
}

export interface Wanted {
  /** Ended with its group and all that descends from it. A bare number is a child of `self`. */
  leader?: number | ProcessIdentity | undefined;
  /** Found before; they still belong to the run when their parent is gone. */
  known?: readonly ProcessIdentity[];
  /** Never chosen: who asks. */
  self: number;
}

/**
 * The processes of a run: those with its mark, its leader, the leader's group, those found before, and all that descends from any of
 * them. A process that only has the pid of an earlier one is not taken for it.
 */
export function belonging(entries: readonly ProcessEntry[], { leader, known = [], self }: Wanted): ProcessEntry[] {
  const byPid = new Map(entries.map((entry) => [entry.pid, entry]));
  const chosen = new Map<number, ProcessEntry>();
  const isOne = (entry: ProcessEntry | undefined, identity: ProcessIdentity) => entry?.startTime === identity.startTime;
  const add = (entry: ProcessEntry | undefined) => {
    if (entry && entry.pid !== self) chosen.set(entry.pid, entry);
  };
  for (const entry of entries) if (entry.marked) add(entry);
  for (const identity of known) {
    const entry = byPid.get(identity.pid);
    if (isOne(entry, identity)) add(entry);
  }
  /** Who is gone but may have children that still name it (Windows tells of no new parent). */
  const gone = new Map<number, { started: number; until: number }>();
  if (leader !== undefined) {
    const pid = typeof leader === 'number' ? leader : leader.pid;
    const entry = byPid.get(pid);
    // Without a time of start it must be a child of who asks: a pid is not used again before its parent has heard of the end.
    const isLeader = typeof leader === 'number' ? entry?.parent === self || entry?.marked === true : isOne(entry, leader);
    if (isLeader) add(entry);
    // A group's number is not used again as long as one of it lives.
    if (isLeader || !entry) for (const other of entries) if (other.group === pid && pid !== 0) add(other);
    if (typeof leader !== 'number' && !isOne(entry, leader) && /^\d+$/.test(leader.startTime))
      gone.set(pid, { started: Number(leader.startTime), until: entry?.started ?? Number.POSITIVE_INFINITY });
  }
  for (let grew = true; grew; ) {
    grew = false;
    for (const entry of entries) {
      if (chosen.has(entry.pid) || entry.pid === self) continue;
      const parent = chosen.get(entry.parent);
      const before = gone.get(entry.parent);
      const descends =
        // Where there are groups the system keeps the parent true; elsewhere it may be a number that was used again since.
        (parent !== undefined && (entry.group !== 0 || entry.started >= parent.started)) ||
        (before !== undefined && entry.started >= before.started && entry.started < before.until);
      if (!descends) continue;
      chosen.set(entry.pid, entry);
      grew = true;
    }
  }
  return [...chosen.values()];
}
