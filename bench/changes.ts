/** What one change costs, from the call until the tree's rows are made again, with few and with many sessions stored. */
import { join } from 'node:path';
import { makeCatalog } from '../src/agents/catalog.ts';
import { Queue } from '../src/sessions/queue.ts';
import { queueSnapshot, nextTurns } from '../src/sessions/nextTurn.ts';
import { statusText } from '../src/statusText.ts';
import { nodeFileSystem } from '../src/store/fileSystem.ts';
import { Store } from '../src/store/store.ts';
import { childrenOf, endedAtFirst } from '../src/tree/nodes.ts';
import { rowOf } from '../src/tree/presentation.ts';
import { branchRow, makeDatabase, sessionRow, turnRow } from '../test/support/stores.ts';
import { compare, inTurns, median, timed } from './figures.ts';

/** Changes in a round. */
const each = 80;

/** A store with so many sessions, and what one change of it costs in milliseconds, from the call until its rows are made. */
async function storeWith(folder: string, sessions: number): Promise<{ cost: () => Promise<number>; close: () => Promise<void> }> {
  const store = await Store.open({
    files: nodeFileSystem,
    folder,
    makeDatabase,
    owner: 'bench',
    now: Date.now,
    onProblem: (message) => console.log(message),
  });
  const perBranch = 10;
  await store.commit((tx) => {
    for (let n = 0; n < sessions; n += 1) {
      const branch = `b${Math.floor(n / perBranch)}`;
      if (n % perBranch === 0) tx.insert('branch', branchRow(branch, { worktreeState: 'ready', paused: 'user', name: branch }));
      tx.insert('session', sessionRow(`s${n}`, branch));
      tx.insert(
        'turn',
        turnRow(`t${n}`, `s${n}`, branch, {
          position: n,
          ...(n % perBranch < 7 ? { state: 'completed', startedAt: n, endedAt: n } : {}),
        }),
      );
    }
  });
  await store.checkpoint();
  const catalog = makeCatalog({}, 'shellAgent.js');
  const queue = new Queue({
    store,
    files: nodeFileSystem,
    folder,
    newId: () => 'x',
    now: Date.now,
    openFolders: () => [],
    defaultAgent: () => 'shell',
    agents: () => ['shell'],
  });
  const listener = store.onDidChange((change) => {
    const snapshot = queueSnapshot(store.state, { catalog, limit: 4, trusted: true, inFlight: [], now: Date.now() });
    nextTurns(snapshot);
    const context = { state: store.state, queue: snapshot, agentName: (id: string) => id, now: Date.now() };
    for (const id of change.branches) for (const node of childrenOf(store.state, id, endedAtFirst)) rowOf(node, context);
    statusText(store.state, false, { nameOf: (id) => id, now: 0 });
  });
  return {
    cost: async () => {
      const times: number[] = [];
      for (let n = 0; n < each; n += 1) times.push(await timed(() => queue.moveBy('t9', n % 2 === 0 ? -1 : 1)));
      return median(times);
    },
    close: async () => {
      listener.dispose();
      await store.close();
    },
  };
}

export async function benchChanges(folder: string): Promise<void> {
  const few = await storeWith(join(folder, 'few'), 10);
  for (const sessions of [1_000, 10_000]) {
    const many = await storeWith(join(folder, String(sessions)), sessions);
    await compare(
      `one change with ${sessions.toLocaleString('en')} sessions`,
      { against: 'with 10 sessions', atMost: 1.5 },
      inTurns(many.cost, few.cost),
    );
    await many.close();
  }
  await few.close();
}
