/** Commands on turns of the queue. */
import type * as vscode from 'vscode';
import { titleFromPrompt } from '../model/branchNames.ts';
import { messageOf, RefusedError } from '../model/errors.ts';
import { isActive, isEnded } from '../model/transitions.ts';
import type { Turn } from '../model/types.ts';
import { needsUser } from '../sessions/words.ts';
import { pick, tell } from '../surfaces.ts';
import { type Call, type CommandContext, engineOf, ownerOf, register, turnOf } from './context.ts';
import { askForPrompt } from './prompts.ts';

const isQueued = (turn: Turn): boolean => turn.state === 'queued';
const canRetry = (turn: Turn): boolean => isEnded(turn.state) && (turn.state !== 'completed' || turn.commit?.state === 'held');

export function turnCommands(context: CommandContext): vscode.Disposable[] {
  /** Does it for each selected turn, or for the one that is named or picked; resolves with that one's id. */
  const each = async (
    call: Call,
    fits: (turn: Turn) => boolean,
    question: string,
    action: (turn: Turn) => Promise<unknown>,
  ): Promise<string | undefined> => {
    const { state } = engineOf(context);
    const several = call.selected.flatMap((node) => (node.type === 'turn' ? (state.turn(node.turnId) ?? []) : [])).filter(fits);
    if (several.length > 1) {
      for (const turn of several) await action(turn);
      return several[0]?.id;
    }
    const turn = await turnOf(context, call, fits, question);
    if (turn) await action(turn);
    return turn?.id;
  };
  const queue = async () => (await ownerOf(context)).queue;

  return [
    register(context, 'sendNow', 'turnId', (call) =>
      each(call, isQueued, 'Which turn should run next, in place of the one that runs?', async (turn) =>
        (await queue()).sendNow(turn.id),
      ),
    ),
    register(context, 'editQueued', 'turnId', async (call, second) => {
      const turn = await turnOf(context, call, isQueued, 'Which queued turn do you want to edit?');
      if (!turn) return undefined;
      const given =
        typeof second === 'string'
          ? second
          : ((typeof call.input === 'object' ? call.input : second) as { prompt?: unknown } | undefined)?.prompt;
      if (call.byProgram && typeof given !== 'string') throw new RefusedError('Say what the prompt should be: {turnId, prompt}.');
      const prompt = typeof given === 'string' ? given : await askForPrompt({ title: 'Edit Queued Turn', value: turn.prompt });
      if (prompt === undefined) return undefined;
      await (await queue()).edit(turn.id, prompt);
      return turn.id;
    }),
    register(context, 'removeQueued', 'turnId', (call) =>
      each(
        call,
        (turn) => isQueued(turn) || (canRetry(turn) && turn.state !== 'completed'),
        'Which turn do you want to remove?',
        async (turn) => {
          const { restore } = await (await queue()).remove(turn.id);
          void offerUndo(turn, restore);
        },
      ),
    ),
    register(context, 'moveUp', 'turnId', (call) =>
      each(call, isQueued, 'Which turn should run earlier?', async (turn) => (await queue()).moveBy(turn.id, -1)),
    ),
    register(context, 'moveDown', 'turnId', (call) =>
      each(call, isQueued, 'Which turn should run later?', async (turn) => (await queue()).moveBy(turn.id, 1)),
    ),
    register(context, 'moveToTop', 'turnId', (call) =>
      each(call, isQueued, 'Which turn should run first?', async (turn) =>
        (await queue()).moveBy(turn.id, Number.NEGATIVE_INFINITY),
      ),
    ),
    register(context, 'cancelTurn', 'turnId', (call) =>
      each(
        call,
        (turn) => isActive(turn.state) || isQueued(turn),
        'Which turn do you want to cancel?',
        async (turn) => (await queue()).cancel(turn.id),
      ),
    ),
    register(context, 'retryTurn', 'turnId', (call) =>
      each(call, canRetry, 'Which turn do you want to run again?', async (turn) => (await ownerOf(context)).work.retry(turn.id)),
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

async function offerUndo(turn: Turn, restore: () => Promise<void>): Promise<void> {
  if (!(await tell('information', `Removed "${titleFromPrompt(turn.prompt)}".`, 'Undo'))) return;
  try {
    await restore();
  } catch (error) {
    void tell('error', messageOf(error));
  }
}
