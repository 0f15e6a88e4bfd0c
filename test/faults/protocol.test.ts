import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { readTranscript, transcriptPath } from '../../src/store/transcripts.ts';
import { startEngine, stopEngine, stoppedAfterEach, type TestEngine, turnState, until, untilEnded } from '../support/engines.ts';
import { report } from '../support/report.ts';
import { makeRepository } from '../support/repositories.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { rounds, seed } from './rounds.ts';

const program = fileURLToPath(new URL('../support/fuzzAgent.ts', import.meta.url));
const messagesOfATurn = 250;

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const text = (words: string): Json => ({ type: 'text', text: words });
const update = (of: Json): Json => ({ jsonrpc: '2.0', method: 'session/update', params: { sessionId: '@SESSION@', update: of } });
/** Messages as a well-behaved agent sends them; each is broken somewhere. */
const messages: Json[] = [
  update({ sessionUpdate: 'agent_message_chunk', content: text('hello') }),
  update({ sessionUpdate: 'agent_thought_chunk', content: text('hm') }),
  update({ sessionUpdate: 'user_message_chunk', content: { type: 'image', mimeType: 'image/png', data: 'aGk=' } }),
  update({
    sessionUpdate: 'tool_call',
    toolCallId: 't',
    title: 'Edit',
    kind: 'edit',
    status: 'pending',
    locations: [{ path: '/a', line: 1 }],
    content: [{ type: 'diff', path: '/a', oldText: 'a', newText: 'b' }],
  }),
  update({
    sessionUpdate: 'tool_call_update',
    toolCallId: 't',
    status: 'completed',
    content: [{ type: 'content', content: text('done') }],
    rawOutput: { a: [1, 2] },
  }),
  update({ sessionUpdate: 'plan', entries: [{ content: 'one', priority: 'high', status: 'pending' }] }),
  update({ sessionUpdate: 'usage_update', used: 1, size: 2, cost: { amount: 1, currency: 'EUR' } }),
  update({ sessionUpdate: 'current_mode_update', currentModeId: 'x' }),
  {
    jsonrpc: '2.0',
    id: 'ask',
    method: 'session/request_permission',
    params: {
      sessionId: '@SESSION@',
      toolCall: { toolCallId: 't', title: 'Run' },
      options: [{ optionId: 'yes', name: 'Yes', kind: 'allow_once' }],
    },
  },
  { jsonrpc: '2.0', id: 7, method: 'fs/read_text_file', params: { sessionId: '@SESSION@', path: '/etc/passwd' } },
  {
    jsonrpc: '2.0',
    id: 8,
    method: 'terminal/create',
    params: { sessionId: '@SESSION@', command: 'touch', args: ['/tmp/never'] },
  },
  { jsonrpc: '2.0', id: 12_345, result: { stopReason: 'end_turn' } },
  { jsonrpc: '2.0', id: null, error: { code: -32_000, message: 'no' } },
];
const responses: Record<string, Json> = {
  initialize: {
    jsonrpc: '2.0',
    id: '@ID@',
    result: { protocolVersion: 1, agentCapabilities: {}, agentInfo: { name: 'x', version: '1' } },
  },
  'session/new': { jsonrpc: '2.0', id: '@ID@', result: { sessionId: 'fuzz' } },
  'session/prompt': { jsonrpc: '2.0', id: '@ID@', result: { stopReason: 'end_turn' } },
};

const odd: fc.Arbitrary<Json> = fc.oneof(
  fc.jsonValue() as fc.Arbitrary<Json>,
  fc.constantFrom<Json>(
    '',
    null,
    -1,
    1e308,
    [],
    {},
    'x'.repeat(70_000),
    '\u0000',
    '\ud800',
    '\u2028\u2029',
    '../../..',
    '__proto__',
    'constructor',
    { __proto__: null, toString: 1 } as Json,
  ),
  fc.nat({ max: 600 }).map((depth) => {
    let deep: Json = 'deep';
    for (let n = 0; n < depth; n += 1) deep = n % 2 ? [deep] : { a: deep };
    return deep;
  }),
);

/** Every place in a message, as a path. */
function places(message: Json, path: (string | number)[] = []): (string | number)[][] {
  const below = Array.isArray(message)
    ? message.flatMap((one, at) => places(one, [...path, at]))
    : message !== null && typeof message === 'object'
      ? Object.entries(message).flatMap(([key, one]) => places(one, [...path, key]))
      : [];
  return [path, ...below];
}

/** The message with what is at `path` replaced, or taken out for undefined. */
function broken(message: Json, path: readonly (string | number)[], value: Json | undefined): Json | undefined {
  const [first, ...rest] = path;
  if (first === undefined) return value;
  if (Array.isArray(message)) return message.flatMap((one, at) => (at === first ? (broken(one, rest, value) ?? []) : [one]));
  const copy = { ...(message as { [key: string]: Json }) };
  const changed = broken(copy[first] ?? null, rest, value);
  if (changed === undefined) delete copy[first];
  else copy[first] = changed;
  return copy;
}

const line = (message: Json | undefined) => Buffer.from(`${message === undefined ? '' : JSON.stringify(message)}\n`);
const breakingOf = (message: Json): fc.Arbitrary<Buffer> =>
  fc
    .tuple(fc.constantFrom(...places(message)), fc.option(odd, { nil: undefined }))
    .map(([path, value]) => line(broken(message, path, value)));
