/** Finds a text in transcripts, in the background. */
import { readFile } from 'node:fs/promises';
import { transcriptPath } from '../store/transcripts.ts';

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
      if (!(await readFile(transcriptPath(folder, id), { encoding: 'utf8', signal })).toLowerCase().includes(wanted)) continue;
      found.add(id);
      onFound(new Set(found));
    } catch {
      // No transcript yet, or the search is over.
    }
  }
}
