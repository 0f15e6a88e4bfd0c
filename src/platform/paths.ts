/** Keeping paths where they belong. */
import { isAbsolute, normalize, relative, sep } from 'node:path';

/** True when `path` lies in `folder`, not counting the folder itself. Both absolute. */
export function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/** A relative path that stays below its folder, normalised; undefined for any other. */
export function confined(path: string): string | undefined {
  if (path === '' || isAbsolute(path) || /^[A-Za-z]:/.test(path)) return undefined;
  const normal = normalize(path).replace(/[\\/]+$/, '');
  return normal === '.' || normal === '..' || normal.startsWith(`..${sep}`) || normal.split(/[\\/]/).includes('.git')
    ? undefined
    : normal;
}
