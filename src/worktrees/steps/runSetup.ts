/** Runs the user's setup commands in the worktree, one after the other, each with a time limit (requirements 22, 47). */
import { spawn } from 'node:child_process';
import { appendFileSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { WorktreeError } from '../../model/errors.ts';
import { randomId } from '../../model/ids.ts';
import type { Branch } from '../../model/types.ts';
import { missingHooks } from '../../git/commits.ts';
import { Git } from '../../git/git.ts';
import { ignoredWithSubmodules } from '../../git/risk.ts';
import { difference, snapshot } from '../../git/trees.ts';
import { worktreeState } from '../../git/worktrees.ts';
import { setupEnvironment } from '../../platform/environment.ts';
import { endMarked, markVariable } from '../../platform/processes.ts';
import { linksOf, prepared } from '../preparation.ts';
import type { SetupCommand } from '../settings.ts';
import type { Step } from './step.ts';

export const runSetup: Step = async ({ branch, settings, signal, log, claim }) => {
  await endMarked(setupMark(branch)); // A command of an earlier window may still run.
  const git = new Git(branch.worktreePath as string, { signal });
  const links = linksOf(branch);
  const commands = settings.setup.filter(({ wait }) => wait);
  if (commands.length > 0) await claim();
  // Of a worktree that was there before, what is changed in it is the user's, not setup's.
  const before = commands.length > 0 ? await snapshot(git, await worktreeState(git), links) : undefined;
  for (const command of commands) await runCommand(branch, command, log, signal);
  const found = before && (await setupsChanges(git, before.tree, links));
  const preparation = prepared(branch, {
    setupChanged: found?.paths.slice(0, pathsKept) ?? [],
    setupTree: found && found.paths.length > 0 ? found.tree : null,
    ignored: (await ignoredWithSubmodules(git, links)).slice(0, ignoredKept),
    missingHooks: (await missingHooks(git)) ?? null,
  });
  return { preparation, backgroundSetup: settings.setup.some((command) => !command.wait) ? 'pending' : 'none' };
};

const pathsKept = 100;
const ignoredKept = 1_000;

/** What setup changed is nobody's turn: it is told once, and the content after it is where the first turn begins. */
async function setupsChanges(git: Git, before: string, links: readonly string[]): Promise<{ tree: string; paths: string[] }> {
  const { tree } = await snapshot(git, await worktreeState(git), links);
  return { tree, paths: (await difference(git, before, tree)).map(({ path }) => path) };
}

/** Runs the commands that turns don't wait for; rejects with WorktreeError at the first that fails. */
export async function runBackgroundSetup(
  branch: Branch,
  commands: readonly SetupCommand[],
  log: string,
  signal: AbortSignal,
): Promise<void> {
  await endMarked(setupMark(branch));
  for (const command of commands) {
    if (!command.wait) await runCommand(branch, command, log, signal);
  }
}

/** What the marks of all runs of a branch's setup begin with. */
export const setupMark = (branch: Branch): string => `${branch.id}.setup`;

async function runCommand(
  branch: Branch,
  { command, timeoutSeconds }: SetupCommand,
  log: string,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  mkdirSync(dirname(log), { recursive: true, mode: 0o700 });
  appendFileSync(log, `$ ${command}\n`, { mode: 0o600 });
  const output = openSync(log, 'a', 0o600);
  // Of this run alone: what ends it must not end the run of the window that comes after this one.
  const mark = `${setupMark(branch)}.${randomId()}`;
  const child = spawn(command, {
    cwd: branch.worktreePath as string,
    shell: true,
    detached: process.platform !== 'win32',
    windowsHide: true,
    stdio: ['ignore', output, output],
    env: {
      ...setupEnvironment({ repository: branch.repository, worktree: branch.worktreePath as string, branch: branch.name }),
      [markVariable]: mark,
    },
  });
  closeSync(output);
  const stop = new AbortController();
  const timer = setTimeout(
    () =>
      stop.abort(
        new WorktreeError(
          `The setup command \`${command}\` took longer than ${timeoutSeconds} s and was ended. Mend it or raise its timeoutSeconds, then retry; "Show Setup Log" has its output.`,
        ),
      ),
    timeoutSeconds * 1_000,
  );
  const either = AbortSignal.any([signal, stop.signal]);
  const end = () => void endMarked(mark, child.pid ? { leader: child.pid } : {});
  either.addEventListener('abort', end, { once: true });
  try {
    const { code, ended } = await new Promise<{ code: number | null; ended: NodeJS.Signals | null }>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (exitCode, exitSignal) => resolve({ code: exitCode, ended: exitSignal }));
    });
    either.throwIfAborted();
    appendFileSync(log, ended ? `(ended by ${ended})\n` : `(exit code ${code})\n`);
    if (code !== 0)
      throw new WorktreeError(
        `The setup command \`${command}\` ended ${ended ? `by ${ended}` : `with exit code ${code}`}. "Show Setup Log" has its output; mend the cause and retry.`,
      );
  } finally {
    clearTimeout(timer);
    either.removeEventListener('abort', end);
    if (either.aborted) await endMarked(mark);
  }
}
