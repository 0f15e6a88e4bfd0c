/** What the transcript of a turn says about how far it came, for when its agent host is gone (pure). */
import type { TranscriptEntry } from '../model/transcript.ts';
import type { Turn } from '../model/types.ts';
import type { Beginning, Conclusion } from '../model/work.ts';

type Entry<T extends TranscriptEntry['type']> = Extract<TranscriptEntry, { type: T }>;

/** The agent may have the prompt: it is never sent again by itself (invariant 2). */
interface Sent {
  startSha: string | null;
  beginning: Beginning | null;
  /** What became of its work, where that was found out. */
  conclusion: Conclusion | null;
}

export type Found =
  | ({ kind: 'ended'; entry: Entry<'ended'> } & Sent)
  /** The agent has ended its turn; its work may not have been looked at. */
  | ({ kind: 'answered'; entry: Entry<'answered'> } & Sent)
  | ({ kind: 'handedOver' } & Sent)
  | { kind: 'notSent' };

export function outcomeOf(entries: readonly TranscriptEntry[], turn: Pick<Turn, 'id' | 'attempt'>): Found {
  const own = entries.filter((entry) => entry.turnId === turn.id && 'attempt' in entry && entry.attempt === turn.attempt);
  const last = <T extends TranscriptEntry['type']>(type: T) => own.findLast((entry): entry is Entry<T> => entry.type === type);
  const handover = last('handover');
  const sent: Sent = {
    startSha: handover?.startSha ?? null,
    beginning: handover?.beginning ?? null,
    conclusion: last('concluded')?.conclusion ?? null,
  };
  const ended = last('ended');
  if (ended) return { kind: 'ended', entry: ended, ...sent };
  const answered = last('answered');
  if (answered) return { kind: 'answered', entry: answered, ...sent };
  return handover ? { kind: 'handedOver', ...sent } : { kind: 'notSent' };
}
