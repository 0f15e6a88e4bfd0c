/** Commands on the work that a turn has left: commit it again, let the agent mend it, discard it, go back to before it. */
import type * as vscode from 'vscode';
import * as z from 'zod';
import { RefusedError } from '../model/errors.ts';
import { isEnded } from '../model/transitions.ts';
import type { Turn } from '../model/types.ts';
import { canGoOnElsewhere, goOnElsewhere } from '../sessions/continuation.ts';
import { askForText, confirm, tell } from '../surfaces.ts';
import { type Call, type CommandContext, engineOf, ownerOf, register, turnOf } from './context.ts';

const isHeld = (turn: Turn): boolean => turn.commit?.state === 'held';
const isLeft = (turn: Turn): boolean => isEnded(turn.state) && (isHeld(turn) || turn.work?.ref !== undefined);
const hasBegun = (turn: Turn): boolean => isEnded(turn.state) && (turn.startTree ?? turn.startSha) !== null;

const canGoOn = (context: CommandContext, turn: Turn): boolean => {
  const session = engineOf(context).state.session(turn.sessionId);
  return session !== undefined && canGoOnElsewhere(turn, session);
};

const shown = (paths: readonly string[]): string => `${paths.slice(0, 10).join(', ')}${paths.length > 10 ? ', …' : ''}`;
const count = (n: number, one: string, many: string): string => (n === 1 ? `1 ${one}` : `${n} ${many}`);

const messageSchema = z.object({ message: z.string().optional() });

export function workCommands(context: CommandContext): vscode.Disposable[] {
  const work = async () => (await ownerOf(context)).work;
  const withTurn = async (
    call: Call,
    fits: (turn: Turn) => boolean,
    question: string,
    action: (turn: Turn) => Promise<unknown>,
  ) => {
    const turn = await turnOf(context, call, fits, question);
    if (!turn) return undefined;
    const result = await action(turn);
    return call.byProgram ? result : turn.id;
  };

  return [
    register(context, 'commitTurn', 'turnId', (call, second) =>
      withTurn(call, isLeft, 'The work of which turn should be committed?', async (turn) => {
        const given = messageSchema.safeParse(typeof call.input === 'object' ? call.input : (second ?? {}));
        if (!given.success) throw new RefusedError('Give the message as text: {turnId, message}.');
        const made = await (await work()).commit(turn.id, given.data);
        if (!call.byProgram)
          void tell('information', `Committed ${count(made.files, 'file', 'files')} as ${made.sha.slice(0, 10)}.`);
        return made;
      }),
    ),
    register(context, 'commitWithMessage', 'turnId', (call) =>
      withTurn(call, isLeft, 'The work of which turn should be committed?', async (turn) => {
        const title = engineOf(context).state.session(turn.sessionId)?.title ?? '';
        const message = await askForText({
          title: 'Message of the Commit',
          placeHolder: 'What the commit says',
          value: title,
          problem: (text) => (text.trim() === '' ? 'Write a message.' : undefined),
        });
        return message === undefined ? undefined : (await work()).commit(turn.id, { message });
      }),
    ),
    register(context, 'letAgentMend', 'turnId', (call) =>
      withTurn(call, isHeld, 'Which commit should the agent make possible?', async (turn) => (await work()).mend(turn.id)),
    ),
    register(context, 'goOnInNewSession', 'turnId', (call) =>
      withTurn(
        call,
        (turn) => canGoOn(context, turn),
        'Which turn should go on in a new session?',
        async (turn) => {
          const { state, folder } = engineOf(context);
          return goOnElsewhere(turn.id, { state, folder, queue: (await ownerOf(context)).queue });
        },
      ),
    ),
    register(context, 'discardWork', 'turnId', (call) =>
      withTurn(call, isLeft, 'The work of which turn should be discarded?', async (turn) => {
        const action = await work();
        if (!call.byProgram) {
          const files = turn.work?.files ?? 0;
          const sure = await confirm(
            'Discard what this turn left uncommitted?',
            [
              `It changed ${count(files, 'file', 'files')}. What is left of that in the worktree is taken back; what was changed after it stays.`,
              'Under refs/branchline/discarded it can still be found.',
            ],
            'Discard',
          );
          if (!sure) return undefined;
        }
        const done = await action.discard(turn.id);
        if (!call.byProgram && done.kept.length > 0)
          void tell('information', `These files were changed after the turn and stay as they are: ${shown(done.kept)}.`);
        return done;
      }),
    ),
    register(context, 'restoreBefore', 'turnId', (call) =>
      withTurn(call, hasBegun, 'Before which turn do you want to go back?', async (turn) => {
        const action = await work();
        if (call.byProgram) return action.restore(turn.id);
        const { files, turns } = await action.planRestore(turn.id);
        if (files.length === 0) throw new RefusedError('The files are what they were then, so there is nothing to undo.');
        const { state } = engineOf(context);
        const titles = turns.map((other) => `"${state.session(other.sessionId)?.title ?? 'Turn'}"`);
        const sure = await confirm(
          'Restore the files to before this turn?',
          [
            `${count(files.length, 'file is', 'files are')} brought back: ${shown(files.map(({ path }) => path))}.`,
            `That undoes ${count(turns.length, 'turn', 'turns')}: ${shown(titles)}.`,
            'What was committed is undone by a new commit. You can undo this.',
          ],
          'Restore',
        );
        if (!sure) return undefined;
        const done = await action.restore(turn.id);
        const restored = `Restored ${count(done.files.length, 'file', 'files')}.`;
        const next = done.held
          ? await tell('warning', `${restored} What undoes the commits is not committed. ${done.held}`, 'Undo')
          : await tell('information', restored, 'Undo');
        if (next === 'Undo') await action.restoreTree(turn.id, done.undo);
        return done;
      }),
    ),
  ];
}
