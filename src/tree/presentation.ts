/** What a row of the tree says and looks like, as plain data: pure, so that it is tested without VS Code. */
import { basename } from 'node:path';
import { isActive, isEnded, isPreparing } from '../model/transitions.ts';
import type { Branch, Session, Turn } from '../model/types.ts';
import { canGoOnElsewhere } from '../sessions/continuation.ts';
import { type QueueSnapshot, waitingFor } from '../sessions/nextTurn.ts';
import {
  canRetryProvisioning,
  clockTime,
  duration,
  heldInWords,
  pauseInWords,
  needsUser,
  preparationInWords,
  turnInWords,
  turnTitle,
  waitingInWords,
  workInWords,
  worktreeInWords,
} from '../sessions/words.ts';
import type { Projection } from '../store/projection.ts';
import type { Node } from './nodes.ts';

export interface Row {
  id: string;
  label: string;
  description: string;
  /** A codicon, with its theme colour. */
  icon: string;
  colour?: string;
  /** Lines of plain text; nothing in them is ever taken for markup. */
  tooltip: string[];
  accessibleLabel: string;
  /** Flags for `when` clauses, each between dots. */
  flags: string[];
  collapsible: 'none' | 'expanded' | 'collapsed';
}

export interface PresentationContext {
  state: Projection;
  queue: QueueSnapshot;
  agentName: (id: string) => string;
  now: number;
}

const kindWords = { commit: 'Commit', note: 'Note', review: 'Review' } as const;
const endedIcons: Record<string, [icon: string, colour?: string]> = {
  failed: ['error', 'testing.iconFailed'],
  cancelled: ['circle-slash', 'disabledForeground'],
  interrupted: ['debug-disconnect', 'list.warningForeground'],
};
const completedIcons = { commit: 'git-commit', note: 'note', review: 'eye' } as const;

export function rowOf(node: Node, context: PresentationContext): Row | undefined {
  switch (node.type) {
    case 'repository':
      return {
        id: `repository:${node.repository}`,
        label: basename(node.repository),
        description: '',
        icon: 'repo',
        tooltip: [node.repository],
        accessibleLabel: `Repository ${basename(node.repository)}`,
        flags: ['repository'],
        collapsible: 'expanded',
      };
    case 'earlier':
      return {
        id: `earlier:${node.branchId}`,
        label: `Show ${node.count} earlier`,
        description: '',
        icon: 'history',
        tooltip: ['Shows turns that ended earlier'],
        accessibleLabel: `Show ${node.count} earlier turns`,
        flags: ['earlier'],
        collapsible: 'none',
      };
    case 'branch':
      return branchRow(context, context.state.branch(node.branchId));
    case 'worktree':
      return worktreeRow(context, context.state.branch(node.branchId));
    case 'turn':
      return turnRow(context, context.state.turn(node.turnId));
  }
}

