/**
 * Decides which turns start now and why the others wait. Pure: plain data in, plain data out; queue, tree, timeline and
 * composer all ask this one place.
 */
import type { Catalog } from '../agents/catalog.ts';
import { isActive } from '../model/transitions.ts';
import type { Branch, Turn, UnavailableKind, WaitingReason } from '../model/types.ts';
import type { Projection } from '../store/projection.ts';
import { isOfFuture, isProof } from './agentWaits.ts';

export interface BranchLine {
  id: string;
  worktreeState: Branch['worktreeState'];
  paused: Branch['paused'];
  /** Active and queued turns in the order they run (`compareTurns`). */
  line: readonly Pick<Turn, 'id' | 'sessionId' | 'state' | 'position'>[];
}

export interface QueueSnapshot {
  /** Branches that have work. */
  branches: { get(id: string): BranchLine | undefined; values(): Iterable<BranchLine> };
  /** Turns that have a place: those that are starting or running everywhere, but for those that wait for a person's answer. */
  active: number;
  /** Most turns that may be active at once. */
  limit: number;
  trusted: boolean;
  /** True when the agent of a session is defined and installed. */
  isInstalled: (sessionId: string) => boolean;
  /** What is known of the agent of a session, where that can't work now. */
  unavailable: (sessionId: string) => UnavailableAgent | undefined;
}

export interface UnavailableAgent {
  agent: string;
  kind: UnavailableKind;
  /** When it is tried again; null: when a person says so. */
  until: number | null;
  /** True when it is time, and no turn is at it: one may try. */
  mayTry: boolean;
}

export interface Circumstances {
  catalog: Catalog;
  limit: number;
  trusted: boolean;
  /** Turns that are being started and do not show as active yet. */
  inFlight: readonly string[];
  now: number;
}

export function queueSnapshot(state: Projection, { catalog, limit, trusted, inFlight, now }: Circumstances): QueueSnapshot {
  const lineOf = (id: string): BranchLine => {
    const { worktreeState, paused } = state.branch(id) as Branch;
    return { id, worktreeState, paused, line: state.line(id) };
  };
  const installed = new Map<string, boolean>();
  return {
    branches: {
      get: (id) => (state.line(id).length > 0 ? lineOf(id) : undefined),
      *values() {
        for (const id of state.branchesWithWork()) yield lineOf(id);
      },
    },
    limit,
    trusted,
    active: Array.from(state.active()).filter(({ permission }) => permission === null).length + inFlight.length,
    isInstalled: (sessionId) => {
      const agent = state.session(sessionId)?.agent ?? '';
      const answer = installed.get(agent) ?? catalog.isInstalled(agent);
      installed.set(agent, answer);
      return answer;
    },
    unavailable: (sessionId) => unavailableAgent(state, state.session(sessionId)?.agent ?? '', inFlight, now),
  };
}

function unavailableAgent(
  state: Projection,
  agent: string,
  inFlight: readonly string[],
  now: number,
): UnavailableAgent | undefined {
  const wait = state.agentWait(agent);
  if (!wait) return undefined;
  const { kind, until } = wait;
  const isOfAgent = (turn: Turn | undefined) => turn !== undefined && state.session(turn.sessionId)?.agent === agent;
  const isTried = () =>
    inFlight.some((turnId) => isOfAgent(state.turn(turnId))) ||
    Array.from(state.active()).some((turn) => isProof(turn, wait) && isOfAgent(turn));
  return { agent, kind, until, mayTry: until !== null && (until <= now || isOfFuture(wait, now)) && !isTried() };
}

/** Why the head of a branch's line does not start, or undefined when only a free place is missing. */
function reasonOf(branch: BranchLine, head: { sessionId: string }, snapshot: QueueSnapshot): WaitingReason | undefined {
  if (!snapshot.trusted) return 'trust';
  if (branch.paused !== 'no') return 'paused';
  if (branch.worktreeState !== 'ready') return 'worktree';
  if (!snapshot.isInstalled(head.sessionId)) return 'agent';
  const unavailable = snapshot.unavailable(head.sessionId);
  if (unavailable && !unavailable.mayTry) return unavailable.kind === 'signIn' ? 'signIn' : 'limit';
  return undefined;
}

/**
 * The turns to start now: the first of each branch on which nothing runs, as many as there are free places; the branch
 * whose first turn was queued earliest goes first. A full line elsewhere, a broken agent or a pause holds up its own branch only. Of an
 * agent that could not work, one turn tries.
 */
export function nextTurns(snapshot: QueueSnapshot, isStarting: (branchId: string) => boolean = () => false): string[] {
  const free = snapshot.limit - snapshot.active;
  if (free <= 0) return [];
  const able: BranchLine['line'][number][] = [];
  for (const branch of snapshot.branches.values()) {
    const head = branch.line[0];
    if (head && !isActive(head.state) && !isStarting(branch.id) && reasonOf(branch, head, snapshot) === undefined)
      able.push(head);
  }
  const tried = new Set<string>();
  return able
    .sort((a, b) => a.position - b.position || (a.id < b.id ? -1 : 1))
    .filter(({ sessionId }) => {
      const agent = snapshot.unavailable(sessionId)?.agent;
      if (agent === undefined) return true;
      return !tried.has(agent) && tried.add(agent);
    })
    .slice(0, free)
    .map((turn) => turn.id);
}

/** Why a queued turn waits; undefined for one that starts now, or that is not queued. */
export function waitingFor(
  turn: BranchLine['line'][number],
  snapshot: QueueSnapshot,
  branch: BranchLine | undefined,
): WaitingReason | undefined {
  if (turn.state !== 'queued' || !branch) return undefined;
  const reason = reasonOf(branch, turn, snapshot);
  if (reason === 'trust' || reason === 'paused' || reason === 'worktree') return reason;
  if (branch.line[0]?.id !== turn.id) return 'turn';
  return reason ?? (snapshot.active >= snapshot.limit ? 'capacity' : undefined);
}
