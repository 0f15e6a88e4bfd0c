import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startEngine, stoppedAfterEach, turnState, until } from '../support/engines.ts';
import { makeRepository } from '../support/repositories.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

describe('A long line', () => {
  // In a file of its own: it takes as long as many others, which run beside it.
  const running = stoppedAfterEach();

  it('of 100 turns drains by itself, in order (requirement 7)', async () => {
    const folder = temporaryFolder();
    const one = startEngine(folder, makeRepository(folder));
    running.push(one);
    const { queue } = await one.engine.owner();
    const ids = await Promise.all(
      Array.from({ length: 100 }, (_, n) => queue.enqueue({ branch: 'b', kind: 'note', prompt: `echo ${n} >> ../../ran` })),
    );
    await until(one.engine, () => ids.every((id) => turnState(one.engine, id.turnId) === 'completed'), 'all have completed');
    assert.equal(readFileSync(join(folder, 'ran'), 'utf8'), Array.from({ length: 100 }, (_, n) => `${n}\n`).join(''));
  });
});
