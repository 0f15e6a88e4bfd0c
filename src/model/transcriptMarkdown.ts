/** A transcript as Markdown, for the read-only document and for copying. Pure. */
import type { TranscriptEntry } from './transcript.ts';

/** A fence longer than any run of backticks in the text, so that the text can't end it. */
function fenced(text: string, language = ''): string {
  const longest = Math.max(2, ...Array.from(text.matchAll(/`+/g), (run) => run[0].length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}${language}\n${text.replace(/\n$/, '')}\n${fence}`;
}

export interface Section {
  /** Entries of this kind that follow one another are one piece of text. */
  key: string;
  text: string;
}

function sectionOf(entry: TranscriptEntry): Section | undefined {
  switch (entry.type) {
    case 'prompt': {
      const files = entry.attachments.map(({ name, mimeType, size }) => `- ${name} (${mimeType}, ${size} bytes)`);
      return {
        key: `prompt:${entry.seq}`,
        text: [
          `## Prompt${entry.attempt > 1 ? ` (attempt ${entry.attempt})` : ''}`,
          '',
          entry.text,
          ...(files.length > 0 ? ['', ...files] : []),
        ].join('\n'),
      };
    }
    case 'text':
      return { key: `text:${entry.role}`, text: entry.text };
    case 'output':
      return { key: `output:${entry.stream}`, text: entry.text };
    case 'tool':
      return entry.title
        ? {
            key: `tool:${entry.toolCallId}:${entry.seq}`,
            text: `- **${entry.kind ?? 'tool'}**: ${entry.title}${entry.status ? ` (${entry.status})` : ''}`,
          }
        : undefined;
    case 'plan':
      return {
        key: `plan:${entry.seq}`,
        text: entry.entries.map(({ content, status }) => `- [${status === 'completed' ? 'x' : ' '}] ${content}`).join('\n'),
      };
    case 'permission':
      return { key: `permission:${entry.seq}`, text: `- Asked for permission: ${entry.permission.title}` };
    case 'answer':
      return {
        key: `answer:${entry.seq}`,
        text: `- Answered by the ${entry.by === 'user' ? 'user' : entry.by === 'policy' ? 'setting' : 'cancel'}: ${entry.optionId ?? 'cancelled'}`,
      };
    case 'notice':
      return { key: `notice:${entry.seq}`, text: `> ${entry.text}` };
    case 'commit':
      return {
        key: `commit:${entry.seq}`,
        text: `> Committed ${entry.files === 1 ? '1 file' : `${entry.files} files`} as ${entry.sha.slice(0, 10)}`,
      };
    case 'held':
      return entry.commit.state === 'held'
        ? {
            key: `held:${entry.seq}`,
            text: `> Not committed (${entry.commit.why})${entry.commit.said ? `: ${entry.commit.said}` : ''}`,
          }
        : undefined;
    case 'ended':
      return { key: `ended:${entry.seq}`, text: `> Turn ${entry.outcome}${entry.message ? `: ${entry.message}` : ''}` };
    default:
      return undefined;
  }
}

/** `left`: entries before these, which are not shown. */
export function transcriptMarkdown(title: string, entries: readonly TranscriptEntry[], left = 0): string {
  const sections: Section[] = [];
  if (left > 0) {
    const text = `> The ${left === 1 ? 'entry' : `${left} entries`} before this ${left === 1 ? 'is' : 'are'} not shown here. Open the conversation in the timeline and choose "Show earlier".`;
    sections.push({ key: 'left', text });
  }
  for (const entry of entries) {
    const section = sectionOf(entry);
    if (!section) continue;
    const last = sections.at(-1);
    if (last && last.key === section.key) last.text += section.text;
    else sections.push(section);
  }
  const written = sections.map(({ key, text }) => {
    if (key === 'text:thought')
      return text
        .split('\n')
        .map((line) => `> ${line}`)
        .join('\n');
    if (key === 'output:stderr') return `Standard error:\n\n${fenced(text)}`;
    return key.startsWith('output:') ? fenced(text) : text;
  });
  return `${[`# ${title.replace(/\n/g, ' ')}`, ...written].join('\n\n')}\n`;
}
