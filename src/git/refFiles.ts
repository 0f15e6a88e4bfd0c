/**
 * Refs as their files show them (gitrepository-layout(5)): a hint for whoever must not wait for git. A repository that keeps its
 * refs in another way (reftable) shows nothing here; `resolveBase` asks git and decides.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { FoundRepository } from './repository.ts';

/** What HEAD was. */
export interface HeadSeen {
  /** Full name of the branch; null when detached or unreadable. */
  ref: string | null;
  /** Null when unborn or unreadable. */
  sha: string | null;
}

const fullSha = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const deepest = 5;

export function headSeen({ gitFolder, commonFolder }: Pick<FoundRepository, 'gitFolder' | 'commonFolder'>): HeadSeen {
  const text = readText(join(gitFolder, 'HEAD'))?.trim() ?? '';
  if (fullSha.test(text)) return { ref: null, sha: text };
  const ref = /^ref: (refs\/.+)$/.exec(text)?.[1];
  if (!ref || ref === 'refs/heads/.invalid') return { ref: null, sha: null }; // What reftable leaves there for older programs.
  return { ref, sha: refSeen(commonFolder, ref) ?? null };
}

/** The sha that a ref has, by its full name. */
export function refSeen(commonFolder: string, ref: string): string | undefined {
  let name = ref;
  for (let depth = 0; depth < deepest; depth += 1) {
    const text = readText(join(commonFolder, name))?.trim();
    if (text === undefined) return packedRef(commonFolder, name);
    if (fullSha.test(text)) return text;
    const next = /^ref: (refs\/.+)$/.exec(text)?.[1];
    if (!next) return undefined;
    name = next;
  }
  return undefined;
}

/** The sha of what a person calls a branch, tag or commit, in git's own order (gitrevisions(7)); undefined when the files don't say. */
export function namedSeen(commonFolder: string, name: string): string | undefined {
  if (fullSha.test(name)) return name;
  if (!/^[^~^:?*[\\\s@]+$/.test(name) || name.includes('..')) return undefined;
  for (const ref of [
    `refs/${name}`,
    `refs/tags/${name}`,
    `refs/heads/${name}`,
    `refs/remotes/${name}`,
    `refs/remotes/origin/${name}`,
  ]) {
    const sha = refSeen(commonFolder, ref);
    if (sha) return sha;
  }
  return undefined;
}

/** True when the files show a branch of this name, here or from a remote, or one that the name would collide with as a folder. */
export function branchSeen(commonFolder: string, name: string): boolean {
  if (exists(join(commonFolder, 'refs', 'heads', name))) return true;
  const remotes = join(commonFolder, 'refs', 'remotes');
  if (listFolder(remotes).some((remote) => exists(join(remotes, remote, name)))) return true;
  const packed = packedRefs(commonFolder);
  if (packed.includes(` refs/heads/${name}\n`) || packed.includes(` refs/heads/${name}/`)) return true;
  return new RegExp(` refs/remotes/[^/\\n]+/${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}[/\\n]`).test(packed);
}

function packedRef(commonFolder: string, ref: string): string | undefined {
  const packed = packedRefs(commonFolder);
  const at = packed.indexOf(` ${ref}\n`);
  if (at < 0) return undefined;
  const sha = packed.slice(packed.lastIndexOf('\n', at) + 1, at);
  return fullSha.test(sha) ? sha : undefined;
}

/** The last file that was read: it may have a hundred thousand lines, and is asked for at each prompt. */
let kept: { path: string; stamp: string; text: string } | undefined;

function packedRefs(commonFolder: string): string {
  const path = join(commonFolder, 'packed-refs');
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return '';
  const stamp = `${stat.mtimeMs} ${stat.size} ${stat.ino}`;
  if (kept?.path !== path || kept.stamp !== stamp) kept = { path, stamp, text: `${readText(path) ?? ''}\n` };
  return kept.text;
}

const exists = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
