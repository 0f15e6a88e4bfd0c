/** The agents that a session may name: our shell agent, and those of the setting `branchline.agents`. */
import type { AgentProgram } from '../agentHost/protocol.ts';
import { type ProgramLookup, programsHere } from './programLookup.ts';

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
  /** True when the agent is defined and its command was there when it was last looked for. Never looks itself: it is asked on each change. */
  isInstalled(id: string): boolean;
  /** Looks for the commands of all agents anew. Resolves with true when an answer of `isInstalled` is another one now. */
  refresh(): Promise<boolean>;
  all(): AgentProgram[];
}

/** `shellAgent` is the path of `dist/shellAgent.js`. A setting of the same id replaces the built-in agent. */
export function makeCatalog(
  settings: Readonly<Record<string, AgentSetting>>,
  shellAgent: string,
  lookup: ProgramLookup = programsHere,
): Catalog {
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
      return program !== undefined && (program.builtIn || lookup.isThere(program.command, program.env));
    },
    refresh: async () => {
      const asked = [...programs.values()].filter(({ builtIn }) => !builtIn);
      return (await Promise.all(asked.map(({ command, env }) => lookup.look(command, env)))).includes(true);
    },
    all: () => [...programs.values()],
  };
}
