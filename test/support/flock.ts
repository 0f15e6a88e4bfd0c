/** What Darwin's O_EXLOCK does in one call, on Linux: the same kernel lock (flock), taken on the open file by util-linux' `flock`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { FileLock, type OpenLocked } from '../../src/platform/fileLock.ts';

const openWithFlock: OpenLocked = async (path) => {
  const file = openSync(path, 'a+', 0o600);
  const child = spawn('flock', ['--nonblock', '3'], { stdio: ['ignore', 'ignore', 'inherit', file] });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code === 0) return file; // The lock belongs to the open file, which the child only shared.
  closeSync(file);
  return undefined;
};

/** The lock of macOS and the BSDs as it is there, and as it can be on Linux. */
export const fileLockIn = (folder: string): FileLock =>
  process.platform === 'linux' ? new FileLock(() => folder, openWithFlock) : new FileLock(() => folder);
