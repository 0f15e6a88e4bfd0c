/**
 * Fetches a whole VS Code server, and a browser to drive it, into the ignored `.cache` folder, on demand.
 * The npm package `code-server` carries VS Code's server and web workbench; its extension host is the real one.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
export const cacheFolder = join(root, '.cache');

/** The newest host the tests run on, and the lowest VS Code that `engines.vscode` names. */
export const hosts = {
  newest: { codeServer: '4.139.1', node: '24.21.0' },
  lowest: { codeServer: '4.105.1', node: '22.20.0' },
} as const;
export type HostName = keyof typeof hosts;

export interface Host {
  name: HostName;
  /** The Node binary that runs the server. */
  node: string;
  /** Folder of the VS Code server (`out/server-main.js` is below it). */
  server: string;
  /** Version of VS Code, as `vscode.version` gives it. */
  version: string;
}

/** Installs the host if it is not in the cache, and returns where it is. Throws when npm fails. */
export function ensureHost(name: HostName): Host {
  const want = hosts[name];
  const folder = join(cacheFolder, `vscode-${want.codeServer}`);
  const server = join(folder, 'node_modules', 'code-server', 'lib', 'vscode');
  const node = join(folder, 'node_modules', 'node-bin', 'bin', 'node');
  if (!existsSync(join(folder, 'complete'))) {
    console.log(`Fetching VS Code (code-server ${want.codeServer}) into ${folder} ...`);
    const building = `${folder}.building`;
    rmSync(building, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(building, { recursive: true });
    writeFileSync(join(building, 'package.json'), '{"private":true}\n');
    const arch = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
    npm(
      ['install', '--ignore-scripts', '--no-save', `node-bin@npm:${arch}@${want.node}`, `code-server@${want.codeServer}`],
      building,
    );
    const buildingServer = join(building, 'node_modules', 'code-server', 'lib', 'vscode');
    useRegistryOnly(buildingServer);
    npm(['install', '--omit=dev', '--ignore-scripts'], buildingServer);
    linkRipgrep(buildingServer);
    writeFileSync(join(building, 'complete'), '');
    renameSync(building, folder);
  }
  const product = JSON.parse(readFileSync(join(server, 'package.json'), 'utf8')) as { version: string };
  return { name, node, server, version: product.version };
}

function npm(args: string[], cwd: string): void {
  execFileSync('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
}

/** Older servers name a git commit of the file watcher, which a machine with only a package registry can't fetch. */
function useRegistryOnly(server: string): void {
  const path = join(server, 'package.json');
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as { dependencies: Record<string, string> };
  if (!manifest.dependencies['@parcel/watcher']?.includes('#')) return;
  manifest.dependencies['@parcel/watcher'] = '^2.5.1';
  writeFileSync(path, JSON.stringify(manifest, null, 2));
  rmSync(join(server, 'npm-shrinkwrap.json'), { force: true });
}

/** Older packages fetch ripgrep in an install script that we do not run; the system's does as well. */
function linkRipgrep(server: string): void {
  const binary = join(server, 'node_modules', '@vscode', 'ripgrep', 'bin', 'rg');
  if (existsSync(binary)) return;
  const found = spawnSync('which', ['rg'], { encoding: 'utf8' }).stdout?.trim();
  if (!found) return; // Only VS Code's own search needs it.
  mkdirSync(dirname(binary), { recursive: true });
  execFileSync('ln', ['-s', found, binary]);
}

const browserNames = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'microsoft-edge'];

/** Path of a Chromium, installed with apt where that is possible and none is there. Throws with what to do. */
export function ensureBrowser(): string {
  const named = process.env.BRANCHLINE_BROWSER;
  if (named) return named;
  const found = findBrowser();
  if (found) return found;
  if (process.platform === 'linux' && process.getuid?.() === 0 && spawnSync('which', ['apt-get']).status === 0) {
    console.log('Installing Chromium with apt-get ...');
    const quiet = { stdio: ['ignore', 'ignore', 'inherit'] as ['ignore', 'ignore', 'inherit'] };
    execFileSync('apt-get', ['update', '-qq'], quiet);
    execFileSync('apt-get', ['install', '-y', '-qq', 'chromium'], quiet);
    const installed = findBrowser();
    if (installed) return installed;
  }
  throw new Error('No Chromium was found. Install Chromium or Chrome, or set BRANCHLINE_BROWSER to its path.');
}

function findBrowser(): string | undefined {
  for (const name of browserNames) {
    const path = spawnSync('which', [name], { encoding: 'utf8' }).stdout?.trim();
    if (path) return path;
  }
  const mac = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome';
  return existsSync(mac) ? mac : undefined;
}
