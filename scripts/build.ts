/** Bundles the extension and the programs it starts into `dist/`, and the agent of the tests into `out/`. Usage: node scripts/build.ts [--watch] [--production] */
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
  define: { navigator: 'undefined' }, // VS Code reports extensions that look for a browser in Node, as a library of ours does.
  minify: production,
  sourcemap: production ? false : 'linked',
  logLevel: 'warning',
};

/** The timeline's page, for the browser in VS Code. */
const page: BuildOptions = {
  absWorkingDir: root,
  entryPoints: { timeline: 'src/webview/ui/main.ts', style: 'src/webview/ui/timeline.css' },
  outdir: 'dist',
  bundle: true,
  platform: 'browser',
  format: 'iife',
  target: 'es2022',
  loader: { '.ttf': 'file' },
  assetNames: '[name]',
  minify: production,
  sourcemap: false,
  logLevel: 'warning',
};

/** Started some hundred times by the tests, and twice as fast as one file. */
const testAgent: BuildOptions = {
  absWorkingDir: root,
  entryPoints: { testAgent: 'test/support/testAgent.ts' },
  outdir: 'out',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node22',
  logLevel: 'warning',
};

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
const require = createRequire(import.meta.url);
cpSync(require.resolve('sql.js/dist/sql-wasm.wasm'), join(dist, 'sql-wasm.wasm'));
cpSync(join(root, 'src', 'apiTypes.ts'), join(dist, 'api.d.ts')); // Types only, so the source is its own declaration.
// The sources are ES modules, the bundles are not.
writeFileSync(join(dist, 'package.json'), '{ "type": "commonjs" }\n');
for (const one of [options, page, testAgent]) {
  if (process.argv.includes('--watch')) await (await context(one)).watch();
  else await build(one);
}
