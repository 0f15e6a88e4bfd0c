/**
 * Starting programs as the platform does it: on Windows a name may mean a batch file (`npx` is `npx.cmd`), which only cmd.exe runs,
 * and which parses its arguments a second time.
 */
import { access, constants, stat } from 'node:fs/promises';
import { posix, win32 } from 'node:path';
import { AgentError } from '../model/errors.ts';
import { systemProgram } from './system.ts';

export interface Invocation {
  file: string;
  args: string[];
  /** For `spawn`: the arguments are quoted already. */
  windowsVerbatimArguments: boolean;
}

export interface LaunchContext {
  platform: NodeJS.Platform;
  environment: NodeJS.ProcessEnv;
  /** Whether there is a file that may be run. */
  isExecutable: (path: string) => Promise<boolean>;
}

export async function isExecutableFile(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

const here: LaunchContext = { platform: process.platform, environment: process.env, isExecutable: isExecutableFile };

/** A variable of an environment; Windows knows no upper and lower case there, and a copy of its environment does. */
function variable({ platform, environment }: LaunchContext, name: string): string | undefined {
  if (platform !== 'win32') return environment[name];
  return Object.entries(environment).findLast(([key]) => key.toUpperCase() === name)?.[1]; // What was added stands last.
}

/**
 * The path of a program: `command` itself where it is absolute, else the first of that name on the PATH. Undefined when it is not
 * there, and for a path relative to a folder: the worktree is the agent's folder, and hostile.
 */
export async function findProgram(command: string, context: LaunchContext = here): Promise<string | undefined> {
  const { platform, isExecutable } = context;
  const { isAbsolute, join } = platform === 'win32' ? win32 : posix;
  const endings = endingsFor(command, context);
  if (!isAbsolute(command) && (command === '' || /[\\/]/.test(command))) return undefined;
  const delimiter = platform === 'win32' ? ';' : ':';
  const folders = isAbsolute(command)
    ? ['']
    : (variable(context, 'PATH') ?? '').split(delimiter).filter((one) => isAbsolute(one));
  for (const folder of folders) {
    for (const ending of endings) {
      const path = (folder === '' ? command : join(folder, command)) + ending;
      if (await isExecutable(path)) return path;
    }
  }
  return undefined;
}

function endingsFor(command: string, context: LaunchContext): string[] {
  if (context.platform !== 'win32') return [''];
  const known = (variable(context, 'PATHEXT') ?? '.COM;.EXE;.BAT;.CMD').split(';').filter((ending) => ending.startsWith('.'));
  const has = known.some((ending) => command.toUpperCase().endsWith(ending.toUpperCase()));
  return has ? ['', ...known] : known; // A file `npx` beside `npx.cmd` is a script for another shell.
}

/**
 * How to start a program with these arguments, each of which arrives as it is. Rejects with AgentError for arguments that a batch file
 * can't be given. Elsewhere than on Windows that is the program itself, which `spawn` finds.
 */
export async function invocation(command: string, args: readonly string[], context: LaunchContext = here): Promise<Invocation> {
  const plain = { file: command, args: [...args], windowsVerbatimArguments: false };
  if (context.platform !== 'win32') return plain;
  const found = await findProgram(command, context);
  if (found === undefined) return plain; // The system's own error says so.
  if (!/\.(cmd|bat)$/i.test(found)) return { ...plain, file: found };
  return {
    file: systemProgram(context.environment, 'cmd.exe'),
    args: ['/e:ON', '/v:OFF', '/d', '/s', '/c', `"${batchCommandLine(found, args)}"`],
    windowsVerbatimArguments: true,
  };
}

/**
 * The line with which `cmd /e:ON /v:OFF /c` hands these arguments to a batch file. In quotes nothing is special to cmd but `%` and
 * the quote itself: `""` stands for a quote, to cmd and to the program behind the batch file; a `%` is followed by a variable of
 * no characters (`%cd:~,%`), so that it is never the start of another one. A line break would end the line.
 */
export function batchCommandLine(file: string, args: readonly string[]): string {
  const refused = args.find((arg) => /[\r\n\0]/.test(arg));
  if (refused !== undefined || /["%\r\n\0]/.test(file))
    throw new AgentError(
      `${file} is a batch file, which can't be given ${refused === undefined ? 'a name like its own' : 'an argument of several lines'}. Mend the setting "branchline.agents": name the program behind it instead.`,
    );
  return [`"${file}"`, ...args.map(batchArgument)].join(' ');
}

function batchArgument(arg: string): string {
  const quoted = arg
    .replace(/(\\*)"/g, '$1$1""') // Backslashes are special before a quote only.
    .replace(/\\+$/, '$&$&')
    .replaceAll('%', '%%cd:~,%');
  return `"${quoted}"`;
}
