import { join } from 'node:path';
import { root } from '../../scripts/vscodeHost.ts';
import type { AgentSetting } from '../../src/agents/catalog.ts';

/** The agent of `testAgent.ts`, as `scripts/build.ts` bundles it. */
export const testAgent = {
  name: 'Test Agent',
  command: process.execPath,
  args: [join(root, 'out', 'testAgent.cjs')],
} satisfies AgentSetting;
