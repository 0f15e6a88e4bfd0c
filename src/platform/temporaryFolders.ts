/**
 * Temporary folders that have an owner: a process, by identity. They go with it; those that a killed one left behind are removed by
 * whoever looks next (`removeLeftovers`), whichever window or storage that is.
 *
 * In the system's temporary folder, not in the storage (programs make sockets there, whose paths must be short) and not in
 * XDG_RUNTIME_DIR (a small RAM disk that goes with the last login).
 */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { randomId } from '../model/ids.ts';
import { identityOf, type ProcessIdentity } from './processes.ts';
import { privateFolder } from './runtimeFolder.ts';
import { livingOf, type System, thisSystem } from './system.ts';

const ownerFile = '.branchline-owner';
/** Milliseconds after which a folder without an owner was not just being made. */
const makingTime = 60_000;

/** Where they are, below the system's temporary folder. Throws BranchlineError when that place is somebody else's. */
export function temporaryRoot(base = tmpdir()): string {
  privateFolder(dirname(rootIn(base)));
  return privateFolder(rootIn(base));
}

const rootIn = (base: string): string => join(base, `branchline-${userInfo().uid}`, 'tmp');

let ourselves: Promise<ProcessIdentity | undefined> | undefined;

/** A new private folder that belongs to this process. Remove it with `removeFolder`. Rejects where the system does not say who we are. */
export async function ownedTemporaryFolder(name: string, base?: string): Promise<string> {
  ourselves ??= identityOf(process.pid);
  const owner = await ourselves.catch((error: unknown) => {
    ourselves = undefined; // It is asked again.
    throw error;
  });
  const root = temporaryRoot(base);
  const path = join(root, name);
  const making = `${path}.${randomId()}.new`;
  await mkdir(making, { mode: 0o700 });
  await writeFile(join(making, ownerFile), JSON.stringify(owner), { mode: 0o600 });
  await rm(path, { recursive: true, force: true }); // Of an earlier one with this name.
  await rename(making, path);
  return path;
}

/** The folder that the agent of a host has as its TMPDIR. It belongs to the process that asks: the host. */
export const agentTemporaryFolder = (hostId: string, base?: string): Promise<string> =>
  ownedTemporaryFolder(`agent-${hostId.split('.').at(-1)}`, base);

/** Never rejects: what can't be removed now is a leftover. */
export async function removeFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
}

/** Removes the temporary folders whose owners are gone. Never rejects. */
export async function removeLeftovers(base?: string, system: System = thisSystem): Promise<void> {
  let root: string;
  let names: string[];
  try {
    root = temporaryRoot(base);
    names = await readdir(root);
  } catch {
    return; // Nothing of ours is there, or nothing can be.
  }
  const owners = new Map<string, ProcessIdentity | undefined>();
  for (const name of names) owners.set(join(root, name), await ownerOf(join(root, name)));
  try {
    const living = await livingOf(
      system,
      [...owners.values()].filter((owner) => owner !== undefined),
    );
    for (const [path, owner] of owners) {
      if (owner ? !living.has(owner) : await isOld(path)) await removeFolder(path);
    }
  } catch {
    // It can't be told whose they are, so they stay.
  }
}

/** Undefined where it is not written down, which may be on its way. */
async function ownerOf(path: string): Promise<ProcessIdentity | undefined> {
  try {
    return identityIn(JSON.parse(await readFile(join(path, ownerFile), 'utf8')));
  } catch {
    return undefined;
  }
}

async function isOld(path: string): Promise<boolean> {
  const { mtimeMs } = await stat(path);
  return Date.now() - mtimeMs > makingTime;
}

function identityIn(value: unknown): ProcessIdentity | undefined {
  const { pid, startTime } = (value ?? {}) as Partial<Record<string, unknown>>;
  return typeof pid === 'number' && typeof startTime === 'string' ? { pid, startTime } : undefined;
}
