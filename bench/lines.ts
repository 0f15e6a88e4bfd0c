/**
 * Lines of trivial commit turns of the shell agent, 100 new sessions and 100 follow-ups of one, against a bare loop of the same
 * scripts and commits in another worktree of the same repository. A round is a stretch of such a line.
 */
import { join } from 'node:path';
import { startEngine, stopEngine, type TestEngine, until } from '../test/support/engines.ts';
import { git, makeRepository } from '../test/support/repositories.ts';
import { committing, run } from './bare.ts';
import { compare, inTurns, leastRounds, timed } from './figures.ts';

const turns = 100;
/** One stretch more, which warms up. */
const stretch = Math.floor(turns / (leastRounds + 1));

export async function benchLines(folder: string): Promise<void> {
  const repository = makeRepository(folder);
  const bare = join(folder, 'bare');
  git(repository, 'worktree', 'add', '--quiet', '-b', 'bare', bare);
  const theirs = () =>
    timed(async () => {
      for (let n = 0; n < stretch; n += 1) {
        await run(bare, 'sh', '-c', script(n));
        await committing(bare);
      }
    }).then((time) => time / stretch);
  const one = startEngine(folder, repository);
  for (const [name, branch, atMost] of [
    [`a turn in a line of ${turns} new sessions`, 'sessions', 5],
    [`a turn in a line of ${turns} follow-ups`, 'followUps', 2],
  ] as const) {
    const line = await queued(one, branch, branch === 'followUps');
    await compare(
      name,
      { against: 'sh -c, git add, git commit', atMost },
      inTurns(() => line.run(stretch), theirs),
    );
    await line.end();
  }
  await stopEngine(one);
}

const script = (n: number): string => `echo ${n} >> file.txt`;

interface Line {
  /** Runs the next turns of the line, and then waits; resolves with milliseconds of each. */
  run(number: number): Promise<number>;
  end(): Promise<void>;
}

/** A line on a new branch, which stands still until it is run. */
async function queued({ engine }: TestEngine, branch: string, inOneSession: boolean): Promise<Line> {
  const { queue, removal } = await engine.owner();
  const { branchId, sessionId, turnId } = await queue.enqueue({ branch, kind: 'commit', prompt: script(0) });
  const state = (id: string | undefined) => engine.state.turn(id ?? '')?.state ?? '';
  const over = (id: string | undefined) => ['completed', 'failed'].includes(state(id));
  await until(engine, () => over(turnId), 'the first turn is over');
  await queue.pause(branchId);
  const ids: string[] = [];
  for (let n = 1; n <= turns; n += 1) {
    const prompt = script(n);
    const made = inOneSession ? queue.enqueueTurn(sessionId, { prompt }) : queue.enqueue({ branch, kind: 'commit', prompt });
    ids.push((await made).turnId);
  }
  return {
    run: async (number) => {
      const now = ids.splice(0, number);
      const last = now.at(-1);
      return (
        (await timed(async () => {
          await queue.resume(branchId);
          await until(engine, () => state(last) !== 'queued', 'the last of them runs');
          await queue.pause(branchId); // What runs goes on.
          await until(engine, () => over(last), 'they are over');
          if (!now.every((id) => state(id) === 'completed')) throw new Error('A turn failed.');
        })) / number
      );
    },
    end: () => removal.remove(branchId, true),
  };
}
