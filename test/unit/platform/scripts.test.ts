import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { LaunchContext } from '../../../src/platform/launch.ts';
import { batchFile, prepareScript } from '../../../src/platform/scripts.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

const windows: LaunchContext = {
  platform: 'win32',
  environment: { PATH: 'C:\\node', SystemRoot: 'C:\\Windows' },
  isExecutable: async (path) => path === 'C:\\node\\npm.CMD',
};

describe('Scripts', () => {
  let base: string;
  beforeEach(() => {
    base = temporaryFolder();
  });
  afterEach(removeTemporaryFolders);
  const made = () => readdirSync(base, { recursive: true }).filter((name) => /script-/.test(String(name)));

  it('go by a private file, whatever their length, which goes with the run (W20)', async () => {
    const script = `x='${'a'.repeat(200_000)}'\necho \${#x}\nexit 3\n`;
    const prepared = await prepareScript(script, undefined, base);
    const file = prepared.args[0] as string;
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(statSync(dirname(file)).mode & 0o777, 0o700);
    const run = promisify(execFile)(prepared.file, prepared.args);
    await assert.rejects(run, (error: { code?: number; stdout?: string }) => error.code === 3 && error.stdout === '200000\n');
    await prepared.dispose();
    assert.deepEqual(made(), []);
    await prepared.dispose(); // Once more does no harm.
  });

  it('on Windows: one line as at a prompt, without a file', async () => {
    const prepared = await prepareScript('npm ci && echo "done" %PATH%\r\n', windows, base);
    assert.deepEqual(
      [prepared.file, prepared.args, prepared.windowsVerbatimArguments],
      ['C:\\Windows\\System32\\cmd.exe', ['/d', '/s', '/c', '"npm ci && echo "done" %PATH%"'], true],
    );
    assert.deepEqual(made(), []);
  });

  it('on Windows: several lines, and long ones, by a batch file that has all of them (W18)', async () => {
    for (const script of ['npm ci\nnpm test', `echo ${'a'.repeat(9_000)}`]) {
      const prepared = await prepareScript(script, windows, base);
      const file = join(base, made().find((name) => String(name).endsWith('script.cmd')) as string);
      assert.deepEqual(prepared.args, ['/d', '/s', '/c', `""${file}""`]);
      const lines = readFileSync(file, 'utf8').split('\r\n');
      assert.deepEqual(lines.slice(0, 2), ['@echo off', 'chcp 65001 >nul']);
      assert.equal(lines.slice(2).join('\n').replaceAll('call ', ''), `${script}\n`);
      await prepared.dispose();
      assert.ok(!existsSync(file));
    }
  });

  it('on Windows: a batch file that is named in one comes back, for it is called', async () => {
    const isBatch = async (name: string) => ['npm', 'npx', 'tsc.cmd'].includes(name);
    const rest = async (script: string) => (await batchFile(script, isBatch)).split('\r\n').slice(2, -1);
    const table: [string, string][] = [
      ['npm ci', 'call npm ci'],
      ['  @npm ci', '  @call npm ci'],
      ['npm ci && npx tsc || echo npm', 'call npm ci && call npx tsc || echo npm'],
      ['echo "a & npm ci"', 'echo "a & npm ci"'],
      ['echo a ^& npm ci', 'echo a ^& npm ci'],
      ['call npm ci', 'call npm ci'],
      ['if exist "my file" npm ci', 'if exist "my file" call npm ci'],
      ['if not "%CI%"=="" (npm ci) else npx x', 'if not "%CI%"=="" (call npm ci) else call npx x'],
      ['for %%a in (1 2) do npm run %%a', 'for %%a in (1 2) do call npm run %%a'],
      ['rem npm ci', 'rem npm ci'],
      [':: npm ci & npm ci', ':: npm ci & npm ci'],
      ['node npm', 'node npm'],
      ['tsc.cmd | find "x" > npm', 'call tsc.cmd | find "x" > npm'],
      ['echo "open', 'echo "open'],
      ['', ''],
    ];
    for (const [script, batch] of table) assert.deepEqual(await rest(script), [batch]);
    assert.deepEqual(
      await rest(table.map(([script]) => script).join('\n')),
      table.map(([, batch]) => batch),
    );
  });
});
