/** Finds a text in transcripts, in the background. */
import { saidIn } from '../model/said.ts';
import { transcriptEntrySchema } from '../model/transcript.ts';
import { someLine, transcriptPath } from '../store/transcripts.ts';

/** Calls `onFound` with all sessions found so far whenever there are more. Letters' case is not told apart. */
export async function searchTranscripts(
  folder: string,
  sessionIds: readonly string[],
  query: string,
  signal: AbortSignal,
  onFound: (sessions: ReadonlySet<string>) => void,
): Promise<void> {
  const wanted = query.trim().toLowerCase();
  const found = new Set<string>();
  for (const id of sessionIds.toReversed()) {
    if (signal.aborted) return;
    try {
      if (!(await someLine(transcriptPath(folder, id), (line) => isSaidIn(line, wanted), signal))) continue;
    } catch {
      continue; // One that can't be read is one that nothing is found in.
    }
    found.add(id);
    onFound(new Set(found));
  }
}

/** Whether a line says the text, and not only has it as a word of its own form. The files hold JSON, so a line that can't have it is not read. */
function isSaidIn(line: string, wanted: string): boolean {
  if (!line.toLowerCase().includes(JSON.stringify(wanted).slice(1, -1))) return false;
  try {
    const entry = transcriptEntrySchema.parse(JSON.parse(line));
    return saidIn(entry).some((text) => text.toLowerCase().includes(wanted));
  } catch {
    return false; // A torn line.
  }
}
