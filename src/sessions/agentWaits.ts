/**
 * Agents that can't work now: what their turns met is kept as one fact about each agent, and the turns go back to their places. The loop
 * (`nextTurns`) leaves them alone until it is time, and then lets one turn try; what becomes of that one changes the fact.
 */
import { nextWait } from '../agents/availability/nextWait.ts';
import { notRun } from '../model/rows.ts';
import { turnTransition } from '../model/transitions.ts';
import type { AgentWait, Turn } from '../model/types.ts';
import type { Unavailable } from '../model/unavailable.ts';
import type { Conclusion } from '../model/work.ts';
import type { Transaction } from '../store/store.ts';

/** Most times that a turn goes on after its agent stopped being able to work in the middle of it. */
export const mostGoOns = 3;

/** What an agent is told that goes on with a turn. */
export const goOnWord = 'You were interrupted because you could not work for a while. Go on from where you left off.';

export interface WaitOptions {
  now: () => number;
  onLimit: () => 'wait' | 'pause';
}

/**
 * Keeps what a turn met, and puts the turn back to its place. False for one that had begun and has gone on too often: it fails like any
 * other, with what its agent said.
 */
export function waitForAgent(
  tx: Transaction,
  turn: Turn,
  met: Unavailable,
  conclusion: Conclusion | null,
  { now, onLimit }: WaitOptions,
): boolean {
  const session = tx.get('session', turn.sessionId);
  if (!session) return false;
  keepFact(tx, session.agent, met, { now: now(), startedAt: turn.startedAt });
  // What could not be looked at may have been changed.
  const hasChanged = conclusion ? conclusion.work.files > 0 : met.beginning !== undefined;
  const begun = met.begun || (turn.goesOn === null && hasChanged);
  const times = (turn.goesOn?.times ?? 0) + 1;
  if (begun && times > mostGoOns) return false;
  const goesOn = begun && met.beginning ? { times, beginning: met.beginning } : turn.goesOn;
  tx.update('turn', turn.id, {
    ...notRun,
    ...doneSoFar(turn, goesOn, conclusion),
    state: turnTransition(turn.state, 'queued'),
    goesOn,
  });
  tx.event('waits', turn.branchId, turn.id);
  if (onLimit() === 'pause') tx.update('branch', turn.branchId, { paused: 'user' });
  return true;
}

/** What a turn that has begun has done so far: it may be cancelled while it waits, or never be able to go on. */
function doneSoFar(turn: Turn, goesOn: Turn['goesOn'], conclusion: Conclusion | null): Partial<Turn> {
  if (!goesOn) return {};
  const { head, tree } = goesOn.beginning;
  const { endSha, endTree, work } = conclusion
    ? { endSha: conclusion.head, endTree: conclusion.tree, work: conclusion.work }
    : turn;
  return { startSha: head, startTree: tree, endSha, endTree, work };
}

function keepFact(
  tx: Transaction,
  agent: string,
  { kind, until, said }: Unavailable,
  { now, startedAt }: { now: number; startedAt: number | null },
): void {
  const known = tx.get('agentWait', agent);
  const isSameKind = known?.kind === kind;
  // One that ran beside the turn that met it first has tried nothing: it says the same once more.
  const isSame = isSameKind && !isProof({ startedAt }, known);
  const times = isSame ? known.times : isSameKind ? known.times + 1 : 1;
  const row: AgentWait = {
    id: agent,
    kind,
    until: until ?? (kind === 'signIn' ? null : isSame ? known.until : now + nextWait(times)),
    said,
    metAt: now,
    times,
  };
  if (known) tx.update('agentWait', agent, row);
  else tx.insert('agentWait', row);
}

/** True when what an agent does in this turn shows that it can work again: it was started after the agent last could not. */
export const isProof = ({ startedAt }: Pick<Turn, 'startedAt'>, { metAt }: AgentWait): boolean => (startedAt ?? 0) >= metAt;

/** An agent has worked for a turn. */
export function agentWorks(tx: Transaction, agent: string, turn: Pick<Turn, 'startedAt'>): void {
  const known = tx.get('agentWait', agent);
  if (known && isProof(turn, known)) tx.remove('agentWait', agent);
}

/** Milliseconds that a clock may be set back without being taken for one that was wrong. */
const clockSlack = 60_000;

/** True where an agent could not work in what is the future now: the clock was wrong, and so is the time that was made of it. */
export const isOfFuture = ({ metAt }: Pick<AgentWait, 'metAt'>, now: number): boolean => metAt - now > clockSlack;

/** A turn of this agent starts: what it does counts for more than what was met before, whatever the clock said then. */
export function beginsToTry(tx: Transaction, agent: string, now: number): void {
  const known = tx.get('agentWait', agent);
  if (known && known.metAt > now) tx.update('agentWait', agent, { metAt: now });
}

/** A person says that it is time. */
export function tryAgent(tx: Transaction, agent: string, now: number): void {
  if (tx.get('agentWait', agent)) tx.update('agentWait', agent, { until: now });
}
