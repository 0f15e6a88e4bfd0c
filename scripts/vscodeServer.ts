/** Runs a VS Code server of the cache, with everything it writes in one folder, and ends it with all it started. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Host } from './vscodeHost.ts';

export interface ServerOptions {
  host: Host;
  /** Everything the server and what it starts may write: data, home, temporary files, sockets. A short path (sockets). */
  folder: string;
  /** The storage of a workspace depends on it; keep it over a restart. */
  port?: number;
  settings?: Record<string, unknown>;
  /** Ask whether to trust a folder, as VS Code does by itself. */
  workspaceTrust?: boolean;
  /** Lets a test drive the extension host; suppresses toasts and dialogs. */
  testDriver?: boolean;
  environment?: Record<string, string>;
  /** Passes on the user's own home instead of one in `folder`. */
  ownHome?: boolean;
  log?: (text: string) => void;
}

export interface Server {
  port: number;
  /** Address of a window on `folder`; `payload` as VS Code's own tests give it. */
  url(folder: string | undefined, payload?: readonly (readonly [string, string])[]): string;
  /** Pids of the extension hosts that were started, the latest last. */
  readonly extensionHosts: readonly number[];
  stop(): Promise<void>;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

function serverEnvironment({ folder, environment, ownHome }: ServerOptions): NodeJS.ProcessEnv {
  const own = { HOME: join(folder, 'home'), TMPDIR: join(folder, 'tmp'), XDG_RUNTIME_DIR: join(folder, 'run') };
  for (const path of Object.values(own)) mkdirSync(path, { recursive: true, mode: 0o700 });
  const { NODE_OPTIONS: _, VSCODE_IPC_HOOK_CLI: __, ...inherited } = process.env;
  return { ...inherited, ...(ownHome ? {} : own), ...environment };
}

export function installExtension(options: ServerOptions, vsix: string): void {
  const { status, stdout, stderr } = spawnSync(
    options.host.node,
    [
      join(options.host.server, 'out', 'server-main.js'),
      '--install-extension',
      vsix,
      '--force',
      '--accept-server-license-terms',
      '--server-data-dir',
      join(options.folder, 'data'),
    ],
    { encoding: 'utf8', env: serverEnvironment(options) },
  );
  if (status !== 0) throw new Error(`The extension could not be installed: ${stdout}${stderr}`);
}

export async function startServer(options: ServerOptions): Promise<Server> {
  const { host, folder } = options;
  const port = options.port ?? (await freePort());
  const data = join(folder, 'data');
  for (const scope of ['Machine', 'User']) {
    mkdirSync(join(data, 'data', scope), { recursive: true });
    writeFileSync(
      join(data, 'data', scope, 'settings.json'),
      JSON.stringify(
        {
          'workbench.startupEditor': 'none',
          'telemetry.telemetryLevel': 'off',
          'extensions.autoCheckUpdates': false,
          'extensions.autoUpdate': false,
          'chat.disableAIFeatures': true,
          'workbench.tips.enabled': false,
          'git.openRepositoryInParentFolders': 'never',
          'workbench.secondarySideBar.defaultVisibility': 'hidden',
          ...options.settings,
        },
        null,
        2,
      ),
    );
  }
  const child = spawn(
    host.node,
    [
      join(host.server, 'out', 'server-main.js'),
      '--host',
      '127.0.0.1',
      '--port',
      String(port),
      '--without-connection-token',
      '--accept-server-license-terms',
      '--server-data-dir',
      data,
      '--telemetry-level',
      'off',
      ...(options.testDriver ? ['--enable-smoke-test-driver'] : []),
      ...(options.workspaceTrust ? [] : ['--disable-workspace-trust']),
    ],
    { env: serverEnvironment(options), stdio: ['ignore', 'pipe', 'pipe'], detached: process.platform !== 'win32' },
  );
  const extensionHosts: number[] = [];
  await new Promise<void>((resolve, reject) => {
    let said = '';
    const read = (chunk: Buffer) => {
      const text = chunk.toString();
      options.log?.(text);
      said = (said + text).slice(-4_000);
      for (const match of text.matchAll(/<(\d+)> Launched Extension Host Process/g)) extensionHosts.push(Number(match[1]));
      if (said.includes('Extension host agent listening on')) resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('exit', (code) => reject(new Error(`The VS Code server ended with exit code ${code}: ${said}`)));
  });
  const authority = `127.0.0.1:${port}`;
  return {
    port,
    extensionHosts,
    url: (opened, payload = []) => {
      const query = new URLSearchParams();
      if (opened) query.set('folder', opened);
      else query.set('ew', 'true');
      query.set(
        'payload',
        JSON.stringify([
          ['skipWelcome', 'true'],
          ['skipReleaseNotes', 'true'],
          ...payload.map(([key, value]) => [key, value.startsWith('/') ? `vscode-remote://${authority}${value}` : value]),
        ]),
      );
      return `http://${authority}/?${query.toString()}`;
    },
    stop: async () => {
      await endGroup(child);
      if (!options.ownHome) endLeftovers(folder);
    },
  };
}

function endGroup(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    const signal = (name: NodeJS.Signals) => {
      try {
        if (child.pid) process.kill(process.platform === 'win32' ? child.pid : -child.pid, name);
      } catch {
        // All of it has ended.
      }
    };
    const force = setTimeout(() => signal('SIGKILL'), 5_000);
    child.on('exit', () => {
      clearTimeout(force);
      signal('SIGKILL'); // What the server started and left.
      resolve();
    });
    signal('SIGTERM');
  });
}

/** Agent hosts outlive windows by design; those of a server whose home goes away with it are ended. Linux only. */
function endLeftovers(folder: string): void {
  if (process.platform !== 'linux') return;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (
        readFileSync(`/proc/${pid}/environ`, 'utf8')
          .split('\0')
          .includes(`HOME=${join(folder, 'home')}`)
      )
        process.kill(Number(pid), 'SIGKILL');
    } catch {
      // Gone, or not ours.
    }
  }
}