function branchRow({ state, queue, now }: PresentationContext, branch: Branch | undefined): Row | undefined {
  if (!branch) return undefined;
  const line = state.line(branch.id);
  const active = line.find((turn) => isActive(turn.state));
  const queued = line.length - Number(active !== undefined);
  const asks = active !== undefined && needsUser(active);
  const unread = branch.unread || state.sessionsOf(branch.id).some((session) => session.unread);
  const worktree = worktreeInWords(branch);
  const parts: string[] = [];
  const pause = pauseInWords(branch.paused, state.held(branch.id).length > 0);
  if (pause) parts.push(pause);
  if (worktree && branch.worktreeState !== 'queued') parts.push(worktree);
  else if (asks) parts.push('needs your approval');
  else if (active) parts.push('running');
  else if (!queue.trusted && queued > 0) parts.push('workspace is not trusted');
  if (queued > 0) parts.push(`${queued} queued`);
  const description = parts.join(' · ');
  const [icon, colour] = branchIcon(branch, active, asks);
  return {
    id: `branch:${branch.id}`,
    label: branch.name,
    description: `${unread ? '● ' : ''}${description}`,
    icon,
    ...(colour ? { colour } : {}),
    tooltip: [
      branch.name,
      ...(description ? [description] : []),
      branch.repository,
      branch.worktreePath ? `Worktree: ${branch.worktreePath}` : 'No worktree yet',
      ...(branch.base ? [`From: ${branch.base}`] : []),
      ...(branch.worktreeError ? [branch.worktreeError.message] : []),
      ...preparationInWords(branch),
      ...(worktree ? [`For ${duration(now - branch.changedAt)}`] : []),
    ],
    accessibleLabel: `Branch ${branch.name}${description ? `, ${description}` : ''}${unread ? ', unread' : ''}`,
    flags: [
      'branch',
      branch.worktreeState,
      branch.paused === 'no' ? 'running' : 'paused',
      ...(branch.worktreePath ? ['path'] : []),
      ...(canRetryProvisioning(branch) ? ['retry'] : []),
    ],
    collapsible: line.length > 0 || branch.worktreeState !== 'ready' ? 'expanded' : 'collapsed',
  };
}

function branchIcon(branch: Branch, active: Turn | undefined, asks: boolean): [string, string?] {
  if (branch.worktreeState === 'failed' || branch.worktreeState === 'removalFailed') return ['error', 'testing.iconFailed'];
  if (branch.worktreeState === 'unreachable') return ['debug-disconnect', 'list.warningForeground'];
  if (branch.worktreeState === 'provisioning' || branch.worktreeState === 'removing')
    return ['loading~spin', 'disabledForeground'];
  if (asks) return ['bell-dot', 'notificationsWarningIcon.foreground'];
  if (branch.paused !== 'no') return ['debug-pause', 'list.warningForeground'];
  if (active) return ['loading~spin', 'progressBar.background'];
  return ['git-branch'];
}

function worktreeRow({ now }: PresentationContext, branch: Branch | undefined): Row | undefined {
  if (!branch) return undefined;
  const beside = branch.worktreeState === 'ready';
  const failed =
    branch.worktreeState === 'failed' ||
    branch.worktreeState === 'removalFailed' ||
    (beside && branch.backgroundSetup === 'failed');
  const label = beside ? (failed ? 'Background setup failed' : 'Running background setup') : (worktreeInWords(branch) as string);
  const message = branch.worktreeError?.message;
  const time = now - branch.changedAt;
  return {
    id: `worktree:${branch.id}`,
    label,
    description: failed ? ((message ?? '').split('\n')[0] as string) : time < clockTime ? '' : duration(time),
    icon: failed ? 'error' : isPreparing(branch) ? 'loading~spin' : 'clock',
    colour: failed ? 'testing.iconFailed' : 'disabledForeground',
    tooltip: [label, ...(message ? [message] : []), ...(branch.worktreePath ? [branch.worktreePath] : [])],
    accessibleLabel: `Worktree of ${branch.name}: ${label}${failed && message ? `, ${message}` : ''}`,
    flags: ['worktree', ...(failed ? ['retry'] : []), ...(branch.worktreeState === 'provisioning' ? ['stop'] : []), 'log'],
    collapsible: 'none',
  };
}

