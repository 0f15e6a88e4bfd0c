/** Commands on agents that can't work now. */
import type * as vscode from 'vscode';
import * as z from 'zod';
import { RefusedError } from '../model/errors.ts';
import { unavailableAgents } from '../sessions/unavailableAgents.ts';
import { pick } from '../surfaces.ts';
import { type Call, type CommandContext, engineOf, ownerOf, register } from './context.ts';

const inputSchema = z.union([z.string().min(1), z.object({ agent: z.string().min(1) })]);

export function agentCommands(context: CommandContext): vscode.Disposable[] {
  const waiting = () => {
    const { state, catalog } = engineOf(context);
    return unavailableAgents(state, { nameOf: (id) => catalog.find(id)?.name ?? id, now: Date.now() });
  };
  /** The agent that the call names, or the one that waits, or that the person picks among several. */
  const agentOf = async (call: Call, question: string): Promise<string | undefined> => {
    const given = inputSchema.safeParse(call.input);
    if (given.success) return typeof given.data === 'string' ? given.data : given.data.agent;
    const agents = waiting();
    if (agents.length === 0) throw new RefusedError('No turn waits for an agent that can’t work now.');
    if (agents.length === 1) return agents[0]?.agent;
    const items = agents.map(({ agent, words, said }) => ({ label: words, detail: said, value: agent }));
    return (await pick(items, { placeHolder: question }))?.value;
  };
  return [
    register(context, 'tryAgentNow', 'branchId', async (call) => {
      const agent = await agentOf(call, 'Which agent should be tried now?');
      if (agent !== undefined) await (await ownerOf(context)).queue.tryAgent(agent);
      return agent;
    }),
    register(context, 'pauseForAgent', 'branchId', async (call) => {
      const agent = await agentOf(call, 'The branches of which agent should be paused?');
      if (agent !== undefined) await (await ownerOf(context)).queue.pauseForAgent(agent);
      return agent;
    }),
    register(context, 'showWaitingAgents', 'branchId', async () => {
      const items = waiting().flatMap(({ agent, words, said }) =>
        (['tryAgent', 'pauseForAgent'] as const).map((command) => ({
          label: command === 'tryAgent' ? 'Try Now' : 'Pause Instead',
          description: words,
          detail: said,
          value: { agent, command },
        })),
      );
      if (items.length === 0) return undefined;
      const chosen = await pick(items, {
        placeHolder: 'An agent can’t work now. Try it, or pause the branches that wait for it.',
      });
      if (chosen) await (await ownerOf(context)).queue[chosen.value.command](chosen.value.agent);
      return chosen?.value.agent;
    }),
  ];
}
