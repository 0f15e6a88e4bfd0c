/** A window that a test kills: an engine on a storage with one turn in its queue. Usage: dyingWindow.ts JSON */
import type { NewSession } from '../../src/sessions/queue.ts';
import { startEngine, type TestSettings } from '../support/engines.ts';

interface Life {
  folder: string;
  open: string;
  settings: Partial<TestSettings>;
  order: NewSession;
}

const { folder, open, settings, order } = JSON.parse(process.argv[2] ?? '') as Life;
const { queue } = await startEngine(folder, open, settings).engine.owner();
process.stdout.write(`${JSON.stringify(await queue.enqueue(order))}\n`);
setInterval(() => undefined, 1_000); // Until it is killed.
