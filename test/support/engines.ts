import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AgentSetting } from '../../src/agents/catalog.ts';
import { Engine, type EngineOptions, type EngineSettings, type Owner } from '../../src/sessions/engine.ts';
import { defaultLocation, type WorktreeSettings } from '../../src/worktrees/settings.ts';
import { lookAgain, patience } from './patience.ts';
import { makeDatabase } from './stores.ts';
import { removeTemporaryFolders } from './temporaryFolder.ts';

export const programs = fileURLToPath(new URL('../../dist/', import.meta.url));

export { testAgent } from './testAgentSetting.ts';

export interface TestSettings {
  agents: Record<string, AgentSetting>;
  defaultAgent: string;
  maxConcurrentTurns: number;
  onFailure: 'pause' | 'continue';
  onLimit: 'wait' | 'pause';
  permissions: 'ask' | 'acceptEdits' | 'allowAll';
  autoReview: boolean;
  keepRunning: boolean;
  commitTemplate: string;
  worktrees: Partial<WorktreeSettings>;
  trusted: boolean;
}

export interface TestEngine {
  engine: Engine;
  settings: TestSettings;
  problems: string[];
  log: string[];
}

export const testSettings = (patch: Partial<TestSettings> = {}): TestSettings => ({
  agents: {},
  defaultAgent: 'shell',
  maxConcurrentTurns: 4,
  onFailure: 'pause',
  onLimit: 'wait',
  permissions: 'ask',
  autoReview: false,
  keepRunning: true,
  commitTemplate: '${title}',
  worktrees: {},
  trusted: true,
  ...patch,
});

/** Settings that are read anew each time, so that they may be changed while an engine runs. */
export const engineSettings = (settings: TestSettings): EngineSettings => ({
  agents: () => settings.agents,
  defaultAgent: () => settings.defaultAgent,
  maxConcurrentTurns: () => settings.maxConcurrentTurns,
  onFailure: () => settings.onFailure,
  onLimit: () => settings.onLimit,
  permissions: () => settings.permissions,
  autoReview: () => settings.autoReview,
  keepRunning: () => settings.keepRunning,
  commitTemplate: () => settings.commitTemplate,
  worktrees: () => ({ location: defaultLocation, include: [], symlinkDirectories: [], setup: [], ...settings.worktrees }),
});

/** An engine on `storage` with `repository` open; settings may be changed while it runs. */
export function startEngine(
  storage: string,
  repository: string,
  patch: Partial<TestSettings> = {},
  options: Partial<EngineOptions> = {},
): TestEngine {
  const settings = testSettings(patch);
  const problems: string[] = [];
  const log: string[] = [];
  const engine = Engine.start({
    folder: join(storage, 'storage'),
    programs,
    loadDatabase: async () => makeDatabase,
    settings: engineSettings(settings),
    openFolders: () => [repository],
    ownCheckouts: () => [repository],
    trusted: () => settings.trusted,
    log: (message) => log.push(message),
    onProblem: (message) => problems.push(message),
    ...options,
  });
  return { engine, settings, problems, log };
}

/**
 * Resolves when `condition` holds; looks at each change and each thing an agent says, and now and then for what nobody tells. Rejects
 * when nothing has moved for long, with what was there instead: a line may take its time as long as it goes on.
 */
export function until(engine: Engine, condition: () => boolean, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (!condition()) return;
      end();
      resolve();
    };
    const lookAtNews = () => {
      timer.refresh();
      look();
    };
    const listeners = [engine.onDidChange(lookAtNews), engine.onDidWrite(lookAtNews)];
    const nowAndThen = setInterval(look, lookAgain);
    const timer = setTimeout(() => {
      end();
      const turns = Array.from(
        engine.state.turns(),
        (turn) => `${turn.prompt.slice(0, 30)}: ${turn.state} ${turn.error?.message ?? ''}`,
      );
      const branches = Array.from(
        engine.state.branches(),
        (branch) =>
          `${branch.name}: ${branch.worktreeState} ${branch.worktreeStep ?? ''} ${branch.worktreeError?.message ?? ''} paused ${branch.paused}`,
      );
      reject(new Error(`Waited in vain until ${what}.\n${[...branches, ...turns].join('\n')}`));
    }, patience);
    const end = () => {
      for (const listener of listeners) listener.dispose();
      clearTimeout(timer);
      clearInterval(nowAndThen);
    };
    look();
  });
}

export const turnState = (engine: Engine, turnId: string) => engine.state.turn(turnId)?.state;
export const ended = (engine: Engine, ...turnIds: string[]) =>
  turnIds.every((id) => ['completed', 'failed', 'cancelled', 'interrupted'].includes(turnState(engine, id) ?? ''));
export const untilEnded = (engine: Engine, ...turnIds: string[]) =>
  until(engine, () => ended(engine, ...turnIds), 'the turns have ended');

/** Ends every agent host of the engine's storage, then the engine. */
export async function stopEngine({ engine }: TestEngine): Promise<void> {
  const owner: Owner | undefined = engine.ownerNow;
  for (const client of owner ? [...owner.hosts.all()] : []) await owner?.hosts.end(client.hostId);
  await engine.dispose();
}

/** For a suite: the engines in the list are stopped after each test, and its folders removed. */
export function stoppedAfterEach(): TestEngine[] {
  const running: TestEngine[] = [];
  afterEach(async () => {
    for (const one of running.splice(0)) await stopEngine(one);
    removeTemporaryFolders();
  });
  return running;
}
