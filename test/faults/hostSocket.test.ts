import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { startEngine, stopEngine, testAgent, turnState, until, untilEnded } from '../support/engines.ts';
import { report } from '../support/report.ts';
import { makeRepository } from '../support/repositories.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporaryFolder.ts';
import { rounds, seed } from './rounds.ts';

/** Says it to the socket and resolves with what came back when the other side hangs up. */
function say(socket: string, data: Uint8Array | string, leave: boolean): Promise<string> {
  return new Promise((resolve) => {
    let heard = '';
    const client = connect(socket, () => {
      client.write(data);
      if (leave) client.end();
    });
    client.on('data', (chunk) => {
      heard += chunk.toString();
    });
    client.on('error', () => undefined);
    client.on('close', () => resolve(heard));
  });
}

describe('The socket of an agent host', function () {
  this.timeout(0);
  afterEach(removeTemporaryFolders);

  it('tells a stranger nothing, and goes on with its turn whatever is sent', async () => {
    const folder = temporaryFolder();
    const one = startEngine(folder, makeRepository(folder), { agents: { test: testAgent }, defaultAgent: 'test' });
    const { queue, dispatcher } = await one.engine.owner();
    const { turnId } = await queue.enqueue({ branch: 'b', kind: 'note', prompt: 'ask Go on' });
    await until(one.engine, () => one.engine.state.turn(turnId)?.permission != null, 'it asks');
    const hosts = join(folder, 'storage', 'hosts');
    const active = one.engine.state.turn(turnId)?.hostId ?? '';
    const { socket, token } = JSON.parse(readFileSync(join(hosts, `${active}.json`), 'utf8')) as {
      socket: string;
      token: string;
    };
    assert.ok(readdirSync(hosts).length > 0);
    const hello = (patch: object) => `${JSON.stringify({ type: 'hello', version: 1, token, epoch: 1, ...patch })}\n`;
    const lines = fc.oneof(
      fc.string({ unit: 'binary' }).map((text) => `${text}\n`),
      fc.json().map((text) => `${text}\n`),
      fc.uint8Array({ maxLength: 2_000 }),
      fc.string().map((text) => hello({ token: text })),
      fc.constant(hello({ version: 99 })),
      fc.constant(hello({ epoch: 0 })),
      fc.constant(`${JSON.stringify({ type: 'cancel', turnId })}\n`),
      fc.constant(`${JSON.stringify({ type: 'shutdown' })}\n`),
      fc.constant(hello({}).slice(0, 20)),
      fc.constant('x'.repeat(3_000_000)),
      fc.constant(
        `${JSON.stringify({ type: 'answer', permissionId: one.engine.state.turn(turnId)?.permission?.id, optionId: 'yes' })}\n`,
      ),
    );
    const runs = rounds(120);
    await fc.assert(
      fc.asyncProperty(lines, async (line) => {
        assert.equal(await say(socket, line, true), '');
      }),
      { numRuns: runs, seed, endOnFailure: true },
    );
    assert.equal(turnState(one.engine, turnId), 'running');
    dispatcher.respond(one.engine.state.turn(turnId)?.permission?.id ?? '', 'yes');
    await untilEnded(one.engine, turnId);
    assert.equal(turnState(one.engine, turnId), 'completed');
    await stopEngine(one);
    report("strangers at a host's socket", { rounds: runs });
  });
});
