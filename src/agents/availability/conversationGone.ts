import { authRequired, gone, notAConversation, notFoundCode } from './patterns.ts';
import { plain, readError } from './reading.ts';
import { unavailableByError } from './unavailable.ts';

/**
 * True only when an agent that was asked to resume or load a conversation answers that it does not know it. Everything else on
 * the way back may pass: a sign-in, a limit, the network, a bug of the agent. Never throws.
 */
export function isConversationGone(error: unknown): boolean {
  if (unavailableByError(error, { now: 0, zone: 'UTC' })) return false;
  try {
    const { texts, statuses } = readError(error);
    const words = texts.map((text) => plain(text).toLowerCase());
    if (statuses.includes(authRequired)) return false;
    if (words.some((text) => !/\bmcp\b/.test(text) && gone.some(({ says }) => says.test(text)))) return true;
    return statuses.includes(notFoundCode) && !words.some((text) => notAConversation.test(text));
  } catch {
    return false;
  }
}