const anyLine: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom(...messages).chain(breakingOf) },
  {
    weight: 1,
    arbitrary: fc
      .uint8Array({ maxLength: 200 })
      .map((bytes) => Buffer.concat([Buffer.from(bytes.filter((byte) => byte !== 10)), Buffer.from('\n')])),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...messages).map((message) => Buffer.from(`${JSON.stringify(message).slice(0, -5)}\n`)),
  },
  { weight: 1, arbitrary: fc.constantFrom(...messages).map((message) => line([message, message])) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      Buffer.from('\r\n\r\n\n'),
      Buffer.from('Content-Length: 3\r\n\r\n{}\n'),
      Buffer.from('\u001b[2J\u0007\n'),
      Buffer.from('{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"@SESSION@","update":1e999}}\n'),
    ),
  },
);

describe('An agent that speaks the protocol wrongly', function () {
  this.timeout(0);
  const running = stoppedAfterEach();

  /** An engine with the fuzzing agent that follows `script`. */
  function start(script: Record<string, Buffer[][]>): TestEngine & { folder: string } {
    const folder = temporaryFolder();
    const path = join(folder, 'script.json');
    writeFileSync(
      path,
      JSON.stringify(
        Object.fromEntries(
          Object.entries(script).map(([method, calls]) => [
            method,
            calls.map((lines) => lines.map((one) => one.toString('base64'))),
          ]),
        ),
      ),
    );
    const one = startEngine(folder, makeRepository(folder), {
      agents: { fuzz: { command: process.execPath, args: [program, path] } },
      defaultAgent: 'fuzz',
      onFailure: 'continue',
      permissions: 'allowAll',
    });
    running.push(one);
    return { ...one, folder };
  }

  it('in thousands of ways while it works: its turn ends, the transcript is whole, and the next turn runs', async () => {
    const turns = rounds(6);
    const random = fc.sample(fc.array(anyLine, { minLength: messagesOfATurn, maxLength: messagesOfATurn, size: 'max' }), {
      numRuns: turns,
      seed,
    });
    const one = start({ 'session/prompt': random });
    const { queue } = await one.engine.owner();
    const first = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'go' });
    const ids = [first.turnId];
    for (let n = 1; n <= turns; n += 1) ids.push((await queue.enqueueTurn(first.sessionId, { prompt: 'go' })).turnId);
    await until(
      one.engine,
      () => ids.every((id) => ['completed', 'failed'].includes(turnState(one.engine, id) ?? '')),
      'all turns have ended',
    );
    assert.equal(turnState(one.engine, ids.at(-1) ?? ''), 'completed', 'a turn that says nothing wrong completes');
    const entries = await readTranscript(transcriptPath(join(one.folder, 'storage'), first.sessionId));
    assert.deepEqual(
      entries.map(({ seq }) => seq),
      entries.map((_, index) => index + 1),
    );
    assert.equal(entries.filter(({ type }) => type === 'ended').length, ids.length);
    assert.deepEqual(one.problems, []);
    report('protocol, while working', { rounds: turns * messagesOfATurn });
  });

  for (const method of Object.keys(responses)) {
    it(`in its answer to ${method}: the turn ends with words, and nothing is left`, async () => {
      const tries = rounds(4);
      const answers = fc.sample(
        fc.oneof({ weight: 4, arbitrary: breakingOf(responses[method] as Json) }, { weight: 1, arbitrary: anyLine }),
        { numRuns: tries, seed },
      );
      for (const answer of answers) {
        const one = start({ [method]: [[answer, Buffer.from('EXIT')]] });
        const { queue, hosts } = await one.engine.owner();
        const { turnId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'go' });
        await untilEnded(one.engine, turnId);
        const turn = one.engine.state.turn(turnId);
        assert.ok(
          turn?.state === 'completed' || (turn?.error?.message.length ?? 0) > 10,
          `${answer.toString().slice(0, 200)}: ${turn?.state} ${turn?.error?.message}`,
        );
        for (const client of [...hosts.all()]) await hosts.end(client.hostId);
        await stopEngine(one);
        running.splice(0);
      }
      report(`protocol, ${method}`, { rounds: tries });
    });
  }

  it('a flood of words is taken whole, in order', async () => {
    const lines = 20_000;
    const flood = Buffer.concat(
      Array.from({ length: lines }, (_, n) =>
        line(update({ sessionUpdate: 'agent_message_chunk', content: text(`${n}\n`) })),
      ).map((one) => Buffer.from(one.toString().replaceAll('@SESSION@', 'fuzz'))),
    );
    const one = start({ 'session/prompt': [[flood]] });
    const { queue } = await one.engine.owner();
    const { turnId, sessionId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'go' });
    await untilEnded(one.engine, turnId);
    const said = (await readTranscript(transcriptPath(join(one.folder, 'storage'), sessionId)))
      .map((entry) => (entry.type === 'text' ? entry.text : ''))
      .join('');
    assert.equal(said, Array.from({ length: lines }, (_, n) => `${n}\n`).join(''));
    assert.ok(readFileSync(join(one.folder, 'script.json')).length > 0);
    report('protocol, flood', { rounds: lines });
  });
});
