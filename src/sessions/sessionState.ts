/** The state of a session, derived from its turns (design: states). Pure. */
import { compareRows } from '../model/order.ts';
import { isActive } from '../model/transitions.ts';
import type { Branch, Session, SessionState, Turn } from '../model/types.ts';

export function sessionState(session: Session, turns: readonly Turn[], branch: Pick<Branch, 'worktreeState'>): SessionState {
  if (session.closed) return 'closed';
  const active = turns.find((turn) => isActive(turn.state));
  if (active) return active.permission ? 'needsApproval' : active.state === 'starting' ? 'starting' : 'running';
  if (turns.some((turn) => turn.state === 'queued'))
    return branch.worktreeState === 'ready' ? 'pendingStart' : 'pendingProvision';
  const last = turns.toSorted(compareRows).at(-1)?.state;
  if (last === 'failed' || last === 'interrupted' || last === 'cancelled') return last;
  return session.retired ? 'closed' : 'idle';
}
