/** Bundles the extension and the programs it starts into `dist/`. Usage: node scripts/build.ts [--watch] [--production] */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type BuildOptions, build, context } from 'esbuild';
import { root } from './vscodeHost.ts';

const production = process.argv.includes('--production');
const dist = join(root, 'dist');

const options: BuildOptions = {
  absWorkingDir: root,
  entryPoints: {
    extension: 'src/extension.ts',
    agentHost: 'src/agentHost/main.ts',
    shellAgent: 'src/shellAgent/main.ts',
  },
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node22',
  external: ['vscode'],
  minify: production,
  sourcemap: production ? false : 'linked',
  logLevel: 'warning',
};

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
const require = createRequire(import.meta.url);
cpSync(require.resolve('sql.js/dist/sql-wasm.wasm'), join(dist, 'sql-wasm.wasm'));
cpSync(join(root, 'src', 'apiTypes.ts'), join(dist, 'api.d.ts')); // Types only, so the source is its own declaration.
// The sources are ES modules, the bundles are not.
writeFileSync(join(dist, 'package.json'), '{ "type": "commonjs" }\n');
if (process.argv.includes('--watch')) await (await context(options)).watch();
else await build(options);
