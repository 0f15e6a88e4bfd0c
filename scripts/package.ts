/** Makes `branchline.vsix` and checks that it holds what it needs, and nothing else. Usage: node scripts/package.ts */
import { execFileSync } from 'node:child_process';
import { cpSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createVSIX, listFiles, PackageManager } from '@vscode/vsce';
import { root } from './vscodeHost.ts';

export const vsix = join(root, 'branchline.vsix');
const largest = 1.5 * 1024 * 1024;
/** What `.vscodeignore` chooses from: vsce matches every file it sees against every rule, and the cache holds very many. */
const sources = ['dist', 'media', 'package.json', 'README.md', 'CHANGELOG.md', 'LICENSE', '.vscodeignore'];

export async function makePackage(): Promise<void> {
  execFileSync(process.execPath, ['scripts/build.ts', '--production'], { cwd: root, stdio: 'inherit' });
  const stage = join(root, 'out', 'package');
  rmSync(stage, { recursive: true, force: true });
  for (const name of sources) cpSync(join(root, name), join(stage, name), { recursive: true });
  await createVSIX({
    cwd: stage,
    dependencies: false,
    packagePath: vsix,
    allowMissingRepository: true,
    rewriteRelativeLinks: false,
  });
  const list = await listFiles({ cwd: stage, packageManager: PackageManager.None });
  const unwanted = list.filter((path) => /\.map$|\.ts$/.test(path) && !path.endsWith('.d.ts'));
  const { size } = statSync(vsix);
  console.log(`branchline.vsix: ${(size / 1024).toFixed(0)} KB, ${list.length} files`);
  if (unwanted.length > 0) throw new Error(`The package holds what it does not need: ${unwanted.join(', ')}`);
  if (size > largest) throw new Error(`The package is larger than ${largest / 1024} KB.`);
}

if (import.meta.main) await makePackage();
