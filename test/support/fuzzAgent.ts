/**
 * An agent that speaks the protocol wrongly: it answers each request with the raw lines that a file has for it, in base64, with the
 * request's id put in for "@ID@" and the session's for "@SESSION@". Usage: fuzzAgent.ts FILE, where FILE holds
 * {[method]: [lines of the first call, of the second, ...]}; without lines for a call it answers rightly. A line "EXIT" ends it.
 */
import { readFileSync } from 'node:fs';

const script = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Record<string, string[][]>;
const calls = new Map<string, number>();
const right: Record<string, unknown> = {
  initialize: {
    protocolVersion: 1,
    agentCapabilities: { promptCapabilities: { image: true }, sessionCapabilities: { resume: {} } },
  },
  'session/new': { sessionId: 'fuzz' },
  'session/resume': {},
  'session/prompt': { stopReason: 'end_turn' },
};

let rest = '';
process.stdin
  .setEncoding('utf8')
  .on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) answer(line);
  })
  .on('close', () => process.exit(0));

function answer(line: string): void {
  const { id, method } = JSON.parse(line) as { id?: number; method?: string };
  if (method === undefined || id === undefined) return;
  const call = calls.get(method) ?? 0;
  calls.set(method, call + 1);
  for (const raw of script[method]?.[call] ?? []) {
    const text = Buffer.from(raw, 'base64');
    if (text.toString() === 'EXIT') process.exit(0);
    process.stdout.write(
      text.includes('@')
        ? Buffer.from(text.toString('latin1').replaceAll('"@ID@"', String(id)).replaceAll('@SESSION@', 'fuzz'), 'latin1')
        : text,
    );
  }
  process.stdout.write(`\n${JSON.stringify({ jsonrpc: '2.0', id, result: right[method] ?? {} })}\n`);
}
