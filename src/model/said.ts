/** What was said and done in an entry of a transcript, without the words that only we have for it. Pure. */
import type { TranscriptEntry } from './transcript.ts';

/** Names of fields of the protocol whose values are words of the protocol, not somebody's. */
const ours = new Set(['type', 'kind', 'status', 'toolCallId', 'terminalId', 'sessionUpdate', 'mimeType', 'priority']);
const deepest = 8;

/** Every text in it that somebody could look for. */
export function saidIn(entry: TranscriptEntry): string[] {
  switch (entry.type) {
    case 'prompt':
      return [entry.text, ...entry.attachments.map(({ name }) => name)];
    case 'text':
    case 'output':
    case 'notice':
      return [entry.text];
    case 'tool':
      return [entry.title ?? '', ...textsIn([entry.content, entry.locations, entry.rawInput, entry.rawOutput])];
    case 'plan':
      return entry.entries.map(({ content }) => content);
    case 'permission':
      return [entry.permission.title];
    case 'answered':
    case 'ended':
      return entry.message === undefined ? [] : [entry.message];
    case 'held':
      return entry.commit.state === 'held' && entry.commit.said !== undefined ? [entry.commit.said] : [];
    default:
      return [];
  }
}

function textsIn(value: unknown, depth = 0): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null || depth > deepest) return [];
  if (Array.isArray(value)) return value.flatMap((one) => textsIn(one, depth + 1));
  return Object.entries(value).flatMap(([name, one]) => (ours.has(name) ? [] : textsIn(one, depth + 1)));
}
