/**
 * Texts that are being written and that the host has not yet said to have kept. They are in the page's own state, which outlives the
 * page and an extension host that dies at any moment; so what was typed is in the queue, in a file, or here, never nowhere.
 */
import { keepState, readState, request } from './connection.ts';

/** Longer texts wait for the host: the state is sent as a whole at each key. */
const longest = 200_000;
const pending: Record<string, string> = { ...readState<{ pending?: Record<string, string> }>()?.pending };

export const pendingDrafts: Readonly<Record<string, string>> = pending;

/** Called at each key. */
export function draftTyped(key: string, text: string): void {
  if (text.length > longest) return;
  pending[key] = text;
  keepState({ pending });
}

/** Has the host keep the text; until it has, the text stays here. */
export async function keepDraft(key: string, text: string): Promise<void> {
  try {
    await request({ type: 'draft', key, text });
  } catch {
    return; // It stays, and is tried again with the next key or page.
  }
  if (pending[key] !== text) return;
  delete pending[key];
  keepState({ pending });
}
