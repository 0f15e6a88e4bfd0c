/** A private folder for sockets, with a path short enough for them (about 100 bytes are all the system allows). */
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { BranchlineError, messageOf } from '../model/errors.ts';

const longestFolder = 70;

/**
 * Path of the folder, made when it is not there. A place that can't be written to is passed over: the one in XDG_RUNTIME_DIR goes with
 * the user's last login. Throws when there is none, or somebody else could read or replace it.
 */
export function runtimeFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const bases = [environment.XDG_RUNTIME_DIR, tmpdir(), '/tmp'].filter((base): base is string => Boolean(base));
  const folders = bases.map((base) => join(base, `branchline-${userInfo().uid}`));
  const short = folders.filter((path) => Buffer.byteLength(path) <= longestFolder);
  if (short.length === 0)
    throw new BranchlineError(
      'The temporary folder has too long a path for a socket. Set TMPDIR to a shorter one and reload the window.',
    );
  let trouble: unknown;
  for (const folder of short) {
    try {
      return privateFolder(folder);
    } catch (error) {
      trouble ??= error;
    }
  }
  if (trouble instanceof BranchlineError) throw trouble;
  throw new BranchlineError(
    `No folder for sockets can be made: ${messageOf(trouble)}. Set TMPDIR to a folder that you can write to and reload the window.`,
    { cause: trouble },
  );
}

/** The folder, made in one that is there, readable by its owner alone. Throws BranchlineError when it is somebody else's. */
export function privateFolder(folder: string): string {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  if (process.platform === 'win32') return folder;
  const found = lstatSync(folder);
  if (!found.isDirectory() || found.uid !== userInfo().uid) {
    throw new BranchlineError(
      `The folder ${folder} belongs to somebody else. Remove it, or set TMPDIR to a folder of your own, and reload the window.`,
    );
  }
  if ((found.mode & 0o077) !== 0) chmodSync(folder, 0o700);
  return folder;
}
