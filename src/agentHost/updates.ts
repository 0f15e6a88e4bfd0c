/** From the protocol's updates to our own transcript entries. */
import type { ContentBlock, SessionUpdate } from '@agentclientprotocol/sdk';
import type { TranscriptDraft } from '../model/transcript.ts';
import { streamMeta } from '../shellAgent/streamMeta.ts';

/** The entry for an update, or undefined for one that says nothing about the work (mode lists, command lists). */
export function entryFor(update: SessionUpdate): TranscriptDraft | undefined {
  switch (update.sessionUpdate) {
    case 'agent_message_chunk':
    case 'agent_thought_chunk': {
      const text = textOf(update.content);
      const stream = update._meta?.[streamMeta];
      if (stream === 'stdout' || stream === 'stderr') return { type: 'output', stream, text };
      return { type: 'text', role: update.sessionUpdate === 'agent_message_chunk' ? 'agent' : 'thought', text };
    }
    case 'tool_call':
    case 'tool_call_update': {
      const { toolCallId, title, kind, status, content, locations, rawInput, rawOutput } = update;
      return {
        type: 'tool',
        toolCallId,
        ...(title ? { title } : {}),
        ...(kind ? { kind } : {}),
        ...(status ? { status } : {}),
        ...(content ? { content } : {}),
        ...(locations ? { locations } : {}),
        ...(rawInput === undefined ? {} : { rawInput }),
        ...(rawOutput === undefined ? {} : { rawOutput }),
      };
    }
    case 'plan':
      return { type: 'plan', entries: update.entries.map(({ content, priority, status }) => ({ content, priority, status })) };
    case 'usage_update':
      return {
        type: 'usage',
        used: update.used,
        size: update.size,
        ...(update.cost ? { cost: { amount: update.cost.amount, currency: update.cost.currency } } : {}),
      };
    default:
      return undefined; // The user's own words are ours already; the rest is about the agent's controls.
  }
}

function textOf(content: ContentBlock): string {
  if (content.type === 'text') return content.text;
  if (content.type === 'resource_link') return content.uri;
  return `[${content.type}]`;
}

/** Joins an entry to the one before it where both are parts of one stream, so that a word a line does not become a row a word. */
export function merged(before: TranscriptDraft, next: TranscriptDraft): TranscriptDraft | undefined {
  if (before.type === 'text' && next.type === 'text' && before.role === next.role)
    return { ...before, text: before.text + next.text };
  if (before.type === 'output' && next.type === 'output' && before.stream === next.stream)
    return { ...before, text: before.text + next.text };
  return undefined;
}
