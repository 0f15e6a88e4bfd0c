/**
 * Scripts of people for the platform's shell, of any length and any number of lines: a command line takes 128 KB (Linux) or 8 KB
 * (cmd.exe), and cmd.exe only its first line. So the script goes by a private file that goes with the run.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomId } from '../model/ids.ts';
import { findProgram, type Invocation, isExecutableFile, type LaunchContext } from './launch.ts';
import { systemProgram } from './system.ts';
import { ownedTemporaryFolder, removeFolder } from './temporaryFolders.ts';

export interface PreparedScript extends Invocation {
  /** Removes the file; call it when the run is over, however it ended. */
  dispose(): Promise<void>;
}

/** Longest line that is given to cmd.exe as it is, with room for what stands around it. */
const longestLine = 7_000;

const here: LaunchContext = { platform: process.platform, environment: process.env, isExecutable: isExecutableFile };

/** How to run the script, with a file (0600) in a private folder below `base`, the system's temporary folder if not given. */
export async function prepareScript(script: string, context: LaunchContext = here, base?: string): Promise<PreparedScript> {
  const { platform, environment } = context;
  const cmd = systemProgram(environment, 'cmd.exe');
  const isWindows = platform === 'win32';
  // One line stays what it is at a prompt: in a file, cmd.exe wants each % twice.
  if (isWindows && isOneLine(script))
    return {
      file: cmd,
      args: ['/d', '/s', '/c', `"${script.trim()}"`],
      windowsVerbatimArguments: true,
      dispose: async () => undefined,
    };
  const folder = await ownedTemporaryFolder(`script-${randomId()}`, base);
  try {
    const file = join(folder, isWindows ? 'script.cmd' : 'script');
    const content = isWindows ? await batchFile(script, (name) => isBatch(name, context)) : script;
    await writeFile(file, content, { mode: 0o600, flag: 'wx' });
    const dispose = () => removeFolder(folder);
    if (isWindows) return { file: cmd, args: ['/d', '/s', '/c', `""${file}""`], windowsVerbatimArguments: true, dispose };
    return {
      file: platform === 'android' ? '/system/bin/sh' : '/bin/sh',
      args: [file],
      windowsVerbatimArguments: false,
      dispose,
    };
  } catch (error) {
    await removeFolder(folder);
    throw error;
  }
}

const isOneLine = (script: string): boolean => script.length <= longestLine && !/[\r\n]/.test(script.trim());

async function isBatch(name: string, context: LaunchContext): Promise<boolean> {
  return /\.(cmd|bat)$/i.test((await findProgram(name, context)) ?? '');
}

/**
 * The script as a batch file. A batch file that names another one (`npm` is `npm.cmd`) never comes back from it, so the rest would
 * not run: such a name gets `call` before it, wherever a command may begin. The text is UTF-8, so cmd.exe is told.
 */
export async function batchFile(script: string, isBatchFile: (name: string) => Promise<boolean>): Promise<string> {
  const known = new Map<string, boolean>();
  const lines: string[] = [];
  for (const line of script.split(/\r?\n/)) {
    let result = '';
    let end = 0;
    for (const { index, name } of commandsIn(line)) {
      if (!known.has(name)) known.set(name, await isBatchFile(name));
      result += line.slice(end, index) + (known.get(name) ? 'call ' : '');
      end = index;
    }
    lines.push(result + line.slice(end));
  }
  return ['@echo off', 'chcp 65001 >nul', ...lines, ''].join('\r\n');
}

/** What `if` decides on; a command follows. */
const condition =
  /^if\s+(?:\/i\s+)?(?:not\s+)?(?:(?:exist|defined|errorlevel)\s+(?:"[^"]*"|\S+)|\S+\s*==\s*\S+|\S+\s+(?:equ|neq|lss|leq|gtr|geq)\s+\S+)\s+/i;

/** Where commands begin in a line for cmd.exe, and their names: at its start, and after `&`, `|`, `(`, `do`, `else` and the condition of an `if`. */
function* commandsIn(line: string): Generator<{ index: number; name: string }> {
  let mayBegin = true;
  for (let index = 0; index < line.length; ) {
    const character = line[index] as string;
    if ('&|()'.includes(character)) {
      mayBegin = true;
      index += 1;
    } else if (character === '^') index += 2;
    else if (/[\s@,;=]/.test(character)) index += 1;
    else {
      const decided = mayBegin ? condition.exec(line.slice(index))?.[0] : undefined;
      if (decided) {
        index += decided.length;
        continue;
      }
      const word = /^(?:"[^"]*"?|\^.|[^\s&|()<>^",;=])+/.exec(line.slice(index))?.[0] ?? character;
      if (mayBegin && /^rem$|^::/i.test(word)) return;
      if (mayBegin && /^[\w.+-]+$/.test(word)) yield { index, name: word };
      mayBegin = /^(do|else)$/i.test(word);
      index += word.length;
    }
  }
}
