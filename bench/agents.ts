/** From a ready worktree to the prompt in the agent's hands, against the same agent spawned bare; and provisioning. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { client, methods, ndJsonStream } from '@agentclientprotocol/sdk';
import { root } from '../scripts/vscodeHost.ts';
import { startEngine, stopEngine, until, untilEnded } from '../test/support/engines.ts';
import { git, makeRepository } from '../test/support/repositories.ts';
import { figure, median, timed } from './figures.ts';

const program = join(root, 'test', 'support', 'testAgent.ts');
const rounds = 9;

/** Milliseconds until the agent answers the prompt's first order. */
async function bare(cwd: string): Promise<number> {
  const start = performance.now();
  const child = spawn(process.execPath, [program], { cwd, stdio: ['pipe', 'pipe', 'ignore'] });
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

export async function benchAgents(folder: string): Promise<void> {
  const repository = makeRepository(folder, 'prompt');
  const one = startEngine(join(folder, 'prompt-engine'), repository, {
    agents: { test: { command: process.execPath, args: [program] } },
    defaultAgent: 'test',
  });
  const { queue } = await one.engine.owner();
  const first = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'say ready' });
  await untilEnded(one.engine, first.turnId);
  const worktree = one.engine.state.branch(first.branchId)?.worktreePath ?? '';
  const own: number[] = [];
  const other: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    other.push(await bare(worktree));
    const start = performance.now();
    const heard = Promise.withResolvers<number>();
    const listener = one.engine.onDidWrite(({ entries }) => {
      if (entries.some((entry) => entry.type === 'text')) heard.resolve(performance.now() - start);
    });
    const { turnId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'say there' });
    own.push(await heard.promise);
    listener.dispose();
    await untilEnded(one.engine, turnId);
  }
  await stopEngine(one);
  figure(
    'prompt sent on a ready worktree',
    median(own) / median(other),
    `the same agent spawned bare, ${median(other).toFixed(0)} ms`,
    1.3,
  );
}

export async function benchProvisioning(folder: string): Promise<void> {
  const files: Record<string, string> = {};
  for (let n = 0; n < 20_000; n += 1) files[`src/${n % 200}/file${n}.txt`] = `File ${n}\n`;
  const repository = makeRepository(folder, 'large', files);
  mkdirSync(join(folder, 'bare'));
  writeFileSync(join(folder, 'warm'), '');
  git(repository, 'worktree', 'add', '-q', '-b', 'warm', join(folder, 'bare', 'warm'));
  const one = startEngine(join(folder, 'provision-engine'), repository);
  const { queue, removal } = await one.engine.owner();
  const own: number[] = [];
  const other: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const path = join(folder, 'bare', `w${round}`);
    other.push(await timed(() => git(repository, 'worktree', 'add', '-q', '-b', `bare${round}`, path)));
    git(repository, 'worktree', 'remove', path);
    let branchId = '';
    own.push(
      await timed(async () => {
        branchId = (await queue.enqueue({ branch: `own${round}`, kind: 'note', prompt: 'sleep 300' })).branchId;
        await until(one.engine, () => one.engine.state.branch(branchId)?.worktreeState === 'ready', 'it is ready');
      }),
    );
    await removal.remove(branchId, true);
  }
  await stopEngine(one);
  figure('provisioning 20,000 files', median(own) / median(other), `git worktree add, ${median(other).toFixed(0)} ms`, 1.1);
}
