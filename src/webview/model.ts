/** What the timeline shows of the store, for one scope. Pure. */
import type { Catalog } from '../agents/catalog.ts';
import { compareRows } from '../model/order.ts';
import { isActive, isEnded } from '../model/transitions.ts';
import { type Branch, provisioningSteps, type Session, type Turn, type WaitingReason } from '../model/types.ts';
import { canGoOnElsewhere } from '../sessions/continuation.ts';
import { type QueueSnapshot, waitingFor } from '../sessions/nextTurn.ts';
import {
  stepWords,
  turnInWords,
  turnTitle,
  waitingInWords,
  worktreeInWords,
  canRetryProvisioning,
  heldInWords,
} from '../sessions/words.ts';
import { unavailableAgents } from '../sessions/unavailableAgents.ts';
import type { Projection } from '../store/projection.ts';
import type { BranchInfo, Meta, Row, RowStats, Scope } from './protocol.ts';

const promptShown = 600;
const historyKept = 30;

export interface ModelContext {
  state: Projection;
  queue: QueueSnapshot;
  catalog: Catalog;
  defaultAgent: string;
  readOnly: string | null;
  canTakeOver: boolean;
  hasRepository: boolean;
  now: number;
  stats: (turn: Turn) => RowStats | undefined;
  /** Sessions whose transcript holds the scope's query. */
  found: ReadonlySet<string>;
}

export interface Model {
  branches: BranchInfo[];
  rows: Row[];
  meta: Meta;
}

export function modelOf(scope: Scope, context: ModelContext): Model {
  const { state } = context;
  const branches = Array.from(state.branches()).filter((branch) => branch.worktreeState !== 'removed');
  const shown = scope.branchId === null ? branches : branches.filter((branch) => branch.id === scope.branchId);
  const fits = filterOf(scope, context);
  const ended: Turn[] = [];
  const line: Turn[] = [];
  for (const branch of shown) {
    line.push(...state.line(branch.id).filter(fits));
    for (const session of state.sessionsOf(branch.id)) {
      for (const turn of state.turnsOf(session.id)) if (isEnded(turn.state) && fits(turn)) ended.push(turn);
    }
  }
  ended.sort(compareRows);
  line.sort(compareRows);
  const queuedFrom = line.findIndex((turn) => !isActive(turn.state));
  const active = queuedFrom < 0 ? line : line.slice(0, queuedFrom);
  const queued = queuedFrom < 0 ? [] : line.slice(queuedFrom);
  const turns = [...ended.slice(Math.max(0, ended.length - scope.ended)), ...active, ...queued.slice(0, scope.queued)];
  return {
    branches: branches.map((branch) => branchInfo(branch, context)),
    rows: turns.flatMap((turn) => rowOf(turn, context) ?? []),
    meta: {
      agents: context.catalog.all().map(({ id, name }) => ({ id, name, installed: context.catalog.isInstalled(id) })),
      waitingAgents: unavailableAgents(state, { nameOf: (id) => context.catalog.find(id)?.name ?? id, now: context.now }).map(
        ({ agent, words, said }) => ({ agent, words, said }),
      ),
      defaultAgent: context.defaultAgent,
      trusted: context.queue.trusted,
      readOnly: context.readOnly,
      canTakeOver: context.canTakeOver,
      hasRepository: context.hasRepository,
      history: historyOf([...queued, ...active, ...ended.toReversed()]),
      moreEnded: Math.max(0, ended.length - scope.ended),
      moreQueued: Math.max(0, queued.length - scope.queued),
    },
  };
}

function filterOf(scope: Scope, { state, found }: ModelContext): (turn: Turn) => boolean {
  const query = scope.query.trim().toLowerCase();
  return (turn) => {
    const session = state.session(turn.sessionId);
    if (!session) return false;
    if (scope.states.length > 0 && !scope.states.includes(turn.state)) return false;
    if (scope.agents.length > 0 && !scope.agents.includes(session.agent)) return false;
    if (scope.kinds.length > 0 && !scope.kinds.includes(session.kind)) return false;
    return (
      query === '' ||
      session.title.toLowerCase().includes(query) ||
      turn.prompt.toLowerCase().includes(query) ||
      found.has(session.id)
    );
  };
}

