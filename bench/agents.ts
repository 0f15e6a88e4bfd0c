/** From a ready worktree to the prompt in the agent's hands, against the same agent spawned bare; and provisioning. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { client, methods, ndJsonStream } from '@agentclientprotocol/sdk';
import { root } from '../scripts/vscodeHost.ts';
import { startEngine, stopEngine, until, untilEnded } from '../test/support/engines.ts';
import { git, makeRepository } from '../test/support/repositories.ts';
import { files, run } from './bare.ts';
import { compare, inTurns, timed } from './figures.ts';

/** As its source, which takes about as long to start as agents that people use. */
const agent = { command: process.execPath, args: [join(root, 'test', 'support', 'testAgent.ts')] };

/** Milliseconds until the agent answers the prompt's first order. */
async function bare(cwd: string): Promise<number> {
  const start = performance.now();
  const child = spawn(agent.command, agent.args, { cwd, stdio: ['pipe', 'pipe', 'ignore'] });
  const heard = Promise.withResolvers<number>();
  const app = client({ name: 'bench' })
    .onNotification(methods.client.session.update, () => heard.resolve(performance.now() - start))
    .onRequest(methods.client.session.requestPermission, () => ({ outcome: { outcome: 'cancelled' as const } }));
  const connection = app.connect(
    ndJsonStream(
      Writable.toWeb(child.stdin) as WritableStream<Uint8Array>,
      Readable.toWeb(child.stdout) as unknown as ReadableStream<Uint8Array>,
    ),
  );
  await connection.agent.request(methods.agent.initialize, { protocolVersion: 1, clientCapabilities: {} });
  const { sessionId } = await connection.agent.request(methods.agent.session.new, { cwd, mcpServers: [] });
  const answer = connection.agent.request(methods.agent.session.prompt, {
    sessionId,
    prompt: [{ type: 'text', text: 'say there' }],
  });
  const time = await heard.promise;
  await answer;
  child.kill();
  return time;
}

export async function benchPrompt(folder: string): Promise<void> {
  const repository = makeRepository(folder, 'prompt');
  const one = startEngine(join(folder, 'prompt-engine'), repository, {
    agents: { test: agent },
    defaultAgent: 'test',
  });
  const { queue } = await one.engine.owner();
  const first = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'say ready' });
  await untilEnded(one.engine, first.turnId);
  const worktree = one.engine.state.branch(first.branchId)?.worktreePath ?? '';
  const ours = async () => {
    const start = performance.now();
    const heard = Promise.withResolvers<number>();
    const listener = one.engine.onDidWrite(({ entries }) => {
      if (entries.some((entry) => entry.type === 'text')) heard.resolve(performance.now() - start);
    });
    const { turnId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'say there' });
    const time = await heard.promise;
    listener.dispose();
    await untilEnded(one.engine, turnId);
    return time;
  };
  await compare(
    'prompt sent on a ready worktree',
    { against: 'the same agent spawned bare', atMost: 1.3 },
    inTurns(ours, () => bare(worktree)),
    9,
  );
  await stopEngine(one);
}

export async function benchProvisioning(folder: string): Promise<void> {
  const repository = makeRepository(folder, 'large', files(20_000));
  const one = startEngine(join(folder, 'provision-engine'), repository);
  const { queue, removal } = await one.engine.owner();
  const ours = async (round: number) => {
    let branchId = '';
    const time = await timed(async () => {
      branchId = (await queue.enqueue({ branch: `own${round}`, kind: 'note', prompt: 'sleep 300' })).branchId;
      await until(one.engine, () => one.engine.state.branch(branchId)?.worktreeState === 'ready', 'it is ready');
    });
    await removal.remove(branchId, true);
    return time;
  };
  const theirs = async (round: number) => {
    const path = join(folder, `bare${round}`);
    const time = await timed(() => run(repository, 'git', 'worktree', 'add', '-q', '-b', `bare${round}`, path));
    git(repository, 'worktree', 'remove', path);
    return time;
  };
  await compare('provisioning 20,000 files', { against: 'git worktree add', atMost: 1.1 }, inTurns(ours, theirs));
  await stopEngine(one);
}
