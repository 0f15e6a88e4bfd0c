/** A private folder for sockets, with a path short enough for them (about 100 bytes are all the system allows). */
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { BranchlineError } from '../model/errors.ts';

const longestFolder = 70;

/** Path of the folder, made when it is not there. Throws when somebody else could read or replace it. */
export function runtimeFolder(): string {
  const uid = userInfo().uid;
  const candidates = [process.env.XDG_RUNTIME_DIR, tmpdir(), '/tmp'].filter((base): base is string => Boolean(base));
  const name = `branchline-${uid}`;
  const folder = candidates.map((base) => join(base, name)).find((path) => Buffer.byteLength(path) <= longestFolder);
  if (!folder)
    throw new BranchlineError(
      'The temporary folder has too long a path for a socket. Set TMPDIR to a shorter one and reload the window.',
    );
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (process.platform === 'win32') return folder;
  const found = lstatSync(folder);
  if (!found.isDirectory() || found.uid !== uid) {
    throw new BranchlineError(
      `The folder ${folder} belongs to somebody else. Remove it, or set TMPDIR to a folder of your own, and reload the window.`,
    );
  }
  if ((found.mode & 0o077) !== 0) chmodSync(folder, 0o700);
  return folder;
}
