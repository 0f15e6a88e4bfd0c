/** A log that a process is writing to, kept short: its beginning is dropped when it has grown too long. */
import { appendFile, open, truncate } from 'node:fs/promises';

const dropped = '(What was here before was dropped.)\n';

/**
 * Cuts the file to the last quarter of `longest` bytes when it is longer than that. Whoever writes must have opened it for appending,
 * and may lose what it writes in this moment. A file that is not there is short.
 */
export async function capFile(path: string, longest: number): Promise<void> {
  let tail: Buffer;
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size <= longest) return;
      tail = Buffer.alloc(Math.floor(longest / 4));
      const { bytesRead } = await file.read(tail, 0, tail.length, size - tail.length);
      tail = tail.subarray(tail.subarray(0, bytesRead).indexOf('\n') + 1, bytesRead); // From the start of a line.
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await truncate(path, 0);
  await appendFile(path, Buffer.concat([Buffer.from(dropped), tail]));
}
