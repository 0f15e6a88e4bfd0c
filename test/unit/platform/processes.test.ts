import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { endMarked, identityOf, livesStill, markVariable, startTimeOf } from '../../../src/platform/processes.ts';
import {
  belonging,
  entriesFromPowerShell,
  entriesFromPs,
  entryFromStat,
  type ProcessEntry,
} from '../../../src/platform/processTable.ts';
import { livingOf, type System, tableOf, thisSystem } from '../../../src/platform/system.ts';
import { randomId } from '../../../src/model/ids.ts';
import { untilSeen } from '../../support/patience.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

/** As `ps -axEww -o pid=,ppid=,pgid=,stat=,lstart=,command=` of macOS writes them. */
const darwinOutput = `    1     0     1 Ss   Mon Sep  1 07:02:11 2025     /sbin/launchd
  501     1   501 S    Mon Sep  1 07:03:40 2025     /Applications/Visual Studio Code.app/Contents/MacOS/Electron HOME=/Users/ada
 4242     1  4242 Ss   Tue Sep  2 21:09:03 2025     node agent.js BRANCHLINE_RUN=h1 PATH=/usr/bin
 4243  4242  4242 Z    Tue Sep  2 21:09:04 2025     (sh)
 4244  4242  4242 S+   Tue Sep  2 21:09:04 2025     /bin/sh -c sleep 100
 4245  4244  4245 T    Tue Sep  2 21:09:05 2025     sleep 100
 5000   501  5000 S    Tue Sep  2 21:10:00 2025     node other.js BRANCHLINE_RUN=h2
`;

const windowsOutput = [
  '4 0 133700000000000000 ',
  '9000 4 133700000100000000 C:\\Windows\\explorer.exe',
  '7100 9000 133700000200000000 "C:\\VS Code\\Code.exe" agentHost.js hosts h1',
  '7200 7100 133700000300000000 C:\\Windows\\System32\\cmd.exe /d /s /c ""C:\\npx.cmd" "agent""',
  '7300 7200 133700000400000000 node.exe agent.js',
  // Its parent's pid was used by another process long before 7300 got it.
  '7400 7300 133700000150000000 notepad.exe',
  '',
].join('\r\n');

const pids = (entries: readonly { pid: number }[]) => entries.map(({ pid }) => pid).sort((a, b) => a - b);

