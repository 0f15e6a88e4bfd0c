import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { QueuedIds } from '../../src/apiTypes.ts';
import { activated, folder, turnIn, until } from './support.ts';

describe('Before a reload', () => {
  it('is left in the middle of the second of three turns', async () => {
    const api = await activated();
    const go = join(folder(), '..', 'go');
    const ids: QueuedIds[] = [];
    for (const prompt of [
      'echo 1 >> file.txt',
      `echo 2 >> file.txt; while ! test -e '${go}'; do sleep 0.05; done; echo end of two`,
      'echo 3 >> file.txt',
    ]) {
      ids.push(await api.queueSession({ branch: 'reload', title: `Step ${ids.length + 1}`, prompt }));
    }
    await until(api, () => turnIn(api, ids[1]?.turnId ?? '')?.state === 'running', 'the second runs');
    assert.ok(!existsSync(go));
  });
});
