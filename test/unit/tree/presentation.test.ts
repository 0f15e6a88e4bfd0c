import assert from 'node:assert/strict';
import { makeCatalog } from '../../../src/agents/catalog.ts';
import type { Branch, Session, Turn } from '../../../src/model/types.ts';
import { queueSnapshot } from '../../../src/sessions/nextTurn.ts';
import { statusText } from '../../../src/statusText.ts';
import { Projection } from '../../../src/store/projection.ts';
import { childrenOf, rootsOf } from '../../../src/tree/nodes.ts';
import { rowOf } from '../../../src/tree/presentation.ts';
import { branchRow, sessionRow, turnRow } from '../../support/stores.ts';

function stateOf(branch: Branch[], session: Session[], turn: Turn[]): Projection {
  const state = new Projection();
  state.load({ branch, session, turn });
  return state;
}

function labels(state: Projection, branchId: string, ended = 10, trusted = true): string[] {
  const queue = queueSnapshot(state, {
    catalog: makeCatalog({}, 'shellAgent.js'),
    limit: 4,
    trusted,
    inFlight: [],
    now: Date.now(),
  });
  const context = { state, queue, agentName: (id: string) => id, now: 100_000 };
  return childrenOf(state, branchId, ended).map((node) => rowOf(node, context)?.accessibleLabel ?? '');
}

describe('Rows of the tree', () => {
  it('are the worktree, what has ended by time, then the line as it runs (requirements 2, 12)', () => {
    const state = stateOf(
      [branchRow('b', { worktreeState: 'provisioning', worktreeStep: 'runSetup' })],
      [sessionRow('s1', 'b'), sessionRow('s2', 'b', { kind: 'note' }), sessionRow('s3', 'b', { kind: 'review' })],
      [
        turnRow('t1', 's1', 'b', { position: 2 }),
        turnRow('t2', 's2', 'b', { position: 1 }),
        turnRow('t3', 's3', 'b', { state: 'failed', position: 0, startedAt: 1, endedAt: 2, error: { message: 'Exit 1' } }),
      ],
    );
    assert.deepEqual(labels(state, 'b'), [
      'Worktree of b: Running setup (4 of 4)',
      'Review s3, failed',
      'Note s2, waits for the worktree',
      'Commit s1, waits for the worktree, place 2',
    ]);
    assert.equal(labels(state, 'b', 10, false).at(-1), 'Commit s1, waits: workspace is not trusted, place 2');
  });

  it('say how long a step has taken once it has taken long', () => {
    const state = stateOf([branchRow('b', { worktreeState: 'provisioning', worktreeStep: 'runSetup', changedAt: 0 })], [], []);
    const queue = queueSnapshot(state, {
      catalog: makeCatalog({}, 'shellAgent.js'),
      limit: 4,
      trusted: true,
      inFlight: [],
      now: Date.now(),
    });
    const said = (now: number) =>
      rowOf({ type: 'worktree', branchId: 'b' }, { state, queue, agentName: (id) => id, now })?.description;
    assert.deepEqual([said(12_000), said(30_000), said(150_000)], ['', '30 s', '2 min']);
  });

  it('leave out what ended long ago until it is asked for, and branches that were removed', () => {
    const ended = Array.from({ length: 30 }, (_, n) =>
      turnRow(`t${n}`, 's', 'b', { state: 'completed', position: n, startedAt: n, endedAt: n }),
    );
    const state = stateOf(
      [branchRow('b', { worktreeState: 'ready' }), branchRow('gone', { worktreeState: 'removed' })],
      [sessionRow('s', 'b')],
      ended,
    );
    assert.equal(labels(state, 'b')[0], 'Show 20 earlier turns');
    assert.equal(labels(state, 'b').length, 11);
    assert.deepEqual(rootsOf(state), [{ type: 'branch', branchId: 'b' }]);
  });

  it('are grouped by repository when there are several', () => {
    const state = stateOf([branchRow('a'), branchRow('b', { repository: '/other' })], [], []);
    assert.deepEqual(
      rootsOf(state).map(({ type }) => type),
      ['repository', 'repository'],
    );
  });
});

const agents = { nameOf: (id: string) => id, now: 0 };

describe('The status bar', () => {
  const ready = branchRow('b', { worktreeState: 'ready' });
  it('says nothing when there is nothing to say', () => {
    assert.equal(statusText(stateOf([ready], [], []), false, agents), undefined);
  });
  it('counts, names the step, and warns when somebody is needed', () => {
    const session = sessionRow('s', 'b');
    const running = turnRow('t', 's', 'b', { state: 'running' });
    const queued = turnRow('u', 's', 'b', { position: 2 });
    assert.equal(statusText(stateOf([ready], [session], [running, queued]), false, agents)?.text, '1 running, 1 queued');
    const preparing = branchRow('b', { worktreeState: 'provisioning', worktreeStep: 'copyFiles' });
    assert.equal(
      statusText(stateOf([preparing], [session], [queued]), false, agents)?.text,
      'b: Copying files (3 of 4) · 1 queued',
    );
    const asking = { ...running, permission: { id: 'p', title: 'Run it', options: [] } };
    assert.deepEqual(statusText(stateOf([ready], [session], [asking]), false, agents), {
      icon: 'bell-dot',
      text: 'Approval needed · 1 running',
      tooltip: 'Run it',
      warning: true,
      target: { branchId: 'b', turnId: 't' },
    });
  });
});
