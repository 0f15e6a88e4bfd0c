/** Which files tool calls touch, and whether those are the branch's own. */
import { lstatSync, realpathSync } from 'node:fs';
import { dirname, resolve, sep } from 'node:path';
import { isInside } from '../platform/paths.ts';

/** Tool calls of which paths are kept; a call that asks was announced a moment before. */
const mostCalls = 200;

/** The paths that updates of tool calls have named: a request for permission may leave out what was said before. */
export class ToolPaths {
  readonly #paths = new Map<string, Set<string>>();

  note(toolCallId: string, paths: readonly string[]): void {
    if (paths.length === 0) return;
    const known = this.#paths.get(toolCallId) ?? new Set();
    this.#paths.delete(toolCallId);
    this.#paths.set(toolCallId, known);
    for (const path of paths) known.add(path);
    if (this.#paths.size > mostCalls) this.#paths.delete(this.#paths.keys().next().value as string);
  }

  of(toolCallId: string): Iterable<string> {
    return this.#paths.get(toolCallId) ?? [];
  }
}

/** True when the path leads, through whatever links, to a file of the worktree, and not to what git keeps there. */
export function isInWorktree(path: string, { worktree }: { worktree: string }): boolean {
  if (isAmbiguous(path)) return false;
  try {
    const real = realOf(resolve(worktree, path));
    const root = realpathSync(worktree);
    if (!isInside(real, root)) return false;
    // Some file systems take `.GIT` for the same, and Windows `.git.`, `.git ` and `.git::$INDEX_ALLOCATION`, too.
    return !real
      .slice(root.length)
      .split(sep)
      .some((part) => /^\.git[. ]*(?::.*)?$/i.test(part) || /^git~\d$/i.test(part));
  } catch {
    return false;
  }
}

/**
 * True for what a program may take for another file than we would: after a link, `..` leads to the parent of where that leads; a URI, `~`
 * and variables may be expanded.
 */
const isAmbiguous = (path: string): boolean =>
  /(?:^|[\\/])\.\.(?:[\\/]|$)/.test(path) || /^(?:[a-z][\w+.-]+:|~|\$|%)/i.test(path);

/** Where the path leads; the part of it that is not there yet is taken as it stands. Throws for a link that leads nowhere. */
function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || isLink(path) || dirname(path) === path) throw error;
    return resolve(realOf(dirname(path)), path.slice(dirname(path).length).replace(/^[\\/]+/, ''));
  }
}

const isLink = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
