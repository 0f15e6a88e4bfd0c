/** Commands on turns of the queue. */
import * as vscode from 'vscode';
import { titleFromPrompt } from '../model/branchNames.ts';
import { messageOf, RefusedError } from '../model/errors.ts';
import { isActive, isEnded } from '../model/transitions.ts';
import type { Turn } from '../model/types.ts';
import { compareTurns } from '../model/order.ts';
import { needsUser, turnInWords } from '../sessions/words.ts';
import { pick, tell } from '../surfaces.ts';
import { blockMoves } from '../tree/moves.ts';
import { type Call, type CommandContext, engineOf, ownerOf, register, turnOf } from './context.ts';
import { askForPrompt } from './prompts.ts';

const isQueued = (turn: Turn): boolean => turn.state === 'queued';
const canRetry = (turn: Turn): boolean => isEnded(turn.state) && (turn.state !== 'completed' || turn.commit?.state === 'held');

/** What a command does to turns: to one that is named or picked, or to all that are selected. */
interface TurnAction {
  fits: (turn: Turn) => boolean;
  /** Asked where no turn is named. */
  question: string;
  /** What has been done to those it was done to, as in "2 turns were ...". */
  done: string;
  /** What to do about those that it can't be done to. */
  otherwise: string;
  /** For turns in the order of their lines. */
  act: (turns: readonly Turn[]) => Promise<void>;
}

