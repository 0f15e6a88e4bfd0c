import type { PermissionOption } from '../model/types.ts';
import type { PermissionPolicy } from './protocol.ts';

/** Kinds of tool calls that `acceptEdits` allows: looking at files and changing them, nothing that runs or deletes. */
const editKinds: ReadonlySet<string> = new Set(['read', 'edit', 'search', 'think']);

/**
 * The option that the policy takes by itself, or undefined when the user has to be asked. Options are chosen by kind, never
 * by id; `allow_always` means something else to each agent, so the narrow one is taken.
 */
export function choose(
  policy: PermissionPolicy,
  toolKind: string | undefined,
  options: readonly PermissionOption[],
): PermissionOption | undefined {
  if (policy === 'ask') return undefined;
  if (policy === 'acceptEdits' && !editKinds.has(toolKind ?? '')) return undefined;
  return options.find((option) => option.kind === 'allow_once') ?? options.find((option) => option.kind === 'allow_always');
}
