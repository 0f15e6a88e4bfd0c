/** Commands that queue work, and that look at what was said. */
import * as vscode from 'vscode';
import { checkedSession } from '../api.ts';
import type { QueueSessionInput, QueueTurnInput } from '../apiTypes.ts';
import type { Config } from '../config.ts';
import { RefusedError } from '../model/errors.ts';
import { findRepository } from '../git/repository.ts';
import { shortened } from '../model/inertText.ts';
import type { QueuedIds } from '../sessions/queue.ts';
import { pick, tell } from '../surfaces.ts';
import { openFolders } from '../workspace.ts';
import { type Call, type CommandContext, engineOf, ownerOf, register } from './context.ts';
import { askForAgent, askForBranch, askForKind, askForPrompt, askForRepository } from './prompts.ts';

/** Which agent is used without a question, and who was chosen. */
type Choosing = Pick<Config, 'chosenAgent' | 'chose'>;

export function sessionCommands(context: CommandContext, choosing: Choosing): vscode.Disposable[] {
  return [
    register(context, 'queueSession', 'branchId', async (call) => {
      const input = call.byProgram ? checkedSession(call.input) : await askForSession(context, call, choosing);
      if (!input) return undefined;
      const ids = await (await ownerOf(context)).queue.enqueue(input);
      if (!call.byProgram) void showQueued(context, ids);
      return ids;
    }),
    register(context, 'queueFollowUp', 'sessionId', async (call, second) => {
      const sessionId = await sessionOf(context, call);
      if (!sessionId) return undefined;
      const given = (typeof call.input === 'object' ? call.input : second) as Partial<QueueTurnInput> | undefined;
      const title = engineOf(context).state.session(sessionId)?.title ?? '';
      if (call.byProgram && typeof given?.prompt !== 'string')
        throw new RefusedError('Say what the prompt should be: {sessionId, prompt}.');
      const prompt = typeof given?.prompt === 'string' ? given.prompt : await askForPrompt({ title: `Follow Up: ${title}` });
      if (prompt === undefined) return undefined;
      return (await ownerOf(context)).queue.enqueueTurn(sessionId, { prompt, attachments: given?.attachments });
    }),
    register(context, 'openTranscript', 'sessionId', async (call) => {
      const sessionId = await sessionOf(context, call);
      if (sessionId) await context.transcripts.open(sessionId);
      return sessionId;
    }),
  ];
}

/** Shows what was queued where Branchline is in view (requirement 25); else nothing in the window moves, and a toast leads there. */
async function showQueued(context: CommandContext, ids: QueuedIds): Promise<void> {
  const show = async () => {
    await context.tree?.reveal(ids, { focus: false }).then(undefined, () => undefined);
    await context.timeline.reveal({ branchId: ids.branchId }, { preserveFocus: true });
  };
  if (context.tree?.view.visible) return show();
  const name = context.engine?.state.branch(ids.branchId)?.name ?? '';
  if (await tell('information', `Queued on ${shortened(name, longestName)}.`, 'Show')) await show();
}

const longestName = 100;

/** What the person wants queued, asked step by step; undefined when a step is left. */
async function askForSession({ engine }: CommandContext, call: Call, choosing: Choosing): Promise<QueueSessionInput | undefined> {
  if (!engine) throw new RefusedError('Open a folder that is a git repository first.');
  await engine.opened;
  const on = call.target.branchId ? engine.state.branch(call.target.branchId) : undefined;
  const repositories = [...new Set(openFolders().flatMap((folder) => findRepository(folder)?.repository ?? []))];
  if (repositories.length === 0)
    throw new RefusedError(
      'No git repository is open. Open a folder that is one, or run "Git: Initialize Repository", and try again.',
    );
  const repository = on?.repository ?? (await askForRepository(repositories));
  if (!repository) return undefined;
  const known = Array.from(engine.state.branches())
    .filter((branch) => branch.repository === repository && branch.worktreeState !== 'removed')
    .map((branch) => branch.name);
  const choice = on ? { branch: on.name } : await askForBranch(repository, known, vscode.workspace.isTrusted);
  if (!choice) return undefined;
  const kind = await askForKind();
  if (!kind) return undefined;
  const agent = await askForAgent(engine.catalog, choosing.chosenAgent);
  if (!agent) return undefined;
  choosing.chose(agent);
  const prompt = await askForPrompt({ title: choice.branch ? `Queue Session on ${choice.branch}` : 'Queue Session' });
  return prompt === undefined
    ? undefined
    : { repository, branch: choice.branch, base: 'base' in choice ? choice.base : undefined, kind, agent, prompt };
}

async function sessionOf(context: CommandContext, call: Call): Promise<string | undefined> {
  const engine = engineOf(context);
  await engine.opened;
  const named = call.target.sessionId ?? (call.target.turnId && engine.state.turn(call.target.turnId)?.sessionId);
  if (named) {
    if (!engine.state.session(named)) throw new RefusedError('This session is not there any more.');
    return named;
  }
  const sessions = Array.from(engine.state.sessions())
    .filter((session) => !session.closed)
    .reverse();
  if (sessions.length === 0) throw new RefusedError('There is no session yet. "Queue Session" makes one.');
  const items = sessions.map((session) => ({
    label: session.title,
    description: engine.state.branch(session.branchId)?.name ?? '',
    value: session.id,
  }));
  return (await pick(items, { placeHolder: 'Which session?' }))?.value;
}
