/**
 * A program that the kill test ends at a random moment: an engine on a storage, doing what a person does, and saying in a file
 * (synced, line by line) what it begins and what was acknowledged. Usage: killedEngine.ts FOLDER SEED LIFE
 */
import { fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Owner } from '../../src/sessions/engine.ts';
import { startEngine, testAgent } from './engines.ts';
import { randomFrom } from './simulatedDisk.ts';
import { readTold, type Told, waitingOn, wrongOrder } from './told.ts';

const [folder = '', seedText = '', life = ''] = process.argv.slice(2);
const random = randomFrom(Number(seedText));
const told = openSync(join(folder, 'told.jsonl'), 'a');
const tell = (entry: Told) => {
  writeSync(told, `${JSON.stringify(entry)}\n`);
  fsyncSync(told);
};
const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)];

const earlier = readTold(folder);
const { engine } = startEngine(folder, join(folder, 'repo'), {
  agents: { test: testAgent },
  defaultAgent: 'test',
  permissions: random() < 0.5 ? 'ask' : 'allowAll',
  onFailure: 'continue',
  worktrees: { setup: random() < 0.3 ? [{ command: 'sleep 0.1', wait: true, timeoutSeconds: 20 }] : [] },
});
process.stdout.write('up\n');
const owner: Owner = await engine.owner();
const wrong = wrongOrder(earlier, engine);
if (wrong) tell({ failed: wrong });
/** Changes the order of a branch, saying so before and after. */
const changing = async (branchId: string, change: () => Promise<unknown>) => {
  tell({ touching: branchId });
  await change();
  tell({ line: branchId, ids: waitingOn(engine, branchId) });
};
let number = 0;
for (;;) {
  const queued = Array.from(engine.state.turns()).filter((turn) => turn.state === 'queued');
  const turn = pick(queued);
  const dice = random();
  try {
    if (dice < 0.5 || !turn) {
      number += 1;
      const name = `${life}-${number}`;
      tell({ begin: name });
      const attachments =
        random() < 0.2 ? [{ name: 'a.txt', mimeType: 'text/plain', base64: Buffer.from(name).toString('base64') }] : [];
      const { turnId } = await owner.queue.enqueue({
        branch: pick(['one', 'two', 'three']),
        kind: pick(['commit', 'note']),
        prompt: `count ${join(folder, 'counts', name)}\nburst 5${random() < 0.2 ? '\nask Go on' : ''}`,
        attachments,
      });
      tell({ accepted: name, turnId, attachments: attachments.length });
    } else if (dice < 0.56) await changing(turn.branchId, () => owner.queue.moveBy(turn.id, random() < 0.5 ? -1 : 1));
    else if (dice < 0.6)
      await changing(turn.branchId, () =>
        owner.queue.move(turn.id, { before: pick(queued.filter((other) => other.branchId === turn.branchId))?.id ?? null }),
      );
    else if (dice < 0.66) {
      tell({ removing: turn.id });
      await owner.queue.remove(turn.id);
    } else if (dice < 0.7) {
      tell({ cancelling: turn.id });
      await owner.queue.cancel(turn.id);
    } else if (dice < 0.8) await owner.store.checkpoint();
    else {
      for (const active of engine.state.active()) if (active.permission) owner.dispatcher.respond(active.permission.id, 'yes');
      await new Promise<void>((resolve) => {
        const change = engine.onDidChange(() => {
          change.dispose();
          resolve();
        });
        if (Array.from(engine.state.active()).length === 0) resolve();
      });
    }
  } catch (error) {
    if ((error as Error).name !== 'RefusedError') tell({ failed: String(error) }); // A turn may have been taken meanwhile.
  }
  if (number > 60) await new Promise(() => undefined); // Enough to do; the end comes.
}
