/** The agents that a session may name: our shell agent, and those of the setting `branchline.agents`. */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import type { AgentProgram } from '../agentHost/protocol.ts';

export interface AgentSetting {
  name?: string | undefined;
  command: string;
  args?: string[] | undefined;
  env?: Record<string, string> | undefined;
  /** Folder to work in, relative to the worktree. */
  cwd?: string | undefined;
}

export const shellAgentId = 'shell';

export interface Catalog {
  /** The program of an agent, whether or not it is installed; undefined for an id that nobody defined. */
  find(id: string): AgentProgram | undefined;
  /** True when the agent is defined and its command is there. */
  isInstalled(id: string): boolean;
  all(): AgentProgram[];
}

/** `shellAgent` is the path of `dist/shellAgent.js`. A setting of the same id replaces the built-in agent. */
export function makeCatalog(settings: Readonly<Record<string, AgentSetting>>, shellAgent: string): Catalog {
  const programs = new Map<string, AgentProgram>();
  programs.set(shellAgentId, {
    id: shellAgentId,
    name: 'Shell',
    command: process.execPath,
    args: [shellAgent],
    env: {},
    builtIn: true,
  });
  for (const [id, { name, command, args, env, cwd }] of Object.entries(settings)) {
    programs.set(id, {
      id,
      name: name || id,
      command,
      args: args ?? [],
      env: env ?? {},
      ...(cwd ? { cwd } : {}),
      builtIn: false,
    });
  }
  return {
    find: (id) => programs.get(id),
    isInstalled: (id) => {
      const program = programs.get(id);
      return program !== undefined && isCommand(program.command, program.env.PATH);
    },
    all: () => [...programs.values()],
  };
}

/** True when `command` is an executable file, by its path or on the PATH. */
function isCommand(command: string, searchPath = process.env.PATH ?? ''): boolean {
  if (isAbsolute(command)) return isExecutable(command);
  if (/[\\/]/.test(command)) return false; // Relative to what? The worktree is the agent's folder, and hostile.
  const endings = process.platform === 'win32' ? (process.env.PATHEXT ?? '.EXE;.CMD').split(';') : [''];
  return searchPath
    .split(delimiter)
    .some((folder) => isAbsolute(folder) && endings.some((ending) => isExecutable(join(folder, command + ending))));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
