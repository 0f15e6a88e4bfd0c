/** The settings, checked: a value that makes no sense is left out and told, never trusted. */
import * as vscode from 'vscode';
import * as z from 'zod';
import { permissionPolicies } from './agentHost/protocol.ts';
import { shellAgentId } from './agents/catalog.ts';
import { defaultCommitTemplate } from './sessions/commitMessage.ts';
import type { EngineSettings } from './sessions/engine.ts';
import { defaultLocation, defaultSetupTimeout, type SetupCommand, type WorktreeSettings } from './worktrees/settings.ts';

const agentSchema = z.object({
  name: z.string().optional(),
  command: z.string().min(1),
  args: z.array(z.string()).optional(),
  env: z.record(z.string(), z.string()).optional(),
  cwd: z.string().optional(),
});
const setupSchema = z.union([
  z
    .string()
    .min(1)
    .transform((command): SetupCommand => ({ command, wait: true, timeoutSeconds: defaultSetupTimeout })),
  z.object({
    command: z.string().min(1),
    wait: z.boolean().default(true),
    timeoutSeconds: z.number().positive().max(86_400).default(defaultSetupTimeout),
  }),
]);
export const notificationLevels = ['all', 'attention', 'none'] as const;

/** Keeps the agent that was chosen first. */
export interface Remembered {
  get: () => string | undefined;
  set: (agent: string) => void;
}

export class Config implements vscode.Disposable {
  readonly #onProblem: (message: string) => void;
  readonly #cache = new Map<string, unknown>();
  readonly #told = new Set<string>();
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #listener: vscode.Disposable;
  readonly onDidChange = this.#changed.event;

  readonly #remembered: Remembered;

  constructor(onProblem: (message: string) => void, remembered: Remembered) {
    this.#onProblem = onProblem;
    this.#remembered = remembered;
    this.#listener = vscode.workspace.onDidChangeConfiguration((event) => {
      if (!event.affectsConfiguration('branchline') && !event.affectsConfiguration('git.worktreeIncludeFiles')) return;
      this.#cache.clear();
      this.#changed.fire();
    });
  }

  get engine(): EngineSettings {
    return {
      agents: () => this.#map('agents', agentSchema),
      defaultAgent: () => this.chosenAgent || shellAgentId,
      maxConcurrentTurns: () => this.#value('queue.maxConcurrentTurns', z.number().int().min(1).max(64), 4),
      onFailure: () => this.#value('queue.onFailure', z.enum(['pause', 'continue']), 'pause'),
      onLimit: () => this.#value('queue.onLimit', z.enum(['wait', 'pause']), 'wait'),
      worktrees: (repository) => this.#worktrees(repository),
      permissions: () => this.#value('permissions', z.enum(permissionPolicies), 'ask'),
      autoReview: () => this.#value('autoReview', z.boolean(), false),
      keepRunning: () => this.#value('sessions.keepRunning', z.boolean(), true),
      commitTemplate: () => this.#value('commit.message', z.string(), defaultCommitTemplate),
    };
  }

  /** The agent that the setting names, or else the one that a person chose first; empty where nobody has chosen yet. */
  get chosenAgent(): string {
    return this.#value('defaultAgent', z.string(), '') || (this.#remembered.get() ?? '');
  }

  /** A person has queued for this agent. */
  chose(agent: string): void {
    if (this.chosenAgent === '') this.#remembered.set(agent);
  }

  get notifications(): (typeof notificationLevels)[number] {
    return this.#value('notifications', z.enum(notificationLevels), 'attention');
  }

  #worktrees(repository: string): WorktreeSettings {
    const scope = vscode.Uri.file(repository);
    const include = [
      ...this.#list('worktrees.include', z.string(), scope),
      ...this.#list('worktreeIncludeFiles', z.string(), scope, 'git'),
    ];
    return {
      location: this.#value('worktrees.location', z.string().min(1), defaultLocation, scope),
      include,
      symlinkDirectories: this.#list('worktrees.symlinkDirectories', z.string(), scope),
      setup: this.#list('worktrees.setup', setupSchema, scope),
    };
  }

  #read<T>(section: string, scope: vscode.Uri | undefined, root: string, check: (raw: unknown) => T): T {
    const key = `${root}.${section}\0${scope?.toString() ?? ''}`;
    if (!this.#cache.has(key)) this.#cache.set(key, check(vscode.workspace.getConfiguration(root, scope).get<unknown>(section)));
    return this.#cache.get(key) as T;
  }

  #value<T>(section: string, schema: z.ZodType<T>, fallback: T, scope?: vscode.Uri): T {
    return this.#read(section, scope, 'branchline', (raw) => {
      const parsed = schema.safeParse(raw ?? fallback);
      if (parsed.success) return parsed.data;
      this.#tell(
        `branchline.${section}`,
        `is ${JSON.stringify(raw)}, which it can't be; ${JSON.stringify(fallback)} is used instead.`,
      );
      return fallback;
    });
  }

  #list<T>(section: string, schema: z.ZodType<T, unknown>, scope: vscode.Uri, root = 'branchline'): T[] {
    return this.#read(section, scope, root, (raw) => {
      if (raw === undefined || raw === null) return [];
      if (!Array.isArray(raw)) {
        this.#tell(`${root}.${section}`, 'is not a list; it is left out.');
        return [];
      }
      return raw.flatMap((entry, index) => {
        const parsed = schema.safeParse(entry);
        if (parsed.success) return [parsed.data];
        this.#tell(
          `${root}.${section}`,
          `has an entry ${index + 1} that is not understood (${z.prettifyError(parsed.error)}); it is left out.`,
        );
        return [];
      });
    });
  }

  #map<T>(section: string, schema: z.ZodType<T>): Record<string, T> {
    return this.#read(section, undefined, 'branchline', (raw) => {
      const found: Record<string, T> = {};
      for (const [id, entry] of Object.entries(raw !== null && typeof raw === 'object' ? raw : {})) {
        const parsed = schema.safeParse(entry);
        if (parsed.success) found[id] = parsed.data;
        else
          this.#tell(
            `branchline.${section}`,
            `has an entry "${id}" that is not understood (${z.prettifyError(parsed.error)}); it is left out.`,
          );
      }
      return found;
    });
  }

  /** Each problem once in a window's life. */
  #tell(setting: string, problem: string): void {
    const message = `The setting "${setting}" ${problem}`;
    if (this.#told.has(message)) return;
    this.#told.add(message);
    this.#onProblem(message);
  }

  dispose(): void {
    this.#listener.dispose();
    this.#changed.dispose();
  }
}
