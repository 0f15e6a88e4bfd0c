/** The permissions that an agent has asked for and nobody has answered yet. One of them is shown at a time, the oldest first. */
import type { RequestPermissionRequest, RequestPermissionResponse } from '@agentclientprotocol/sdk';
import { randomId } from '../model/ids.ts';
import type { TranscriptDraft } from '../model/transcript.ts';
import type { Permission } from '../model/types.ts';
import { type AskedCall, choose } from './permissionChoice.ts';
import type { PermissionPolicy } from './protocol.ts';

type By = 'user' | 'policy' | 'cancel';

interface Open {
  permission: Permission;
  call: AskedCall;
  answer: (optionId: string | undefined, by: By) => void;
}

type Named = Pick<RequestPermissionRequest['toolCall'], 'locations' | 'content'>;

/** Paths that a tool call names: its locations, and the files of its diffs. */
export function pathsIn({ locations, content }: Named): string[] {
  const diffs = (content ?? []).flatMap((one) => (one.type === 'diff' ? [one.path] : []));
  return [...(locations ?? []).map(({ path }) => path), ...diffs];
}

export interface PermissionBookOptions {
  write: (draft: TranscriptDraft) => void;
  /** Paths that earlier updates of a tool call named. */
  pathsOf: (toolCallId: string) => Iterable<string>;
  /** Whether a path lies in the worktree. */
  isOwn: (path: string) => boolean;
  /** The one to show has changed. */
  onChange: (shown: Permission | null) => void;
}

export class PermissionBook {
  readonly #options: PermissionBookOptions;
  readonly #open = new Map<string, Open>();
  #policy: PermissionPolicy = 'ask';

  constructor(options: PermissionBookOptions) {
    this.#options = options;
  }

  /** A policy that is widened answers what already waits. */
  set policy(policy: PermissionPolicy) {
    this.#policy = policy;
    for (const { call, permission, answer } of [...this.#open.values()]) {
      const chosen = choose(policy, call, permission.options, this.#options.isOwn);
      if (chosen) answer(chosen.optionId, 'policy');
    }
  }

  /** The oldest that waits for an answer. */
  get shown(): Permission | null {
    return this.#open.values().next().value?.permission ?? null;
  }

  /** Resolves with the answer: the policy's at once, else a person's. `signal`: the agent takes its question back. */
  ask(request: RequestPermissionRequest, signal: AbortSignal, isCancelled: boolean): Promise<RequestPermissionResponse> {
    const { toolCallId, title, kind } = request.toolCall;
    const call: AskedCall = {
      kind: kind ?? undefined,
      paths: [...pathsIn(request.toolCall), ...this.#options.pathsOf(toolCallId)],
    };
    const options = request.options.map(({ optionId, name, kind: optionKind }) => ({ optionId, name, kind: optionKind }));
    const permission = { id: randomId(), title: title ?? 'The agent asks for permission', options };
    this.#options.write({ type: 'permission', permission, toolCallId });
    const chosen = choose(this.#policy, call, options, this.#options.isOwn);
    if (chosen) {
      this.#options.write({ type: 'answer', permissionId: permission.id, optionId: chosen.optionId, by: 'policy' });
      return Promise.resolve({ outcome: { outcome: 'selected', optionId: chosen.optionId } });
    }
    if (isCancelled) return Promise.resolve({ outcome: { outcome: 'cancelled' } });
    return new Promise((resolve) => {
      const answer = (optionId: string | undefined, by: By) => {
        if (!this.#open.delete(permission.id)) return;
        this.#options.write({ type: 'answer', permissionId: permission.id, by, ...(optionId === undefined ? {} : { optionId }) });
        this.#options.onChange(this.shown);
        resolve({ outcome: optionId === undefined ? { outcome: 'cancelled' } : { outcome: 'selected', optionId } });
      };
      this.#open.set(permission.id, { permission, call, answer });
      signal.addEventListener('abort', () => answer(undefined, 'cancel'), { once: true });
      this.#options.onChange(this.shown);
    });
  }

  answer(permissionId: string, optionId: string): void {
    this.#open.get(permissionId)?.answer(optionId, 'user');
  }

  /** Takes all questions back. */
  withdraw(): void {
    for (const { answer } of [...this.#open.values()]) answer(undefined, 'cancel');
  }
}
