/** States and reasons in words for people: one wording for tree, status bar, timeline and notifications. Pure. */
import type { Commit, Work } from '../model/work.ts';
import { isActive } from '../model/transitions.ts';
import {
  type Branch,
  type ProvisioningStep,
  provisioningSteps,
  type Session,
  type Turn,
  type UnavailableKind,
  type WaitingReason,
} from '../model/types.ts';
import { unavailableInWords } from './unavailableAgents.ts';

export const stepWords: Record<ProvisioningStep, string> = {
  resolveBase: 'Finding the base',
  createWorktree: 'Creating the worktree',
  copyFiles: 'Copying files',
  runSetup: 'Running setup',
};

/** `Running setup (4 of 4)`. */
export function stepInWords(step: ProvisioningStep | null): string {
  const known = step ?? 'resolveBase';
  return `${stepWords[known]} (${provisioningSteps.indexOf(known) + 1} of ${provisioningSteps.length})`;
}

/** What the worktree is at, where that is not simply ready; undefined when it is. */
export function worktreeInWords(branch: Pick<Branch, 'worktreeState' | 'worktreeStep' | 'worktreeError'>): string | undefined {
  switch (branch.worktreeState) {
    case 'queued':
      return 'Waiting to be prepared';
    case 'provisioning':
      return stepInWords(branch.worktreeStep);
    case 'failed':
      return 'Preparing failed';
    case 'removalFailed':
      return 'Removing failed';
    case 'unreachable':
      return 'Its disk is not there now';
    case 'missing':
      return 'Folder is gone; it will be made again';
    case 'removing':
      return 'Removing';
    default:
      return undefined;
  }
}

/** True when preparing (or setup, or a removal that failed) can be tried again. */
export const canRetryProvisioning = (branch: Pick<Branch, 'worktreeState' | 'backgroundSetup'>): boolean =>
  branch.worktreeState === 'failed' ||
  branch.worktreeState === 'removalFailed' ||
  branch.worktreeState === 'unreachable' ||
  branch.backgroundSetup === 'failed';

/** Why a branch's line stands still, or undefined; `isHeld`: a commit of its is held. */
export function pauseInWords(paused: Branch['paused'], isHeld: boolean): string | undefined {
  if (paused === 'no') return undefined;
  if (paused === 'user') return 'paused';
  return isHeld ? 'paused: work is not committed' : 'paused: a turn failed';
}

/** True when a person has to do something about a branch: it could not be made or removed, or its line is paused by what failed. */
export const needsMending = (branch: Pick<Branch, 'worktreeState' | 'paused'>): boolean =>
  branch.paused === 'failure' ||
  branch.worktreeState === 'failed' ||
  branch.worktreeState === 'removalFailed' ||
  branch.worktreeState === 'unreachable';

/** What was found while a worktree was prepared that a person should know: a line each. */
export function preparationInWords({ preparation }: Pick<Branch, 'preparation'>): string[] {
  if (!preparation) return [];
  const { hookSaid, setupChanged, missingHooks } = preparation;
  return [
    ...(setupChanged.length > 0
      ? [`Setup changed ${pathsInWords(setupChanged)}. That is no turn's work and is not committed.`]
      : []),
    ...(hookSaid ? [`A hook failed while the worktree was made; it said: ${hookSaid}`] : []),
    ...(missingHooks
      ? [
          `The repository's hooks are in ${missingHooks} (core.hooksPath), which is not in this worktree, so none of them runs. A setup command can make it.`,
        ]
      : []),
  ];
}

/** What a turn changed, in numbers: no line or one. */
export function workInWords(work: Work | null): string[] {
  if (!work || work.files === 0) return [];
  return [
    `Changed ${work.files === 1 ? '1 file' : `${work.files} files`}, +${work.added} −${work.removed}${work.inner ? `; not counted: ${pathsInWords(work.inner)}, which ${work.inner.length === 1 ? 'is a repository' : 'are repositories'} of ${work.inner.length === 1 ? 'its' : 'their'} own` : ''}`,
  ];
}

export interface WaitingContext {
  reason: WaitingReason | undefined;
  /** Turns before it in its branch's line. */
  ahead: number;
  limit: number;
  /** Name of the session's agent. */
  agent: string;
  worktree: Pick<Branch, 'worktreeState' | 'worktreeStep' | 'worktreeError'>;
  /** What is known of its agent, where that can't work now. */
  unavailable?: { kind: UnavailableKind; until: number | null } | undefined;
  now: number;
}

