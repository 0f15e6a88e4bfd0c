const first = 60_000;
const longest = 60 * 60_000;

/**
 * Milliseconds to wait before the try after the `attempt`th one in a row that failed (from 1), where the agent names no
 * time: a minute, then twice as long each time, an hour at most.
 */
export function nextWait(attempt: number): number {
  return attempt > 1 ? Math.min(longest, first * 2 ** Math.floor(attempt - 1)) : first;
}
