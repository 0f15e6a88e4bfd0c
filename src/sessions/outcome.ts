/** What the transcript of a turn says about how far it came, for when its agent host is gone (pure). */
import type { TranscriptEntry } from '../model/transcript.ts';
import type { Turn } from '../model/types.ts';

export type Found =
  | { kind: 'ended'; entry: Extract<TranscriptEntry, { type: 'ended' }> }
  /** The agent may have the prompt: it is never sent again by itself (invariant 2). */
  | { kind: 'handedOver'; startSha: string | null }
  | { kind: 'notSent' };

export function outcomeOf(entries: readonly TranscriptEntry[], turn: Pick<Turn, 'id' | 'attempt'>): Found {
  const own = entries.filter((entry) => entry.turnId === turn.id && 'attempt' in entry && entry.attempt === turn.attempt);
  const ended = own.findLast((entry) => entry.type === 'ended');
  if (ended) return { kind: 'ended', entry: ended };
  const handover = own.findLast((entry) => entry.type === 'handover');
  return handover ? { kind: 'handedOver', startSha: handover.startSha ?? null } : { kind: 'notSent' };
}
