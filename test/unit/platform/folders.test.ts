import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { capFile } from '../../../src/platform/cappedFile.ts';
import { runtimeFolder } from '../../../src/platform/runtimeFolder.ts';
import { agentTemporaryFolder, removeFolder, removeLeftovers, temporaryRoot } from '../../../src/platform/temporaryFolders.ts';
import { thisSystem } from '../../../src/platform/system.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

describe("Folders of Branchline's own", () => {
  let base: string;
  beforeEach(() => {
    base = temporaryFolder();
  });
  afterEach(removeTemporaryFolders);

  it('for sockets: in XDG_RUNTIME_DIR, and elsewhere when that is gone with the last login (W8)', () => {
    const runtime = join(base, 'run');
    mkdirSync(runtime);
    const first = runtimeFolder({ XDG_RUNTIME_DIR: runtime });
    assert.equal(first, join(runtime, basename(first)));
    assert.equal(statSync(first).mode & 0o777, 0o700);
    rmSync(runtime, { recursive: true });
    const second = runtimeFolder({ XDG_RUNTIME_DIR: runtime });
    assert.ok(!second.startsWith(runtime) && statSync(second).isDirectory());
    assert.ok(!existsSync(runtime));
  });

  it('for agents: not in XDG_RUNTIME_DIR, private, and with an owner (W15)', async () => {
    const path = await agentTemporaryFolder('host-1', base);
    assert.ok(path.startsWith(temporaryRoot(base)));
    assert.equal(statSync(path).mode & 0o777, 0o700);
    writeFileSync(join(path, 'left'), '');
    const again = await agentTemporaryFolder('host-1', base);
    assert.equal(again, path);
    assert.ok(!existsSync(join(path, 'left')), 'that of an earlier agent of this host is gone');
    await removeFolder(path);
    assert.deepEqual(readdirSync(temporaryRoot(base)), []);
  });

  it('for agents: short enough for the sockets that they make there', async () => {
    const path = await agentTemporaryFolder('0123456789abcdef01234567');
    await removeFolder(path);
    assert.ok(path.length < 80, path);
  });

  it('those of dead owners are removed by whoever comes next; those of living ones and what is just being made are left (W15)', async () => {
    const own = await agentTemporaryFolder('living', base);
    const root = temporaryRoot(base);
    const child = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' });
    await once(child, 'exit');
    const make = (name: string, owner?: string) => {
      mkdirSync(join(root, name, 'node_modules'), { recursive: true });
      if (owner !== undefined) writeFileSync(join(root, name, '.branchline-owner'), owner);
      return join(root, name);
    };
    make('dead', JSON.stringify({ pid: child.pid, startTime: '1' }));
    make('reused', JSON.stringify({ pid: process.pid, startTime: '1' }));
    make('making');
    make('broken', 'not json');
    const old = make('old');
    utimesSync(old, 1_000, 1_000);
    await removeLeftovers(base, { ...thisSystem, platform: 'darwin', run: () => Promise.reject(new Error('no ps')) });
    assert.equal(readdirSync(root).length, 6, 'where it can not be told who lives, nothing is removed');
    await removeLeftovers(base);
    assert.deepEqual(readdirSync(root).sort(), ['agent-living', 'broken', 'making']);
    assert.ok(existsSync(own));
    await removeLeftovers(join(base, 'nowhere'));
  });

  it('logs are cut to their last lines when they are long, while they are written (W15)', async () => {
    const path = join(base, 'log');
    await capFile(path, 1_000);
    writeFileSync(path, 'short\n');
    await capFile(path, 1_000);
    assert.equal(readFileSync(path, 'utf8'), 'short\n');
    for (let n = 0; n < 500; n += 1) appendFileSync(path, `line ${n}\n`);
    chmodSync(path, 0o600);
    await capFile(path, 1_000);
    appendFileSync(path, 'after\n');
    const lines = readFileSync(path, 'utf8').split('\n');
    assert.ok(statSync(path).size < 400);
    assert.match(lines[0] ?? '', /dropped/);
    assert.match(lines[1] ?? '', /^line \d+$/);
    assert.deepEqual(lines.slice(-3), ['line 499', 'after', '']);
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });
});
