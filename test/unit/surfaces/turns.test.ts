/** Commands on turns as a person calls them from the tree, on a real queue in which nothing runs. */
import assert from 'node:assert/strict';
import type { CommandContext } from '../../../src/commands/context.ts';
import type { Queue } from '../../../src/sessions/queue.ts';
import { startEngine, stoppedAfterEach, type TestEngine } from '../../support/engines.ts';
import { boxes, forget, person, run, shown } from '../../support/fakeVscode.ts';
import { makeRepository } from '../../support/repositories.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const { turnCommands } = await import('../../../src/commands/turns.ts');

describe('Commands on turns that are selected (faults U3, U14)', () => {
  const running = stoppedAfterEach();
  let one: TestEngine;
  let queue: Queue;
  let branchId: string;
  let commands: { dispose(): void }[];
  const revealed: unknown[] = [];
  const ids: Record<string, string> = {};

  beforeEach(async () => {
    forget();
    revealed.length = 0;
    const folder = temporaryFolder();
    one = startEngine(folder, makeRepository(folder), {}, { trusted: () => false });
    running.push(one);
    queue = (await one.engine.owner()).queue;
    for (const name of ['a', 'b', 'c', 'd']) {
      const made = await queue.enqueue({ branch: 'x', kind: 'note', prompt: name });
      ids[name] = made.turnId;
      branchId = made.branchId;
    }
    const timeline = { reveal: async (target: unknown) => void revealed.push(target) };
    commands = turnCommands({ engine: one.engine, timeline } as unknown as CommandContext);
  });
  afterEach(() => {
    for (const command of commands) command.dispose();
  });

  const node = (name: string) => {
    const turn = one.engine.state.turn(ids[name] as string);
    return { type: 'turn', branchId, sessionId: turn?.sessionId, turnId: ids[name] };
  };
  /** From the context menu of the first, with all selected. */
  const call = async (command: string, ...names: string[]) =>
    run(`branchline.${command}`, node(names[0] as string), names.map(node));
  const line = () =>
    one.engine.state
      .line(branchId)
      .map((turn) => turn.prompt)
      .join('');
  const messages = () => shown.filter(({ surface }) => surface === 'message').map(({ text }) => text);

  it('move as a block', async () => {
    await call('moveDown', 'a', 'b');
    assert.equal(line(), 'cabd');
    await call('moveDown', 'b', 'a');
    assert.equal(line(), 'cdab');
    await call('moveDown', 'a', 'b');
    assert.equal(line(), 'cdab');
    await call('moveUp', 'a', 'b');
    assert.equal(line(), 'cabd');
    await call('moveToTop', 'b', 'd');
    assert.equal(line(), 'bdca');
  });

  it('are removed where they can be, and the others are named with what to do; one undo brings all back', async () => {
    await one.engine.ownerNow?.store.commit((tx) =>
      tx.update('turn', ids.b as string, { state: 'completed', endedAt: 1, endedOrder: 1 }),
    );
    person.press = 0;
    await call('removeQueued', 'b', 'a', 'c');
    assert.ok(
      messages().some((text) =>
        /^2 of 3 turns were removed: "b" is completed\. What runs can be removed when it is cancelled/.test(text),
      ),
      messages().join('\n'),
    );
    assert.ok(messages().includes('Removed 2 turns.'));
    for (const deadline = Date.now() + 10_000; line() !== 'acd' && Date.now() < deadline; )
      await new Promise((resolve) => setImmediate(resolve));
    assert.equal(line(), 'acd');
  });

  it('with several lines are edited where line breaks live; with one line in a box', async () => {
    const made = await queue.enqueue({ branch: 'x', kind: 'note', prompt: 'one\ntwo\nthree' });
    ids.lines = made.turnId;
    await call('editQueued', 'lines');
    assert.deepEqual(revealed, [{ branchId, turnId: made.turnId, edit: true }]);
    assert.equal(boxes.length, 0);
    assert.equal(one.engine.state.turn(made.turnId)?.prompt, 'one\ntwo\nthree');

    const edited = call('editQueued', 'a');
    while (boxes.length === 0) await new Promise((resolve) => setImmediate(resolve));
    boxes[0]?.type('a!');
    boxes[0]?.accepted.fire();
    assert.equal(await edited, ids.a);
    assert.equal(one.engine.state.turn(ids.a as string)?.prompt, 'a!');

    assert.equal(await run('branchline.editQueued', { turnId: ids.b, prompt: 'x\ny' }), ids.b);
    assert.equal(one.engine.state.turn(ids.b as string)?.prompt, 'x\ny');
  });

  it('keep what was typed when they can no longer be edited', async () => {
    const edited = call('editQueued', 'a');
    while (boxes.length === 0) await new Promise((resolve) => setImmediate(resolve));
    boxes[0]?.type('typed');
    await queue.cancel(ids.a as string);
    person.press = 0;
    boxes[0]?.accepted.fire();
    assert.equal(await edited, undefined);
    assert.equal(person.clipboard, 'typed');
    await call('editQueued', 'a');
    assert.equal(boxes.length, 1, 'what has ended is not asked for');
    assert.match(messages().at(-1) ?? '', /Only a turn that waits can be edited/);
  });

  it('are refused before anything where nothing can be done', async () => {
    await call('retryTurn', 'a', 'b');
    assert.match(messages()[0] ?? '', /^None of the 2 turns could be queued again: "a" is queued, and 1 more/);
    await call('sendNow', 'a', 'b');
    assert.match(messages()[1] ?? '', /Only one turn of a branch can run next/);
    assert.equal(line(), 'abcd');
  });
});
