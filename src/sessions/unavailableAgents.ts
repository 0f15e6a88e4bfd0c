/** Agents that can't work now and for which turns wait, in words: one line for each, whatever number of branches waits. Pure. */
import type { UnavailableKind } from '../model/types.ts';
import type { Projection } from '../store/projection.ts';

export interface UnavailableAgentLine {
  agent: string;
  kind: UnavailableKind;
  /** `Claude Code has reached its limit until 03:10; 6 branches wait.` */
  words: string;
  /** The agent's own words. */
  said: string;
  waiting: number;
}

export interface UnavailableContext {
  nameOf: (agent: string) => string;
  now: number;
}

/** Those for which the next turn of some branch waits; others are nobody's concern now. */
export function unavailableAgents(state: Projection, { nameOf, now }: UnavailableContext): UnavailableAgentLine[] {
  const waiting = new Map<string, number>();
  const waits = new Map(Array.from(state.agentWaits(), (wait) => [wait.id, wait]));
  if (waits.size === 0) return [];
  for (const branchId of state.branchesWithWork()) {
    const head = state.line(branchId)[0];
    const agent = head?.state === 'queued' ? state.session(head.sessionId)?.agent : undefined;
    if (agent !== undefined && waits.has(agent) && state.branch(branchId)?.paused === 'no')
      waiting.set(agent, (waiting.get(agent) ?? 0) + 1);
  }
  return Array.from(waiting, ([agent, number]) => {
    const { kind, until, said } = waits.get(agent) as NonNullable<ReturnType<typeof waits.get>>;
    const words = `${nameOf(agent)} ${unavailableInWords(kind, until, now)}; ${number === 1 ? '1 branch waits' : `${number} branches wait`}.${kind === 'signIn' && until === null ? ' Then try it now.' : ''}`;
    return { agent, kind, words, said, waiting: number };
  });
}

/** What keeps an agent from work, to be read behind its name: `has reached its limit until 03:10`. */
export function unavailableInWords(kind: UnavailableKind, until: number | null, now: number): string {
  const isDue = until !== null && until <= now;
  const again = isDue ? 'is being tried again' : until === null ? '' : `is tried again at ${momentInWords(until, now)}`;
  switch (kind) {
    case 'limit':
      return isDue || until === null
        ? `had reached its limit${again ? ` and ${again}` : ''}`
        : `has reached its limit until ${momentInWords(until, now)}`;
    case 'signIn':
      return isDue ? 'wanted a sign-in and is being tried again' : 'needs you to sign in with its own command';
    case 'offline':
      return `can't reach its service${again ? ` and ${again}` : ''}`;
  }
}

/** `03:10`, with the day where that is another one. In the zone of this machine. */
export function momentInWords(at: number, now: number): string {
  const moment = new Date(at);
  const time = moment.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
  if (moment.toDateString() === new Date(now).toDateString()) return time;
  const isSoon = at - now < 6 * 24 * 60 * 60_000;
  return `${moment.toLocaleDateString(undefined, isSoon ? { weekday: 'short' } : { day: 'numeric', month: 'short' })} ${time}`;
}
