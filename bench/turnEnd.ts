/** The end of a commit turn: from the last thing that its agent does until it has completed, against a bare commit of the same. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startEngine, stopEngine, until, untilEnded } from '../test/support/engines.ts';
import { git, makeRepository } from '../test/support/repositories.ts';
import { committing, run } from './bare.ts';
import { compare, inTurns } from './figures.ts';

export async function benchTurnEnd(folder: string): Promise<void> {
  const repository = makeRepository(folder);
  const bare = join(folder, 'bare');
  git(repository, 'worktree', 'add', '--quiet', '-b', 'bare', bare);
  const one = startEngine(folder, repository);
  const { queue } = await one.engine.owner();
  const first = await queue.enqueue({ branch: 'ours', kind: 'commit', prompt: 'echo first >> file.txt' });
  await untilEnded(one.engine, first.turnId);
  const stamp = join(folder, 'stamp');
  const ours = async () => {
    const prompt = `echo more >> file.txt; date +%s%N > '${stamp}'`;
    const { turnId } = await queue.enqueueTurn(first.sessionId, { prompt });
    const state = () => one.engine.state.turn(turnId)?.state;
    await until(one.engine, () => state() === 'completed' || state() === 'failed', 'the turn is over');
    const end = Date.now();
    if (state() === 'failed') throw new Error(`The turn failed: ${one.engine.state.turn(turnId)?.error?.message}`);
    return end - Number(BigInt(readFileSync(stamp, 'utf8').trim()) / 1_000n) / 1_000;
  };
  const theirs = async () => {
    await run(bare, 'sh', '-c', 'echo more >> file.txt');
    return committing(bare);
  };
  await compare('the end of a commit turn', { against: 'git add and git commit', atMost: 1.5 }, inTurns(ours, theirs), 15);
  await stopEngine(one);
}
