/** What a process takes, in bytes, after everything that can be freed was. Usage as a program: memory.ts FOLDER, opens a storage and prints what that added. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

export function heapSize(): number {
  collect();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

if (import.meta.main) {
  const { nodeFileSystem } = await import('../src/store/fileSystem.ts');
  const { Store } = await import('../src/store/store.ts');
  const { makeDatabase } = await import('../test/support/stores.ts');
  collect();
  const before = process.memoryUsage.rss();
  await Store.open({
    files: nodeFileSystem,
    folder: process.argv[2] ?? '',
    makeDatabase,
    owner: 'bench',
    now: Date.now,
    onProblem: (message) => console.error(message),
  });
  collect();
  console.log(process.memoryUsage.rss() - before);
  process.exit(0);
}
