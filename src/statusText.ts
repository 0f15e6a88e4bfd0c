/** What the status bar says: what is being prepared, what runs, what waits, and whether somebody is needed. Pure. */
import { shortened } from './model/inertText.ts';
import type { Branch, Turn } from './model/types.ts';
import { heldInWords, needsMending, stepInWords } from './sessions/words.ts';
import { type UnavailableContext, unavailableAgents } from './sessions/unavailableAgents.ts';
import type { Projection } from './store/projection.ts';

/** The counts behind a name stay in view. */
const longestName = 40;

export interface StatusText {
  /** A codicon. */
  icon: string;
  text: string;
  tooltip: string;
  warning: boolean;
  /** What a click shows. */
  target: { branchId: string; turnId?: string } | 'agents' | undefined;
}

/** Pure; `undefined` when there is nothing to say. */
export function statusText(state: Projection, readOnly: boolean, unavailable: UnavailableContext): StatusText | undefined {
  const active = Array.from(state.active());
  const running = active.length;
  let queued = -running;
  for (const id of state.branchesWithWork()) queued += state.line(id).length;
  let broken: Branch | undefined;
  let preparing: Branch | undefined;
  for (const branch of state.branches()) {
    if (needsMending(branch)) broken ??= branch;
    else if (branch.worktreeState === 'provisioning') preparing ??= branch;
  }
  const counts = [running > 0 ? `${running} running` : '', queued > 0 ? `${queued} queued` : '']
    .filter((part) => part !== '')
    .join(', ');
  const [asking] = state.asking();
  const [held] = state.held();
  if (readOnly)
    return state.counts.branches > 0
      ? {
          icon: 'lock',
          text: `${counts || 'Branchline'}`,
          tooltip: 'Branchline is open in another window',
          warning: false,
          target: undefined,
        }
      : undefined;
  if (asking) return attention(asking, counts);
  if (broken)
    return {
      icon: 'warning',
      text: `${shortened(broken.name, longestName)}${counts ? ` · ${counts}` : ''}`,
      tooltip: brokenInWords(broken),
      warning: true,
      target: { branchId: broken.id },
    };
  if (held)
    return {
      icon: 'warning',
      text: `Not committed${counts ? ` · ${counts}` : ''}`,
      tooltip: heldInWords(held.commit, state.branch(held.branchId)?.name ?? '') ?? '',
      warning: true,
      target: { branchId: held.branchId, turnId: held.id },
    };
  const [waits] = unavailableAgents(state, unavailable);
  if (waits && (running === 0 || waits.kind === 'signIn'))
    return {
      icon: waits.kind === 'signIn' ? 'account' : 'watch',
      text: `${shortened(unavailable.nameOf(waits.agent), longestName)} ${waits.kind === 'signIn' ? 'needs a sign-in' : 'waits'}${counts ? ` · ${counts}` : ''}`,
      tooltip: waits.words,
      warning: waits.kind === 'signIn',
      target: 'agents',
    };
  if (preparing)
    return {
      icon: 'loading~spin',
      text: `${shortened(preparing.name, longestName)}: ${stepInWords(preparing.worktreeStep)}${counts ? ` · ${counts}` : ''}`,
      tooltip: `Preparing the worktree of ${preparing.name}`,
      warning: false,
      target: { branchId: preparing.id },
    };
  if (running > 0)
    return {
      icon: 'loading~spin',
      text: `${counts}`,
      tooltip: 'Branchline: turns of agents',
      warning: false,
      target: { branchId: (active[0] as Turn).branchId, turnId: (active[0] as Turn).id },
    };
  if (queued > 0)
    return { icon: 'clock', text: `${counts}`, tooltip: 'Branchline: queued turns', warning: false, target: undefined };
  return undefined;
}

function attention(turn: Turn, counts: string): StatusText {
  return {
    icon: 'bell-dot',
    text: `Approval needed${counts ? ` · ${counts}` : ''}`,
    tooltip: turn.permission?.title ?? '',
    warning: true,
    target: { branchId: turn.branchId, turnId: turn.id },
  };
}

function brokenInWords(branch: Branch): string {
  if (branch.worktreeState === 'removalFailed') return `Removing "${branch.name}" failed: ${branch.worktreeError?.message ?? ''}`;
  if (branch.worktreeState === 'unreachable')
    return `The disk of the worktree of "${branch.name}" is not there now. Connect it; the queue goes on then.`;
  return branch.worktreeState === 'failed'
    ? `Preparing "${branch.name}" failed: ${branch.worktreeError?.message ?? ''}`
    : `"${branch.name}" is paused: a turn failed. Retry or skip it, or resume the queue.`;
}
