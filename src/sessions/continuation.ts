/**
 * Goes on with a conversation that can't be continued, in a new session: what was asked and answered before is told in the new one's first
 * prompt, as a summary of ours. The old session stays as it is.
 */
import { RefusedError } from '../model/errors.ts';
import { compareRows } from '../model/order.ts';
import { isEnded } from '../model/transitions.ts';
import type { Attachment, Branch, Session, Turn } from '../model/types.ts';
import { attachmentPath } from '../store/attachments.ts';
import type { Projection } from '../store/projection.ts';
import { readTurn, transcriptPath } from '../store/transcripts.ts';
import type { Queue, QueuedIds } from './queue.ts';

/** Turns before this one that are told of, the latest ones. */
const mostTurns = 8;
/** Characters of a prompt, from its beginning, and of an answer, from its end. */
const mostOfPrompt = 2_000;
const mostOfAnswer = 1_500;
const mostFiles = 50;

export interface EarlierTurn {
  prompt: string;
  /** What the agent said last. */
  answer: string;
  /** Files that it changed, as its tool calls name them. */
  files: readonly string[];
}

/** The first prompt of the new session. Pure. */
export function continuationPrompt(earlier: readonly EarlierTurn[], prompt: string): string {
  const files = [...new Set(earlier.flatMap((turn) => turn.files))];
  const told = earlier.flatMap(({ prompt: asked, answer }, index) => [
    `## Asked, ${index + 1} of ${earlier.length}`,
    asked.length > mostOfPrompt ? `${asked.slice(0, mostOfPrompt)} …` : asked,
    '',
    ...(answer === '' ? [] : ['## Answered', answer.length > mostOfAnswer ? `… ${answer.slice(-mostOfAnswer)}` : answer, '']),
  ]);
  if (told.length === 0) return prompt;
  return [
    'This goes on with work from an earlier conversation, which can not be continued. This is what was said in it; what it changed is in the files.',
    '',
    ...told,
    ...(files.length > 0
      ? [`Files that were changed: ${files.slice(0, mostFiles).join(', ')}${files.length > mostFiles ? ', …' : ''}.`, '']
      : []),
    '## To be done now',
    prompt,
  ].join('\n');
}

export interface ContinuationOptions {
  state: Projection;
  queue: Queue;
  /** The storage's folder. */
  folder: string;
}

/** True for a turn that did not come to its end in a conversation that its agent can't go on with. */
export const canGoOnElsewhere = (turn: Turn, session: Pick<Session, 'retired' | 'closed'>): boolean =>
  session.retired !== null && !session.closed && isEnded(turn.state) && turn.state !== 'completed';

/** Turns that are being gone on with: a second click does not do the work twice. */
const underWay = new Set<string>();

/** Queues a new session, next in its branch's line, that does what this turn was to do. Rejects with RefusedError. */
export async function goOnElsewhere(turnId: string, options: ContinuationOptions): Promise<QueuedIds> {
  if (underWay.has(turnId)) throw new RefusedError(queuedAlready);
  underWay.add(turnId);
  try {
    return await continueTurn(turnId, options);
  } finally {
    underWay.delete(turnId);
  }
}

const queuedAlready = 'A new session that goes on with this turn is queued already.';

async function continueTurn(turnId: string, { state, queue, folder }: ContinuationOptions): Promise<QueuedIds> {
  const turn = state.turn(turnId);
  const session = turn && state.session(turn.sessionId);
  const branch = session && state.branch(session.branchId);
  if (!turn || !session || !branch) throw new RefusedError('This turn is not in the queue any more.');
  if (!canGoOnElsewhere(turn, session))
    throw new RefusedError('This conversation can still be continued. Retry the turn, or queue a follow-up.');
  const before = state
    .turnsOf(session.id)
    .toSorted(compareRows)
    .filter((one) => one.id !== turn.id && isEnded(one.state) && one.attempt > 0)
    .slice(-mostTurns);
  const path = transcriptPath(folder, session.id);
  const earlier = await Promise.all(before.map((one) => toldOf(path, one, branch)));
  const prompt = continuationPrompt(earlier, turn.prompt);
  const isSame = (other: Turn) =>
    other.prompt === prompt && other.sessionId !== session.id && state.session(other.sessionId)?.title === session.title;
  if (state.line(branch.id).some(isSame)) throw new RefusedError(queuedAlready);
  return queue.enqueue({
    repository: branch.repository,
    branch: branch.name,
    kind: session.kind,
    agent: session.agent,
    title: session.title,
    prompt,
    attachments: turn.attachments.map(({ name, mimeType, sha256 }: Attachment) => ({
      name,
      mimeType,
      path: attachmentPath(folder, sha256),
    })),
    runsNext: true,
  });
}

async function toldOf(path: string, { id, prompt }: Turn, { worktreePath }: Branch): Promise<EarlierTurn> {
  const { entries } = await readTurn(path, id);
  let answer = '';
  const files: string[] = [];
  for (const entry of entries) {
    if (entry.type === 'text' && entry.role === 'agent') answer += entry.text;
    else if (entry.type === 'tool') {
      if (entry.status !== undefined) answer = ''; // What it said before its tools ran is not its answer.
      for (const one of entry.content ?? []) {
        const { type, path: changed } = one as { type?: unknown; path?: unknown };
        if (type === 'diff' && typeof changed === 'string') files.push(changed.replace(`${worktreePath ?? ''}/`, ''));
      }
    }
  }
  return { prompt, answer: answer.trim(), files };
}