function historyOf(turns: readonly Turn[]): string[] {
  return [...new Set(turns.toSorted((a, b) => b.queuedAt - a.queuedAt).map((turn) => turn.prompt))].slice(0, historyKept);
}

export function rowOf(turn: Turn, context: ModelContext): Row | undefined {
  const { state, queue, catalog, stats } = context;
  const session = state.session(turn.sessionId);
  const branch = state.branch(turn.branchId);
  if (!session || !branch) return undefined;
  const line = state.line(branch.id);
  const place = state.placeOf(turn);
  const agent = catalog.find(session.agent)?.name ?? session.agent;
  const queued = turn.state === 'queued';
  const known = stats(turn);
  return {
    id: turn.id,
    sessionId: session.id,
    branchId: branch.id,
    branch: branch.name,
    kind: session.kind,
    title: turnTitle(turn, session, state.turnsOf(session.id)[0]?.id),
    agent,
    state: turn.state,
    words: queued
      ? waitingInWords({
          reason: waitingFor(turn, queue, queue.branches.get(branch.id)),
          ahead: place,
          limit: queue.limit,
          agent,
          worktree: branch,
          unavailable: queue.unavailable(turn.sessionId),
          now: context.now,
        })
      : turnInWords(turn),
    prompt: turn.prompt.slice(0, promptShown),
    attachments: turn.attachments,
    queuedAt: turn.queuedAt,
    startedAt: turn.startedAt,
    endedAt: turn.endedAt,
    error: turn.error?.message ?? null,
    held: heldInWords(turn.commit, branch.name) ?? null,
    canGoOnElsewhere: canGoOnElsewhere(turn, session),
    left: turn.commit?.state === 'held' || (isEnded(turn.state) && turn.work?.ref !== undefined),
    permission: turn.permission,
    unread: session.unread && isEnded(turn.state),
    up: queued && place > (line[0]?.state === 'queued' ? 0 : 1),
    down: queued && place < line.length - 1,
    canFollowUp: canFollowUp(session),
    hasChanges: turn.startSha !== null || (session.kind === 'review' && session.tipSha !== null),
    ...(known ? { stats: known } : {}),
  };
}

const canFollowUp = (session: Session): boolean => !session.closed && session.retired === null;

function branchInfo(branch: Branch, { state, queue }: ModelContext): BranchInfo {
  const line = state.line(branch.id);
  const running = line.filter((turn) => isActive(turn.state)).length;
  const at = branch.worktreeStep ? provisioningSteps.indexOf(branch.worktreeStep) : -1;
  const making =
    branch.worktreeState === 'provisioning' ||
    branch.worktreeState === 'queued' ||
    branch.worktreeState === 'failed' ||
    branch.worktreeState === 'missing';
  return {
    id: branch.id,
    name: branch.name,
    repository: branch.repository,
    state: branch.worktreeState,
    steps: making
      ? provisioningSteps.map((step, index) => ({
          name: stepWords[step],
          at:
            index < at
              ? ('done' as const)
              : index > at || branch.worktreeState === 'queued'
                ? ('next' as const)
                : branch.worktreeState === 'failed'
                  ? ('failed' as const)
                  : ('now' as const),
        }))
      : [],
    words:
      worktreeInWords(branch) ??
      (branch.backgroundSetup === 'running'
        ? 'Running background setup'
        : branch.backgroundSetup === 'failed'
          ? 'Background setup failed'
          : null),
    error: branch.worktreeError?.message ?? null,
    since: branch.changedAt,
    paused: branch.paused,
    held: state.held(branch.id).length > 0,
    unread: branch.unread,
    canRetry: canRetryProvisioning(branch),
    running,
    queued: line.length - running,
    nextWaits: nextWaits(branch, line.length, queue),
  };
}

/** Why a turn that is written now would wait (requirement 13). Whether its agent is there depends on the agent. */
function nextWaits(branch: Branch, ahead: number, queue: QueueSnapshot): WaitingReason | null {
  if (!queue.trusted) return 'trust';
  if (branch.paused !== 'no') return 'paused';
  if (branch.worktreeState !== 'ready') return 'worktree';
  if (ahead > 0) return 'turn';
  return queue.active >= queue.limit ? 'capacity' : null;
}
