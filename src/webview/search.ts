/** Finds a text in transcripts, in the background. */
import { someLine, transcriptPath } from '../store/transcripts.ts';

/** Calls `onFound` with all sessions found so far whenever there are more. Letters' case is not told apart. */
export async function searchTranscripts(
  folder: string,
  sessionIds: readonly string[],
  query: string,
  signal: AbortSignal,
  onFound: (sessions: ReadonlySet<string>) => void,
): Promise<void> {
  // The files hold JSON, so the text is looked for as JSON writes it.
  const wanted = JSON.stringify(query.trim().toLowerCase()).slice(1, -1);
  const found = new Set<string>();
  for (const id of sessionIds.toReversed()) {
    if (signal.aborted) return;
    try {
      if (!(await someLine(transcriptPath(folder, id), (line) => line.toLowerCase().includes(wanted), signal))) continue;
    } catch {
      continue; // One that can't be read is one that nothing is found in.
    }
    found.add(id);
    onFound(new Set(found));
  }
}