describe('What a system says of its processes', () => {
  it('on Linux: any name in parentheses, no zombies', () => {
    const stat = (name: string, state: string) =>
      `77 (${name}) ${state} 5 76 75 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 123456 1000 200 18446744073709551615`;
    assert.deepEqual(entryFromStat(77, stat('a) Z (b', 'S')), {
      pid: 77,
      parent: 5,
      group: 76,
      startTime: '123456',
      started: 123456,
      marked: false,
    });
    assert.equal(entryFromStat(77, stat('sh', 'Z')), undefined);
    assert.equal(entryFromStat(77, ''), undefined);
  });

  it('on macOS', () => {
    const entries = entriesFromPs(darwinOutput, (command) => command.includes(`${markVariable}=h1`));
    assert.deepEqual(pids(entries), [1, 501, 4242, 4244, 4245, 5000]);
    assert.deepEqual(entries[2], {
      pid: 4242,
      parent: 1,
      group: 4242,
      startTime: 'Tue Sep 2 21:09:03 2025',
      started: Date.UTC(2025, 8, 2, 21, 9, 3),
      marked: true,
    });
    assert.deepEqual(pids(belonging(entries, { self: 501 })), [4242, 4244, 4245]);
  });

  it('on Windows', () => {
    const entries = entriesFromPowerShell(windowsOutput);
    assert.deepEqual(entries[3], {
      pid: 7200,
      parent: 7100,
      group: 0,
      startTime: '133700000300000000',
      started: 133700000300000000,
      marked: false,
    });
    assert.equal(entries.length, 6);
  });

  it('asks for the time of start in one zone and one language, whatever those of the window are (W17)', async () => {
    const born = new Date(Date.UTC(2025, 8, 2, 21, 9, 3));
    /** A `ps` that does what ps does: it answers in the zone and language of its environment. */
    const run: System['run'] = async (_file, _args, environment) => {
      if (environment.LC_ALL !== 'C') return '4242 1 4242 S Di. 2. Sep. 21:09:03 2025\n';
      const at = (options: Intl.DateTimeFormatOptions) =>
        new Intl.DateTimeFormat('en-US', { ...options, timeZone: environment.TZ }).format(born);
      const time = at({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
      const day = `${at({ weekday: 'short' })} ${at({ month: 'short' })} ${at({ day: 'numeric' }).padStart(2)}`;
      return ` 4242     1  4242 S    ${day} ${time} ${at({ year: 'numeric' })}    \n`;
    };
    const identities = [{ TZ: 'Asia/Seoul', LC_ALL: 'de_DE.UTF-8' }, { TZ: 'America/Los_Angeles', LANG: 'ko_KR.UTF-8' }, {}].map(
      (environment) => identityOf(4242, { ...thisSystem, platform: 'darwin', environment, run }),
    );
    for (const identity of await Promise.all(identities))
      assert.deepEqual(identity, { pid: 4242, startTime: 'Tue Sep 2 21:09:03 2025' });
  });

  it('tells "there is none" from "it can\'t be told"', async () => {
    const failing =
      (code: number | string): System['run'] =>
      async () => {
        throw Object.assign(new Error('failed'), { code });
      };
    assert.equal(await identityOf(4242, { ...thisSystem, platform: 'darwin', run: failing(1) }), undefined);
    await assert.rejects(identityOf(4242, { ...thisSystem, platform: 'darwin', run: failing('ENOENT') }));
    assert.equal(await identityOf(4242, { ...thisSystem, platform: 'win32', run: async () => '\r\n' }), undefined);
    await assert.rejects(identityOf(4242, { ...thisSystem, platform: 'win32', run: failing(1) }));
    assert.equal(await identityOf(4242, { ...thisSystem, platform: 'linux', proc: temporaryFolder() }), undefined);
    removeTemporaryFolders();
  });

  it('on Windows, asks its own PowerShell wherever the PATH leads, once for all processes, and never blocks (W18)', async () => {
    const asked: { file: string; args: readonly string[] }[] = [];
    const system: System = {
      ...thisSystem,
      platform: 'win32',
      environment: { systemroot: 'D:\\Win' },
      run: async (file, args) => {
        asked.push({ file, args });
        return windowsOutput;
      },
    };
    const living = await livingOf(system, [
      { pid: 7100, startTime: '133700000200000000' },
      { pid: 7100, startTime: '133700000200000001' },
      { pid: 1, startTime: '1' },
    ]);
    assert.deepEqual(pids([...living]), [7100]);
    assert.equal(asked.length, 1);
    assert.equal(asked[0]?.file, 'D:\\Win\\System32\\WindowsPowerShell\\v1.0\\powershell.exe');
    assert.ok(asked[0]?.args.includes('-NoProfile'));
  });
});

describe('Which processes belong to a run', () => {
  const entry = (pid: number, patch: Partial<ProcessEntry> = {}): ProcessEntry => ({
    pid,
    parent: 1,
    group: pid,
    startTime: String(pid),
    started: pid,
    marked: false,
    ...patch,
  });

  it('those with the mark, and what descends from them, though it has lost mark and group', () => {
    const table = [entry(10, { marked: true }), entry(11, { parent: 10 }), entry(12, { parent: 11 }), entry(13)];
    assert.deepEqual(pids(belonging(table, { self: 99 })), [10, 11, 12]);
  });

  it('the leader and its group, by identity or as a child of who asks; nobody who merely has its pid by now', () => {
    const table = [entry(10, { parent: 99 }), entry(11, { group: 10 }), entry(12)];
    assert.deepEqual(pids(belonging(table, { self: 99, leader: 10 })), [10, 11]);
    assert.deepEqual(pids(belonging(table, { self: 99, leader: { pid: 10, startTime: '10' } })), [10, 11]);
    assert.deepEqual(pids(belonging(table, { self: 99, leader: { pid: 10, startTime: '9' } })), []);
    assert.deepEqual(pids(belonging(table, { self: 98, leader: 10 })), []);
    assert.deepEqual(pids(belonging([entry(11, { group: 10 }), entry(12)], { self: 99, leader: 10 })), [11], 'of a dead leader');
  });

  it('what was found before, when its parent is gone', () => {
    const known = [{ pid: 12, startTime: '12' }];
    assert.deepEqual(pids(belonging([entry(12), entry(13, { parent: 12 })], { self: 99, known })), [12, 13]);
    assert.deepEqual(pids(belonging([entry(12, { startTime: 'later' })], { self: 99, known })), []);
  });

  it('never who asks', () => {
    assert.deepEqual(pids(belonging([entry(99, { marked: true }), entry(100, { parent: 99 })], { self: 99 })), []);
  });

  it('on Windows: the tree below, also of a leader that is gone; no child of whoever had a pid before', () => {
    const table = entriesFromPowerShell(windowsOutput);
    assert.deepEqual(pids(belonging(table, { self: 9000, leader: 7100 })), [7100, 7200, 7300]);
    const without = table.filter(({ pid }) => pid !== 7100);
    const leader = { pid: 7100, startTime: '133700000200000000' };
    assert.deepEqual(pids(belonging(without, { self: 9000, leader })), [7200, 7300]);
  });
});

describe('Ending processes', function () {
  this.timeout(60_000);
  let folder: string;
  const left: number[] = [];
  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => {
    for (const pid of left.splice(0)) thisSystem.signal(pid, 'SIGKILL');
    removeTemporaryFolders();
  });

  /** A process that writes `up` when it is there, and does `more`. */
  async function start(more: string, mark: string) {
    const program = `const fs = require('node:fs'); ${more}; setInterval(() => {}, 1000); process.stdout.write('up')`;
    const child = spawn(process.execPath, ['-e', program], {
      cwd: folder,
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, [markVariable]: mark },
    });
    left.push(child.pid as number);
    await once(child.stdout, 'data');
    return { pid: child.pid as number, gone: once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]> };
  }
  const isStopped = (pid: number) => /\) T /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));

  it('a stopped process is woken to hear that it should end, and may clear up (W7)', async () => {
    const mark = randomId();
    const { pid, gone } = await start("process.on('SIGTERM', () => { fs.writeFileSync('bye', ''); process.exit(0); })", mark);
    process.kill(pid, 'SIGSTOP');
    assert.deepEqual(await endMarked(mark, { grace: 30_000 }), []);
    assert.deepEqual(await gone, [0, null]);
    assert.ok(existsSync(join(folder, 'bye')));
  });

  it('one that is deaf is ended by force after the grace, also when it is stopped again (W7)', async () => {
    const mark = randomId();
    const { pid, gone } = await start("process.on('SIGTERM', () => process.kill(process.pid, 'SIGSTOP'))", mark);
    process.kill(pid, 'SIGSTOP');
    if (process.platform === 'linux') await untilSeen(() => isStopped(pid), 'it is stopped');
    assert.deepEqual(await endMarked(mark, { grace: 300 }), []);
    assert.deepEqual(await gone, [null, 'SIGKILL']);
  });

  it('what left the group and threw its environment away is found below its parent', async () => {
    const mark = randomId();
    const { pid } = await start(
      "const { spawn } = require('node:child_process'); const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore', env: {} }); fs.writeFileSync('child', String(child.pid))",
      mark,
    );
    const child = await identityOf(Number(readFileSync(join(folder, 'child'), 'utf8')));
    assert.ok(child);
    left.push(child.pid);
    assert.deepEqual(await endMarked(mark, { leader: pid, grace: 300 }), []);
    assert.equal(await livesStill(child), false);
  });

  it('a keeper goes first and by force: it reports nothing of the others; all below it goes, too', async () => {
    const mark = randomId();
    const keeper = await start(
      "process.on('SIGTERM', () => fs.writeFileSync('asked', '')); const { spawn } = require('node:child_process'); const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore', env: {} }); fs.writeFileSync('child', String(child.pid))",
      'none',
    );
    const child = await identityOf(Number(readFileSync(join(folder, 'child'), 'utf8')));
    process.kill(keeper.pid, 'SIGSTOP');
    assert.ok(child);
    left.push(child.pid);
    assert.deepEqual(await endMarked(mark, { keeper: { pid: keeper.pid, startTime: startTimeOf(keeper.pid) ?? '' } }), []);
    assert.deepEqual(await keeper.gone, [null, 'SIGKILL']);
    assert.equal(await livesStill(child), false);
    assert.equal(existsSync(join(folder, 'asked')), false);
  });

  it('gives up in the end, and says on what (nothing hangs)', async () => {
    let now = 0;
    const signals: string[] = [];
    const system: System = {
      ...thisSystem,
      platform: 'darwin',
      self: 501,
      run: async () => darwinOutput,
      now: () => (now += 100),
      signal: (pid, signal) => signals.push(`${signal} ${pid}`),
    };
    const stuck = await endMarked('h1', { grace: 200, limit: 300 }, system);
    assert.deepEqual(pids(stuck), [4242, 4244, 4245]);
    assert.deepEqual(
      signals.slice(0, 6),
      ['4242', '4244', '4245'].flatMap((pid) => [`SIGTERM ${pid}`, `SIGCONT ${pid}`]),
    );
    assert.equal(signals.filter((one) => one === 'SIGTERM 4245').length, 1, 'each is asked once');
    assert.ok(signals.includes('SIGKILL 4245'));
  });

  it('on Windows: by identity below the host, and blindly by its tree where PowerShell is forbidden', async () => {
    const ended = new Set<number>();
    const ran: string[] = [];
    const system: System = {
      ...thisSystem,
      platform: 'win32',
      self: 9000,
      run: async () =>
        windowsOutput
          .split('\r\n')
          .filter((line) => !ended.has(Number.parseInt(line, 10)))
          .join('\r\n'),
      signal: (pid) => ended.add(pid),
    };
    const keeper = { pid: 7100, startTime: '133700000200000000' };
    assert.deepEqual(await endMarked('h1', { keeper }, system), []);
    assert.deepEqual([...ended].sort(), [7100, 7200, 7300]);
    ended.clear();
    const forbidden: System = {
      ...system,
      run: async (file, args) => {
        if (file.endsWith('powershell.exe')) throw new Error('forbidden');
        ran.push(`${file.split('\\').at(-1)} ${args.join(' ')}`);
        return '';
      },
    };
    assert.deepEqual(await endMarked('h1', { keeper }, forbidden), []);
    assert.deepEqual(ran, ['taskkill.exe /pid 7100 /T /F']);
  });

  it('reads a system of thousands of processes without holding anything else up (W22)', async () => {
    const count = 3_000;
    for (let pid = 1; pid <= count; pid += 1) {
      mkdirSync(join(folder, String(pid)));
      writeFileSync(join(folder, String(pid), 'environ'), pid === 7 ? `A=1\0${markVariable}=run.1\0` : 'A=1\0');
      writeFileSync(join(folder, String(pid), 'stat'), `${pid} (x) S 1 ${pid} ${pid}${' 0'.repeat(16)} ${pid} 0`);
    }
    let turns = 0;
    let goesOn = true;
    const turn = () => {
      turns += 1;
      if (goesOn) setImmediate(turn);
    };
    turn();
    const entries = await tableOf({ ...thisSystem, platform: 'linux', proc: folder }, { mark: 'run', whole: true });
    goesOn = false;
    assert.equal(entries.length, count);
    assert.deepEqual(pids(entries.filter(({ marked }) => marked)), [7]);
    assert.ok(turns > count / 10, `the loop turned ${turns} times`);
  });
});
