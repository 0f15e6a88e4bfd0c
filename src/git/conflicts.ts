/** Marks that git leaves in a file where two sides differ (git-merge(1), "How conflicts are presented"). */
import { constants } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Git } from './git.ts';

/** A file that is larger than this is not looked into; bytes. */
const largest = 4 * 1024 * 1024;

/** True when a text has all three marks, in their order. */
export function hasMarkers(text: string): boolean {
  const begin = /^<{7,}(?: .*)?$/m.exec(text);
  if (!begin) return false;
  const rest = text.slice(begin.index);
  const middle = /^={7,}\r?$/m.exec(rest);
  return middle !== null && /^>{7,}(?: .*)?$/m.test(rest.slice(middle.index));
}

/** The text of a file in the worktree; undefined for what is no text, too large, a link or not there. */
export async function textOf(git: Git, path: string): Promise<string | undefined> {
  let file: Awaited<ReturnType<typeof open>> | undefined;
  try {
    const whole = join(git.folder, path);
    // A pipe that nobody writes to would be waited for without end.
    if (!(await lstat(whole)).isFile()) return undefined;
    file = await open(whole, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > largest) return undefined;
    const content = await file.readFile();
    return content.includes(0) ? undefined : content.toString('utf8');
  } catch {
    return undefined;
  } finally {
    await file?.close();
  }
}

/** Those of `paths` that hold marks of a conflict which were not in `before` already (a text about conflicts may hold some). */
export async function conflicting(git: Git, paths: readonly string[], before: string): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) {
    const text = await textOf(git, path);
    if (text === undefined || !hasMarkers(text)) continue;
    const earlier = await git.content(before, path);
    if (!earlier || !hasMarkers(earlier.toString('utf8'))) found.push(path);
  }
  return found;
}
