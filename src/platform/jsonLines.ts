/** JSON lines over a socket, with a bound on what an unknown peer can make us keep. */
import type { Socket } from 'node:net';
import { StringDecoder } from 'node:string_decoder';

const longestLine = 64 * 1024 * 1024;

/** Calls `onLine` for each line; destroys the socket when one is longer than `limit` characters. */
export function readLines(socket: Socket, onLine: (line: string) => void, limit = longestLine): void {
  const decoder = new StringDecoder('utf8');
  let parts: string[] = [];
  let length = 0;
  socket.on('data', (chunk: Buffer) => {
    let text = decoder.write(chunk);
    for (let newline = text.indexOf('\n'); newline >= 0; newline = text.indexOf('\n')) {
      parts.push(text.slice(0, newline));
      const line = parts.join('');
      parts = [];
      length = 0;
      text = text.slice(newline + 1);
      onLine(line);
      if (socket.destroyed) return;
    }
    parts.push(text);
    length += text.length;
    if (length > limit) socket.destroy();
  });
}

/** Returns what `line` holds, or undefined when it is not JSON. */
export function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
