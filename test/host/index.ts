/** Entry of the tests inside the extension host: VS Code calls `run`. What mocha prints goes to a file. */
import { appendFileSync } from 'node:fs';
import { format } from 'node:util';
import { testLimit } from '../support/patience.ts';

const suites: Record<string, () => Promise<unknown>> = {
  story: () => import('./story.test.ts'),
  beforeReload: () => import('./beforeReload.test.ts'),
  afterReload: () => import('./afterReload.test.ts'),
};

export async function run(): Promise<void> {
  const { BRANCHLINE_TEST_OUTPUT: output } = process.env;
  if (!output) throw new Error('BRANCHLINE_TEST_OUTPUT has to name the file for the results.');
  const { default: Mocha } = await import('mocha');
  Mocha.reporters.Base.consoleLog = (...args: unknown[]) => appendFileSync(output, `${format(...args)}\n`);
  const mocha = new Mocha({ ui: 'bdd', color: false, timeout: testLimit, reporter: 'spec' });
  mocha.suite.emit('pre-require', globalThis as unknown as Mocha.MochaGlobals, '', mocha);
  const name = SUITE;
  await suites[name]?.();
  const failures = await new Promise<number>((resolve) => mocha.run(resolve));
  if (failures > 0) throw new Error(`${failures} tests failed.`);
}

/** Set by the bundler: one bundle for each suite. */
declare const SUITE: string;
