import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AgentError } from '../../../src/model/errors.ts';
import { batchCommandLine, findProgram, invocation, type LaunchContext } from '../../../src/platform/launch.ts';

const context = (platform: NodeJS.Platform, environment: NodeJS.ProcessEnv, files: readonly string[]): LaunchContext => ({
  platform,
  environment,
  isExecutable: async (path) => files.includes(path),
});

const windows = context(
  'win32',
  { Path: 'relative;C:\\node;C:\\Program Files\\agents', PATHEXT: '.COM;.EXE;.CMD', SystemRoot: 'C:\\Windows' },
  [
    'C:\\node\\npx', // A script for another shell, as npm brings it.
    'C:\\node\\npx.CMD',
    'C:\\node\\node.EXE',
    'C:\\Program Files\\agents\\agent.CMD',
    'relative\\evil.EXE',
    'C:\\tools\\agent.exe',
  ],
);

/** The line after cmd.exe has put in its variables, of which there is one: no characters of the current folder. */
function expandedByCmd(line: string): string {
  let expanded = '';
  for (let index = 0; index < line.length; ) {
    const end = line[index] === '%' ? line.indexOf('%', index + 1) : -1;
    if (end > index + 1) {
      assert.equal(line.slice(index + 1, end), 'cd:~,', 'no other variable is put in');
      index = end + 1;
    } else {
      expanded += line[index];
      index += 1;
    }
  }
  return expanded;
}

/** What cmd.exe makes of a line (/e:ON /v:OFF), and a program behind the batch file of its arguments. */
function argumentsBehind(line: string): string[] {
  const expanded = expandedByCmd(line);
  const args: string[] = [];
  let index = 0;
  while (index < expanded.length) {
    if (expanded[index] === ' ') {
      index += 1;
      continue;
    }
    let arg = '';
    let quoted = false;
    for (; index < expanded.length && (quoted || expanded[index] !== ' '); ) {
      const backslashes = /^\\*/.exec(expanded.slice(index))?.[0].length ?? 0;
      const next = expanded[index + backslashes];
      if (next === '"') {
        arg += '\\'.repeat(Math.floor(backslashes / 2));
        index += backslashes + 1;
        if (backslashes % 2 === 1) arg += '"';
        else if (quoted && expanded[index] === '"') {
          arg += '"';
          index += 1;
        } else quoted = !quoted;
      } else if (backslashes > 0) {
        arg += '\\'.repeat(backslashes);
        index += backslashes;
      } else {
        if (!quoted) assert.ok(!/[&|<>^()]/.test(next as string), 'what is special to cmd.exe stands in quotes');
        arg += next;
        index += 1;
      }
    }
    args.push(arg);
  }
  return args;
}

describe('Starting programs', () => {
  it('finds them as the platform does, never in a folder that is relative', async () => {
    assert.equal(await findProgram('npx', windows), 'C:\\node\\npx.CMD');
    assert.equal(await findProgram('node.exe', windows), undefined, 'names are compared by this file system here');
    assert.equal(await findProgram('node', windows), 'C:\\node\\node.EXE');
    assert.equal(await findProgram('C:\\tools\\agent.exe', windows), 'C:\\tools\\agent.exe');
    assert.equal(await findProgram('evil', windows), undefined);
    assert.equal(await findProgram('tools\\agent.exe', windows), undefined);
    const linux = context('linux', { PATH: '.::/usr/bin:/opt/bin' }, ['evil', './evil', '/opt/bin/agent', '/opt/bin/npx.cmd']);
    assert.equal(await findProgram('agent', linux), '/opt/bin/agent');
    assert.equal(await findProgram('evil', linux), undefined);
    assert.equal(await findProgram('npx', linux), undefined);
    assert.equal(await findProgram('', linux), undefined);
  });

  it('a variable that is given besides those of Windows replaces its own, whatever its case', async () => {
    const environment = { ...windows.environment, PATH: 'C:\\Program Files\\agents' };
    assert.equal(await findProgram('agent', { ...windows, environment }), 'C:\\Program Files\\agents\\agent.CMD');
    assert.equal(await findProgram('npx', { ...windows, environment }), undefined);
  });

  it('starts a batch file by cmd.exe on Windows (W18), a program by its path, and leaves all to the system elsewhere', async () => {
    assert.deepEqual(await invocation('npx', ['-y', 'some agent', '--acp'], windows), {
      file: 'C:\\Windows\\System32\\cmd.exe',
      args: ['/e:ON', '/v:OFF', '/d', '/s', '/c', '""C:\\node\\npx.CMD" "-y" "some agent" "--acp""'],
      windowsVerbatimArguments: true,
    });
    assert.deepEqual(await invocation('node', ['a b', '"'], windows), {
      file: 'C:\\node\\node.EXE',
      args: ['a b', '"'],
      windowsVerbatimArguments: false,
    });
    assert.equal((await invocation('nowhere', [], windows)).file, 'nowhere');
    const linux = { ...windows, platform: 'linux' as const };
    assert.deepEqual(await invocation('npx', ['$HOME', '&'], linux), {
      file: 'npx',
      args: ['$HOME', '&'],
      windowsVerbatimArguments: false,
    });
  });

  it('hands every argument over as it is: none becomes another, a variable, or a command', () => {
    const nasty = fc.array(
      fc.constantFrom('"', '\\', '%', '%PATH%', '&', '|', '<', '>', '^', '!', '(', ')', ' ', 'a', 'ü', '\t', "'"),
      {
        maxLength: 12,
      },
    );
    fc.assert(
      fc.property(
        fc.array(
          nasty.map((parts) => parts.join('')),
          { maxLength: 4 },
        ),
        (args) => {
          assert.deepEqual(argumentsBehind(batchCommandLine('C:\\a b\\npx.cmd', args)), ['C:\\a b\\npx.cmd', ...args]);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('refuses what a batch file can never be given, and says what to do', async () => {
    for (const arg of ['two\nlines', 'two\rlines', 'a\0b'])
      await assert.rejects(
        invocation('npx', [arg], windows),
        (error: unknown) => error instanceof AgentError && /batch file.*name the program behind it/.test(error.message),
      );
    assert.throws(() => batchCommandLine('C:\\%TEMP%\\a.cmd', []), /batch file/);
  });
});
