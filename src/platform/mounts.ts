/** Where disks are mounted, so that a folder that was deleted is told from one whose disk is not there now. */
import { existsSync, statSync } from 'node:fs';
import { dirname, parse } from 'node:path';

/** What a file system says of a folder; a parameter, so that a test can have disks. */
export interface Disks {
  /** The device that a folder is on; undefined when it is not there. */
  deviceOf(path: string): number | undefined;
  exists(path: string): boolean;
}

export const realDisks: Disks = {
  deviceOf: (path) => statSync(path, { throwIfNoEntry: false })?.dev,
  exists: (path) => existsSync(path),
};

/** The folder where the disk of `path` is mounted; null for the one that everything is on. */
export function mountOf(path: string, disks: Disks = realDisks): string | null {
  const device = disks.deviceOf(path);
  if (device === undefined) return null;
  const { root } = parse(path);
  let mount = path;
  while (mount !== root && disks.deviceOf(dirname(mount)) === device) mount = dirname(mount);
  return mount === '/' ? null : mount; // On Windows each drive is a root of its own.
}

/** False while the disk that was mounted there is not. */
export function isMounted(mount: string | null, disks: Disks = realDisks): boolean {
  if (mount === null) return true;
  if (!disks.exists(mount)) return false;
  return dirname(mount) === mount || disks.deviceOf(mount) !== disks.deviceOf(dirname(mount));
}
