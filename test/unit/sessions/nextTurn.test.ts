import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compareTurns } from '../../../src/model/order.ts';
import { isActive } from '../../../src/model/transitions.ts';
import { type BranchLine, nextTurns, type QueueSnapshot, waitingFor } from '../../../src/sessions/nextTurn.ts';

/** Histories as snapshots: any lines, limits and troubles. */
const branch = fc.record({
  worktreeState: fc.constantFrom('queued', 'provisioning', 'ready', 'ready', 'ready', 'failed', 'missing', 'removing'),
  paused: fc.constantFrom('no', 'no', 'no', 'user', 'failure'),
  states: fc.array(fc.constantFrom('queued', 'queued', 'running', 'starting'), { maxLength: 5 }),
  positions: fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 5, maxLength: 5 }),
});
const snapshots = fc
  .record({
    branches: fc.array(branch, { maxLength: 6 }),
    limit: fc.integer({ min: 1, max: 4 }),
    trusted: fc.boolean(),
    broken: fc.integer({ min: 0, max: 3 }),
  })
  .map(({ branches, limit, trusted, broken }): QueueSnapshot => {
    let hasActive = false;
    const lines = branches.map(({ worktreeState, paused, states, positions }, b): BranchLine => {
      hasActive = false;
      const line = states
        .map((state, t) => {
          const once = state === 'queued' || !hasActive ? state : 'queued'; // At most one is active on a branch.
          hasActive ||= once !== 'queued';
          return { id: `${b}.${t}`, sessionId: `${t % 4}`, state: once, position: positions[t] as number } as const;
        })
        .sort(compareTurns);
      return { id: String(b), worktreeState, paused, line } as BranchLine;
    });
    const active = lines.flatMap((one) => one.line).filter((turn) => isActive(turn.state)).length;
    return {
      branches: new Map(lines.map((one) => [one.id, one])),
      active,
      limit,
      trusted,
      isInstalled: (sessionId) => sessionId !== String(broken),
      unavailable: () => undefined,
    };
  });

describe('nextTurns', () => {
  it('starts at most one turn on a branch, only the first, never beside another, within the limit', () => {
    fc.assert(
      fc.property(snapshots, (snapshot) => {
        const started = nextTurns(snapshot);
        assert.ok(started.length <= Math.max(0, snapshot.limit - snapshot.active));
        for (const id of started) {
          const one = Array.from(snapshot.branches.values()).find(({ line }) => line[0]?.id === id);
          assert.ok(one && one.worktreeState === 'ready' && one.paused === 'no' && snapshot.trusted);
          assert.ok(!one.line.some((turn) => isActive(turn.state)));
          assert.ok(snapshot.isInstalled(one.line[0]?.sessionId ?? ''));
        }
        assert.equal(new Set(started.map((id) => id.split('.')[0])).size, started.length);
      }),
      { numRuns: 3_000 },
    );
  });

  it('leaves no free place while a turn could use it (requirement 6)', () => {
    fc.assert(
      fc.property(snapshots, (snapshot) => {
        const started = nextTurns(snapshot);
        const able = Array.from(snapshot.branches.values()).filter(
          (one) =>
            one.line[0] &&
            waitingFor(one.line[0], { ...snapshot, active: 0 }, one) === undefined &&
            one.line[0].state === 'queued',
        );
        assert.equal(started.length, Math.min(able.length, Math.max(0, snapshot.limit - snapshot.active)));
      }),
      { numRuns: 3_000 },
    );
  });

  it('gives a reason exactly to the queued turns that do not start', () => {
    fc.assert(
      fc.property(snapshots, (snapshot) => {
        const started = new Set(nextTurns(snapshot));
        for (const one of snapshot.branches.values()) {
          for (const turn of one.line) {
            const reason = waitingFor(turn, snapshot, one);
            if (turn.state !== 'queued' || started.has(turn.id)) assert.equal(reason, undefined);
            else if (snapshot.active >= snapshot.limit || turn !== one.line[0]) assert.notEqual(reason, undefined);
          }
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it('lets the branch whose turn was queued first go first', () => {
    const line = (id: string, position: number) => ({
      id,
      worktreeState: 'ready' as const,
      paused: 'no' as const,
      line: [{ id: `t${id}`, sessionId: 's', state: 'queued' as const, position }],
    });
    const branches = new Map([
      ['a', line('a', 9)],
      ['b', line('b', 3)],
      ['c', line('c', 6)],
    ]);
    assert.deepEqual(
      nextTurns({ branches, active: 0, limit: 2, trusted: true, isInstalled: () => true, unavailable: () => undefined }),
      ['tb', 'tc'],
    );
  });
});