export function turnCommands(context: CommandContext): vscode.Disposable[] {
  const titleOf = (turn: Turn): string => engineOf(context).state.session(turn.sessionId)?.title ?? 'A turn';

  /** Does what can be done of it, and says what could not; resolves with the id of a turn that it was done to. */
  const toTurns = async (call: Call, { fits, question, done, otherwise, act }: TurnAction): Promise<string | undefined> => {
    const { state } = engineOf(context);
    const ids = new Set(call.selected.flatMap((node) => (node.type === 'turn' ? [node.turnId] : [])));
    const selected = Array.from(ids, (id) => state.turn(id)).filter((turn) => turn !== undefined);
    if (selected.length < 2) {
      const turn = await turnOf(context, call, fits, question);
      if (turn) await act([turn]);
      return turn?.id;
    }
    const able = selected.filter(fits).sort(compareTurns);
    const unable = selected.filter((turn) => !fits(turn));
    const [first] = unable;
    const which =
      first &&
      `"${titleOf(first)}" is ${turnInWords(first)}${unable.length > 1 ? `, and ${unable.length - 1} more can't be either` : ''}`;
    if (able.length === 0)
      throw new RefusedError(`None of the ${selected.length} turns could be ${done}: ${which}. ${otherwise}`);
    await act(able);
    if (which)
      void tell(
        'warning',
        `${able.length} of ${selected.length} turns ${able.length === 1 ? 'was' : 'were'} ${done}: ${which}. ${otherwise}`,
      );
    return able[0]?.id;
  };
  const queue = async () => (await ownerOf(context)).queue;
  /** One after the other. Where one is refused, the others are done all the same, and it is told. */
  const one =
    (action: (turn: Turn) => Promise<unknown>): TurnAction['act'] =>
    async (turns) => {
      const refused: unknown[] = [];
      for (const turn of turns) {
        try {
          await action(turn);
        } catch (error) {
          if (!(error instanceof RefusedError) || turns.length === 1) throw error;
          refused.push(new RefusedError(`"${titleOf(turn)}": ${error.message}`));
        }
      }
      if (refused.length > 0) throw refused[0];
    };
  /** Moves what is selected of each line as a block. */
  const asBlock =
    (direction: 'up' | 'down'): TurnAction['act'] =>
    async (turns) => {
      const { state } = engineOf(context);
      const selected = new Set(turns.map(({ id }) => id));
      for (const branchId of new Set(turns.map((turn) => turn.branchId))) {
        const line = state.line(branchId).flatMap((turn) => (isQueued(turn) ? [turn.id] : []));
        for (const id of blockMoves(line, selected, direction)) await (await queue()).moveBy(id, direction === 'up' ? -1 : 1);
      }
    };
  const moving = { fits: isQueued, done: 'moved', otherwise: 'Only turns that are queued can be moved.' };

  return [
    register(context, 'sendNow', 'turnId', (call) =>
      toTurns(call, {
        fits: isQueued,
        question: 'Which turn should run next, in place of the one that runs?',
        done: 'sent now',
        otherwise: 'Only turns that are queued can be sent now.',
        act: async (turns) => {
          if (new Set(turns.map((turn) => turn.branchId)).size < turns.length)
            throw new RefusedError(
              'Only one turn of a branch can run next, and it cancels what runs. Select one of each branch.',
            );
          await one(async (turn) => (await queue()).sendNow(turn.id))(turns);
        },
      }),
    ),
    register(context, 'editQueued', 'turnId', async (call, second) => {
      const turn = await turnOf(context, call, isQueued, 'Which queued turn do you want to edit?');
      if (!turn) return undefined;
      const given =
        typeof second === 'string'
          ? second
          : ((typeof call.input === 'object' ? call.input : second) as { prompt?: unknown } | undefined)?.prompt;
      if (call.byProgram && typeof given !== 'string') throw new RefusedError('Say what the prompt should be: {turnId, prompt}.');
      if (typeof given === 'string') {
        await (await queue()).edit(turn.id, given);
        return turn.id;
      }
      if (!isQueued(turn)) throw new RefusedError('Only a turn that waits can be edited. Queue a follow-up instead.');
      if (/[\r\n]/.test(turn.prompt)) {
        // An input box has one line; the timeline's editor has as many as the prompt.
        await context.timeline.reveal({ branchId: turn.branchId, turnId: turn.id, edit: true });
        return turn.id;
      }
      const prompt = await askForPrompt({ title: 'Edit Queued Turn', value: turn.prompt });
      if (prompt === undefined) return undefined;
      try {
        await (await queue()).edit(turn.id, prompt);
      } catch (error) {
        if (await tell('error', messageOf(error), 'Copy the Text')) await vscode.env.clipboard.writeText(prompt);
        return undefined;
      }
      return turn.id;
    }),
    register(context, 'removeQueued', 'turnId', (call) =>
      toTurns(call, {
        fits: (turn) => isQueued(turn) || (canRetry(turn) && turn.state !== 'completed'),
        question: 'Which turn do you want to remove?',
        done: 'removed',
        otherwise: 'What runs can be removed when it is cancelled; what completed stays with its branch.',
        act: async (turns) => {
          const removed: { turn: Turn; restore: () => Promise<void> }[] = [];
          try {
            await one(async (turn) => removed.push({ turn, ...(await (await queue()).remove(turn.id)) }))(turns);
          } finally {
            void offerUndo(removed);
          }
        },
      }),
    ),
    register(context, 'moveUp', 'turnId', (call) =>
      toTurns(call, { ...moving, question: 'Which turn should run earlier?', act: asBlock('up') }),
    ),
    register(context, 'moveDown', 'turnId', (call) =>
      toTurns(call, { ...moving, question: 'Which turn should run later?', act: asBlock('down') }),
    ),
    register(context, 'moveToTop', 'turnId', (call) =>
      toTurns(call, {
        ...moving,
        question: 'Which turn should run first?',
        // The last one first, so that they stay in their order.
        act: (turns) => one(async (turn) => (await queue()).moveBy(turn.id, Number.NEGATIVE_INFINITY))(turns.toReversed()),
      }),
    ),
    register(context, 'cancelTurn', 'turnId', (call) =>
      toTurns(call, {
        fits: (turn) => isActive(turn.state) || isQueued(turn),
        question: 'Which turn do you want to cancel?',
        done: 'cancelled',
        otherwise: "What has ended can't be cancelled.",
        act: (turns) => one(async (turn) => (await queue()).cancel(turn.id))(turns.toReversed()), // What waits before what runs: else it would start.
      }),
    ),
    register(context, 'retryTurn', 'turnId', (call) =>
      toTurns(call, {
        fits: canRetry,
        question: 'Which turn do you want to run again?',
        done: 'queued again',
        otherwise:
          'Only turns that failed, were cancelled or interrupted can run again, or whose commit is held; after one that completed, queue a follow-up.',
        act: one(async (turn) => (await ownerOf(context)).work.retry(turn.id)),
      }),
    ),
    register(context, 'respondToPermission', 'turnId', async (call, second) => {
      const { dispatcher } = await ownerOf(context);
      const input = call.input as { permissionId?: string; optionId?: string } | string | undefined;
      const permissionId = typeof input === 'string' ? input : input?.permissionId;
      const optionId = typeof input === 'string' ? second : input?.optionId;
      if (permissionId !== undefined) {
        if (typeof optionId !== 'string') throw new RefusedError('Say which option to take: {permissionId, optionId}.');
        dispatcher.respond(permissionId, optionId);
        return permissionId;
      }
      const turn = await turnOf(context, call, needsUser, 'Which request do you want to answer?');
      if (!turn) return undefined;
      if (!turn.permission) throw new RefusedError('This turn does not ask for anything at the moment.');
      const { id, title, options } = turn.permission;
      const chosen = await pick(
        options.map((option) => ({ label: option.name, value: option })),
        { title, placeHolder: 'What may the agent do?' },
      );
      if (!chosen) return undefined;
      dispatcher.respond(id, chosen.value.optionId);
      return id;
    }),
  ];
}

async function offerUndo(removed: readonly { turn: Turn; restore: () => Promise<void> }[]): Promise<void> {
  const [first] = removed;
  if (!first) return;
  const what = removed.length === 1 ? `"${titleFromPrompt(first.turn.prompt)}"` : `${removed.length} turns`;
  if (!(await tell('information', `Removed ${what}.`, 'Undo'))) return;
  try {
    for (const { restore } of removed.toReversed()) await restore();
  } catch (error) {
    void tell('error', messageOf(error));
  }
}