/** Why a queued turn waits, in few words. */
export function waitingInWords({ reason, ahead, limit, agent, worktree, unavailable, now }: WaitingContext): string {
  switch (reason) {
    case 'worktree':
      return worktree.worktreeState === 'failed' ? 'waits: preparing failed' : 'waits for the worktree';
    case 'turn':
      return ahead === 1 ? '1 ahead' : `${ahead} ahead`;
    case 'capacity':
      return `waits for a free place (${limit} at once)`;
    case 'paused':
      return 'paused';
    case 'agent':
      return `waits: agent "${agent}" is not installed`;
    case 'trust':
      return 'waits: workspace is not trusted';
    case 'limit':
    case 'signIn':
      return `waits: ${agent} ${unavailableInWords(unavailable?.kind ?? reason, unavailable?.until ?? null, now)}`;
    default:
      return 'starts now';
  }
}

/** True when a person has to do something before the turn goes on. */
export const needsUser = (turn: Pick<Turn, 'permission'>): boolean => turn.permission !== null;

/** What a turn that is not queued is at. */
export function turnInWords(
  turn: Pick<Turn, 'state' | 'permission' | 'cancelRequested' | 'silentSince' | 'error' | 'commit'>,
): string {
  if (isActive(turn.state)) {
    if (turn.cancelRequested) return 'cancelling';
    if (turn.permission) return 'needs your approval';
    if (turn.silentSince !== null) return 'running, silent';
  }
  if (turn.permission) return 'needs your approval';
  return turn.commit?.state === 'held' ? `${turn.state}, not committed` : turn.state;
}

const pathsShown = 5;
const pathsInWords = (paths: readonly string[]): string =>
  `${paths.slice(0, pathsShown).join(', ')}${paths.length > pathsShown ? ` and ${paths.length - pathsShown} more` : ''}`;

/** Why a turn's work is not committed, as one or more sentences; undefined when it is, or nothing was to be. */
export function heldInWords(commit: Commit | null, branch: string): string | undefined {
  if (commit?.state !== 'held') return undefined;
  const paths = commit.paths ?? [];
  switch (commit.why) {
    case 'operation':
      return paths.length > 0
        ? `Nothing was committed: a ${commit.operation} is unfinished, in conflict: ${pathsInWords(paths)}. Solve it, or let the agent do it, then commit again.`
        : `Nothing was committed: a ${commit.operation} is unfinished. Finish it, or commit again to conclude it.`;
    case 'unmerged':
      return `Nothing was committed: files are in conflict: ${pathsInWords(paths)}. Solve them, or let the agent do it, then commit again.`;
    case 'markers':
      return `Nothing was committed: there are marks of a conflict in ${pathsInWords(paths)}. Take them out, or commit again if they are meant.`;
    case 'left':
      return `Nothing was committed: the agent left the branch "${branch}"; the worktree is on ${commit.branch ? `"${commit.branch}"` : 'no branch'} now. Run \`git switch ${branch}\` there, then commit again.`;
    case 'identity':
      return `Nothing was committed: git does not know who you are. Set user.name and user.email (\`git config --global user.name "..."\`), then commit again.`;
    case 'unreadable':
      return `Nothing was committed: git can't read ${pathsInWords(paths)}. Mend that, then commit again.`;
    case 'stopped':
      return `Nothing was committed: ${commit.said ?? 'git was stopped'} The work is in the worktree; commit again.`;
    case 'refused':
      return `The commit was refused: ${commit.said ?? ''}`.trim();
  }
}

/** The first turn of a session is called by its title, a follow-up by its prompt. */
export function turnTitle(turn: Pick<Turn, 'id' | 'prompt'>, session: Session, firstTurnId: string | undefined): string {
  if (turn.id === firstTurnId) return session.title;
  return (
    turn.prompt
      .split('\n')
      .find((line) => line.trim() !== '')
      ?.trim()
      .slice(0, 200) ?? session.title
  );
}

/** Milliseconds between two looks at how long something has been going on, once it has for a while. */
export const clockTime = 30_000;

/** `3 s`, `2 min`, `1 h 5 min`; for people, so no finer than it is useful. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
}