function turnRow({ state, queue, agentName, now }: PresentationContext, turn: Turn | undefined): Row | undefined {
  const session = turn && state.session(turn.sessionId);
  const branch = turn && state.branch(turn.branchId);
  if (!turn || !session || !branch) return undefined;
  const label = turnTitle(turn, session, state.turnsOf(session.id)[0]?.id);
  const kind = session.kind === 'commit' ? [] : [session.kind];
  const agent = agentName(session.agent);
  const unread = session.unread && isEnded(turn.state);
  const status = turn.state === 'queued' ? waitsInWords(turn, session, branch, state, queue, agent, now) : turnInWords(turn);
  const time = turn.startedAt === null ? [] : [duration((turn.endedAt ?? now) - turn.startedAt)];
  const line = state.line(branch.id);
  const place = state.placeOf(turn);
  const first = place === 0 || (place === 1 && line[0]?.state !== 'queued');
  const last = place === line.length - 1;
  const [icon, colour] = turnIcon(turn, session);
  const held = heldInWords(turn.commit, branch.name);
  return {
    id: `turn:${turn.id}`,
    label,
    description: `${unread ? '● ' : ''}${[...kind, ...(turn.state === 'completed' && !held ? [] : [status]), ...(isActive(turn.state) ? [] : time)].join(' · ')}`,
    icon,
    ...(colour ? { colour } : {}),
    tooltip: [
      label,
      `${kindWords[session.kind]} by ${agent}, ${status}`,
      `Queued ${new Date(turn.queuedAt).toLocaleString()}`,
      ...(turn.startedAt === null ? [] : [`Started ${new Date(turn.startedAt).toLocaleString()}`]),
      ...(turn.endedAt === null ? [] : [`Ended ${new Date(turn.endedAt).toLocaleString()}${time[0] ? ` after ${time[0]}` : ''}`]),
      ...(turn.attachments.length > 0 ? [`Attachments: ${turn.attachments.map(({ name }) => name).join(', ')}`] : []),
      ...(turn.error ? [turn.error.message] : []),
      ...(held ? [held] : []),
      ...workInWords(turn.work),
      ...(turn.permission ? [`Asks: ${turn.permission.title}`] : []),
      ...(session.retired ? [session.retired] : []),
    ],
    accessibleLabel: `${kindWords[session.kind]} ${label}, ${status}${held ? `, ${held}` : ''}${place > 0 && turn.state === 'queued' ? `, place ${place + 1}` : ''}${unread ? ', unread' : ''}`,
    flags: [
      'turn',
      turn.state,
      session.kind,
      ...(isActive(turn.state) ? ['active'] : []),
      ...(needsUser(turn) ? ['asks'] : []),
      ...(turn.state === 'queued' && !first ? ['up'] : []),
      ...(turn.state === 'queued' && !last ? ['down'] : []),
      ...(isEnded(turn.state) && turn.state !== 'completed' ? ['retry'] : []),
      ...(held ? ['held'] : []),
      ...(held || (isEnded(turn.state) && turn.work?.ref !== undefined) ? ['left'] : []),
      ...(isEnded(turn.state) && turn.startTree !== null ? ['begun'] : []),
      ...(canGoOnElsewhere(turn, session) ? ['goOn'] : []),
      ...(turn.startSha ? ['changes'] : []),
      ...(session.closed || session.retired ? [] : ['open']),
    ],
    collapsible: 'none',
  };
}

function waitsInWords(
  turn: Turn,
  session: Session,
  branch: Branch,
  state: Projection,
  queue: QueueSnapshot,
  agent: string,
  now: number,
): string {
  return waitingInWords({
    reason: waitingFor(turn, queue, queue.branches.get(branch.id)),
    ahead: state.placeOf(turn),
    limit: queue.limit,
    agent: agent || session.agent,
    worktree: branch,
    unavailable: queue.unavailable(turn.sessionId),
    now,
  });
}

function turnIcon(turn: Turn, session: Session): [string, string?] {
  if (turn.state === 'queued') return ['clock'];
  if (needsUser(turn)) return ['bell-dot', 'notificationsWarningIcon.foreground'];
  if (isActive(turn.state)) return ['loading~spin', 'progressBar.background'];
  if (turn.commit?.state === 'held') return ['warning', 'list.warningForeground'];
  if (turn.state === 'completed') return [completedIcons[session.kind], 'testing.iconPassed'];
  return (endedIcons[turn.state] ?? ['circle-outline']) as [string, string?];
}
