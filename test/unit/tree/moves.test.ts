import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Projection } from '../../../src/store/projection.ts';
import { blockMoves, dropOn } from '../../../src/tree/moves.ts';
import type { Node } from '../../../src/tree/nodes.ts';
import { branchRow, sessionRow, turnRow } from '../../support/stores.ts';

/** The line after the moves, as the queue makes them. */
function moved(line: readonly string[], moves: readonly { turnId: string; before: string | null }[]): string[] {
  let now = [...line];
  for (const { turnId, before } of moves) {
    const others = now.filter((id) => id !== turnId);
    const at = before === null ? others.length : others.indexOf(before);
    now = [...others.slice(0, at), turnId, ...others.slice(at)];
  }
  return now;
}

describe('Turns that are dropped (fault U14)', () => {
  const projection = new Projection();
  projection.load({
    branch: [branchRow('one'), branchRow('two')],
    session: [sessionRow('s', 'one', { title: 'First' }), sessionRow('t', 'two', { title: 'Second' })],
    turn: [
      turnRow('done', 's', 'one', { state: 'completed', position: 0 }),
      turnRow('runs', 's', 'one', { state: 'running', position: 1 }),
      ...['a', 'b', 'c', 'd'].map((id, index) => turnRow(id, 's', 'one', { position: index + 2 })),
      turnRow('x', 't', 'two', { position: 9 }),
    ],
  });
  const state = {
    branch: (id: string) => projection.branch(id),
    turn: (id: string) => projection.turn(id),
    line: (id: string) => projection.line(id),
    titleOf: (turn: { sessionId: string }) => projection.session(turn.sessionId)?.title ?? '',
  };
  const turn = (turnId: string, branchId = 'one'): Node => ({ type: 'turn', branchId, sessionId: 's', turnId });
  const dropped = (target: Node | undefined, ...turnIds: string[]): string => {
    const plan = dropOn(target, turnIds, state);
    return 'refused' in plan ? plan.refused : moved(['a', 'b', 'c', 'd'], plan.moves).join('');
  };

  it('go where they are dropped, several in their order', () => {
    assert.equal(dropped(turn('b'), 'd'), 'adbc');
    assert.equal(dropped(turn('a'), 'd', 'c'), 'cdab');
    assert.equal(dropped({ type: 'branch', branchId: 'one' }, 'c', 'a'), 'bdac');
    assert.equal(dropped(turn('c'), 'c', 'a'), 'bacd', 'on one of themselves');
    assert.equal(dropped(turn('d'), 'd'), 'abcd');
  });

  it('go to the beginning of what waits when they are dropped above it', () => {
    for (const target of [
      turn('runs'),
      turn('done'),
      { type: 'worktree', branchId: 'one' },
      { type: 'earlier', branchId: 'one', count: 1 },
    ] as Node[])
      assert.equal(dropped(target, 'c'), 'cabd');
  });

  it('on another branch are refused, all of them, with what to do', () => {
    const no = /^"Second" stays on "two".*To have it done on "one", queue it there and remove it here/;
    assert.match(dropped(turn('a'), 'x'), no);
    assert.match(dropped({ type: 'branch', branchId: 'one' }, 'x'), no);
    assert.match(dropped({ type: 'worktree', branchId: 'one' }, 'b', 'x'), no);
  });

  it('that do not wait any more, or dropped on nothing, are refused', () => {
    assert.match(dropped(turn('a'), 'runs'), /"First" does not wait any more/);
    assert.match(dropped(turn('a'), 'gone'), /not in the queue any more/);
    assert.match(dropped(undefined, 'a'), /can be dropped on/);
    assert.match(dropped({ type: 'repository', repository: '/r' }, 'a'), /can be dropped on/);
    assert.match(dropped({ type: 'branch', branchId: 'gone' }, 'a'), /not in Branchline any more/);
  });
});

describe('Turns that are moved as a block (fault U14)', () => {
  const step = (line: string, selected: string, direction: 'up' | 'down'): string => {
    let now = [...line];
    for (const id of blockMoves(now, new Set(selected), direction)) {
      const at = now.indexOf(id);
      const others = now.filter((one) => one !== id);
      const place = Math.min(Math.max(at + (direction === 'up' ? -1 : 1), 0), others.length);
      now = [...others.slice(0, place), id, ...others.slice(place)];
    }
    return now.join('');
  };

  it('move by one place together', () => {
    assert.equal(step('abcd', 'ab', 'down'), 'cabd');
    assert.equal(step('abcd', 'cd', 'up'), 'acdb');
    assert.equal(step('abcd', 'bd', 'up'), 'badc');
    assert.equal(step('abcd', 'ac', 'down'), 'badc');
    assert.equal(step('abcd', 'cd', 'down'), 'abcd', 'at the end nothing moves');
    assert.equal(step('abcd', 'ab', 'up'), 'abcd');
    assert.equal(step('abcd', 'abd', 'up'), 'abdc', 'what is at the end stays, what is free goes on');
    assert.equal(step('abcd', 'abcd', 'down'), 'abcd');
  });

  it('keep their order and that of the others, whatever is selected', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.constantFrom(...'abcdefgh'), { minLength: 1 }),
        fc.string(),
        fc.constantFrom('up', 'down'),
        (line, selected, direction) => {
          const after = step(line.join(''), selected, direction);
          const those = (from: string, chosen: boolean) => [...from].filter((id) => selected.includes(id) === chosen).join('');
          assert.equal(those(after, true), those(line.join(''), true));
          assert.equal(those(after, false), those(line.join(''), false));
          for (const id of line) assert.ok(!selected.includes(id) || Math.abs(after.indexOf(id) - line.indexOf(id)) <= 1);
        },
      ),
    );
  });
});
