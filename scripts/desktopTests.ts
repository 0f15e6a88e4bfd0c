/** Runs the story of `test/host` in a desktop VS Code that @vscode/test-electron downloads. Needs the internet and a display. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runTests } from '@vscode/test-electron';
import { makeRepository } from '../test/support/repositories.ts';
import { bundleHostTests } from './hostTests.ts';
import { root } from './vscodeHost.ts';

const folder = mkdtempSync(join(tmpdir(), 'bd-'));
const output = join(folder, 'output.txt');
try {
  const code = await runTests({
    extensionDevelopmentPath: root,
    extensionTestsPath: await bundleHostTests('story'),
    extensionTestsEnv: { BRANCHLINE_TEST_OUTPUT: output },
    launchArgs: [makeRepository(folder), '--disable-workspace-trust', '--user-data-dir', join(folder, 'user')],
  });
  process.exitCode = code;
} finally {
  try {
    process.stdout.write(readFileSync(output, 'utf8'));
  } catch {
    console.log('VS Code ended before a test ran.');
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
