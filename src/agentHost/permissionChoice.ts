import type { PermissionOption } from '../model/types.ts';
import type { PermissionPolicy } from './protocol.ts';

/** A tool call, as far as the policy looks at it. */
export interface AskedCall {
  /** Its kind in the protocol. */
  kind: string | undefined;
  /** Every path that it is known to touch: its locations, and the files of its diffs. */
  paths: readonly string[];
}

/**
 * The option that the policy takes by itself, or undefined when the user has to be asked. Options are chosen by kind, never
 * by id; `allow_always` means something else to each agent, so the narrow one is taken. `isOwn`: whether a path lies in the worktree.
 */
export function choose(
  policy: PermissionPolicy,
  call: AskedCall,
  options: readonly PermissionOption[],
  isOwn: (path: string) => boolean,
): PermissionOption | undefined {
  if (policy === 'ask') return undefined;
  if (policy === 'acceptEdits' && !isEdit(call, isOwn)) return undefined;
  return options.find((option) => option.kind === 'allow_once') ?? options.find((option) => option.kind === 'allow_always');
}

/** What `acceptEdits` allows: looking, and changing files of the worktree that it names; nothing that runs or deletes. */
function isEdit({ kind, paths }: AskedCall, isOwn: (path: string) => boolean): boolean {
  if (!paths.every(isOwn)) return false;
  return kind === 'edit' ? paths.length > 0 : kind === 'read' || kind === 'search' || kind === 'think';
}
