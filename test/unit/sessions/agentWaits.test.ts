import assert from 'node:assert/strict';
import { makeCatalog } from '../../../src/agents/catalog.ts';
import { agentWorks, beginsToTry, mostGoOns, tryAgent, waitForAgent } from '../../../src/sessions/agentWaits.ts';
import { nextTurns, queueSnapshot, waitingFor } from '../../../src/sessions/nextTurn.ts';
import { momentInWords, unavailableAgents, unavailableInWords } from '../../../src/sessions/unavailableAgents.ts';
import type { Turn } from '../../../src/model/types.ts';
import type { Unavailable } from '../../../src/model/unavailable.ts';
import type { Store } from '../../../src/store/store.ts';
import { branchRow, openStore, sessionRow, turnRow } from '../../support/stores.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

const minute = 60_000;
const hour = 60 * minute;
const begun = { head: 'a'.repeat(40), tree: 'b'.repeat(40), operation: null };

describe('Agents that can’t work now, by a clock', () => {
  let store: Store;
  let now: number;
  const paused = { value: 'wait' as 'wait' | 'pause' };
  const options = { now: () => now, onLimit: () => paused.value };
  beforeEach(async () => {
    now = Date.UTC(2026, 0, 10, 1);
    paused.value = 'wait';
    ({ store } = await openStore(temporaryFolder()));
    await store.commit((tx) => {
      for (const [branch, agent] of [
        ['a', 'one'],
        ['b', 'one'],
        ['c', 'other'],
      ] as const) {
        tx.insert('branch', branchRow(branch, { worktreeState: 'ready' }));
        tx.insert('session', sessionRow(`s${branch}`, branch, { agent }));
        tx.insert('turn', turnRow(`t${branch}`, `s${branch}`, branch));
      }
    });
  });
  afterEach(async () => {
    await store.close();
    removeTemporaryFolders();
  });
  const agents = { one: { command: process.execPath }, other: { command: process.execPath } };
  const catalog = makeCatalog(agents, 'shellAgent.js');
  const snapshot = (inFlight: string[] = []) => ({
    ...queueSnapshot(store.state, { catalog, limit: 4, trusted: true, inFlight, now }),
    isInstalled: () => true,
  });
  const turn = (id: string) => store.state.turn(id) as Turn;
  const start = (id: string) => store.commit((tx) => tx.update('turn', id, { state: 'running', startedAt: now }));
  const meet = async (id: string, met: Partial<Unavailable> = {}): Promise<boolean> => {
    if (turn(id).state === 'queued') await start(id);
    return store.commit((tx) =>
      waitForAgent(tx, turn(id), { kind: 'limit', said: 'No more today', begun: false, ...met }, null, options),
    );
  };
  const reason = (id: string) => {
    const all = snapshot();
    return waitingFor(turn(id), all, all.branches.get(turn(id).branchId));
  };

  it('are left alone until it is time, then one turn tries, and what works lets all go on', async () => {
    await meet('ta', { until: now + hour });
    assert.deepEqual(nextTurns(snapshot()), ['tc'], 'the other agent goes on');
    assert.deepEqual([reason('ta'), reason('tb'), reason('tc')], ['limit', 'limit', undefined]);
    now += hour - 1;
    assert.deepEqual(nextTurns(snapshot()), ['tc']);
    now += 1;
    assert.deepEqual(nextTurns(snapshot()), ['ta', 'tc']);
    assert.deepEqual(nextTurns(snapshot(['ta'])), ['ta', 'tc'].slice(1), 'while it is being started');
    await start('ta');
    assert.deepEqual(nextTurns(snapshot()), ['tc'], 'while it runs');
    await store.commit((tx) => agentWorks(tx, 'one', turn('ta')));
    assert.deepEqual(nextTurns(snapshot()), ['tb', 'tc']);
    assert.equal(store.state.agentWait('one'), undefined);
  });

  it('that name no time are tried after ever longer waits, up to an hour; a sign-in waits for a person', async () => {
    const waits = [];
    for (let n = 0; n < 9; n += 1) {
      await meet('ta', { kind: 'offline' });
      const until = store.state.agentWait('one')?.until ?? 0;
      waits.push((until - now) / minute);
      now = until;
    }
    assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    await meet('ta', { kind: 'signIn' });
    assert.deepEqual([store.state.agentWait('one')?.until, store.state.agentWait('one')?.times], [null, 1]);
    now += 100 * hour;
    assert.equal(reason('ta'), 'signIn');
    await store.commit((tx) => tryAgent(tx, 'one', now));
    assert.deepEqual(nextTurns(snapshot()), ['ta', 'tc']);
  });

  it('are waited for once, whatever number of turns met the same at once', async () => {
    await start('ta');
    await start('tb');
    now += minute;
    await meet('ta', { kind: 'offline' });
    const { until } = store.state.agentWait('one') ?? {};
    now += 1;
    await meet('tb', { kind: 'offline' });
    assert.deepEqual([store.state.agentWait('one')?.times, store.state.agentWait('one')?.until], [1, until]);
  });

  it('are tried when the clock is set back, by one turn, and what works takes the fact away', async () => {
    await meet('ta', { kind: 'offline' });
    now -= 24 * hour;
    assert.deepEqual(nextTurns(snapshot()), ['ta', 'tc']);
    await store.commit((tx) => beginsToTry(tx, 'one', now));
    await start('ta');
    assert.deepEqual(nextTurns(snapshot()), ['tc'], 'while it runs');
    await store.commit((tx) => agentWorks(tx, 'one', turn('ta')));
    assert.equal(store.state.agentWait('one'), undefined);
  });

  it('are not taken to work because a turn that began before still does', async () => {
    await start('ta');
    now += minute;
    await meet('tb', { until: now + hour });
    await store.commit((tx) => agentWorks(tx, 'one', turn('ta')));
    assert.ok(store.state.agentWait('one'));
    now += hour;
    assert.ok(nextTurns(snapshot()).includes('tb'), 'and it keeps nobody from trying');
  });

  it('send a prompt again only where nothing was done for it, and go on three times at most', async () => {
    assert.equal(await meet('ta'), true);
    assert.equal(turn('ta').goesOn, null);
    for (let times = 1; times <= mostGoOns; times += 1) {
      assert.equal(await meet('ta', { begun: true, beginning: { ...begun, tree: `${times}` } }), true);
      assert.deepEqual(turn('ta').goesOn, { times, beginning: { ...begun, tree: `${times}` } }, 'from where its host counts it');
      assert.equal(await meet('ta', { beginning: begun }), true, 'one that says no at once costs nothing');
      assert.equal(turn('ta').goesOn?.times, times);
    }
    assert.equal(await meet('ta', { begun: true, beginning: begun }), false);
  });

  it('are not given a prompt again where nobody could look at what was done for it', async () => {
    assert.equal(await meet('ta', { beginning: begun }), true);
    assert.deepEqual(turn('ta').goesOn, { times: 1, beginning: begun });
  });

  it('pause their branch where that is wanted', async () => {
    paused.value = 'pause';
    await meet('ta', { until: now + hour });
    assert.deepEqual([store.state.branch('a')?.paused, store.state.branch('b')?.paused], ['user', 'no']);
  });

  it('are told in one line each, with the time and how many wait', async () => {
    const lines = () => unavailableAgents(store.state, { nameOf: (id) => `Agent ${id}`, now }).map(({ words }) => words);
    assert.deepEqual(lines(), []);
    await meet('ta', { until: now + hour });
    assert.deepEqual(lines(), [`Agent one has reached its limit until ${momentInWords(now + hour, now)}; 2 branches wait.`]);
    await meet('tb', { kind: 'signIn' });
    assert.deepEqual(lines(), ['Agent one needs you to sign in with its own command; 2 branches wait. Then try it now.']);
    assert.equal(unavailableInWords('limit', now - 1, now), 'had reached its limit and is being tried again');
    assert.match(
      unavailableInWords('offline', now + 30 * hour, now),
      /^can't reach its service and is tried again at \S+ \d\d:\d\d/,
    );
  });
});
