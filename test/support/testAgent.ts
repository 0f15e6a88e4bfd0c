/**
 * An agent for tests. Each line of a prompt is an order:
 *   say TEXT | think TEXT | ask TITLE (`Edit FILE ...`: to edit that file) | write FILE TEXT | edit FILE TEXT | append FILE TEXT | count FILE | wait FILE | images | plan | usage | burst N |
 *   raw JSON (an update) | play FILE (raw orders) | spawn FILE (a child that lives on; its pid is written) |
 *   unless FILE ORDER (does the order while FILE is not there) |
 *   later WAIT FILE TEXT (once WAIT is there, also after the turn: says TEXT and writes it) | stop REASON | fail TEXT | refuse | error JSON | exit CODE | die | closeinput | hang | deaf | garbage
 * What it can do is set by `TEST_AGENT`: words among `noresume`, `noload`, `noimage`, `lost` (it forgets conversations). TEST_AGENT_BACK: a
 * file with the error, as JSON, that each way back to a conversation answers while it is there. TEST_AGENT_EACH: orders in place of each prompt.
 */
import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { appendFileSync, closeSync, existsSync, mkdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Readable, Writable } from 'node:stream';
import {
  type AgentContext,
  agent,
  type ContentBlock,
  methods,
  ndJsonStream,
  type PromptResponse,
  RequestError,
  type RequestPermissionResponse,
  type SessionUpdate,
} from '@agentclientprotocol/sdk';

const traits = (process.env.TEST_AGENT ?? '').split(' ');
const folders = new Map<string, string>();
const cancels = new Map<string, AbortController>();
let calls = 0;

const app = agent({ name: 'test-agent' })
  .onRequest(methods.agent.initialize, async () => ({
    ...(await mayStart()),
    protocolVersion: 1,
    agentInfo: { name: 'Test', version: '1' },
    agentCapabilities: {
      loadSession: !traits.includes('noload'),
      promptCapabilities: { image: !traits.includes('noimage') },
      sessionCapabilities: traits.includes('noresume') ? {} : { resume: {} },
    },
  }))
  .onRequest(methods.agent.session.new, ({ params }) => {
    const sessionId = randomUUID();
    folders.set(sessionId, params.cwd);
    return { sessionId };
  })
  .onRequest(methods.agent.session.resume, ({ params }) => takeUp(params))
  .onRequest(methods.agent.session.load, async ({ params, client }) => {
    takeUp(params);
    await client.notify(methods.client.session.update, {
      sessionId: params.sessionId,
      update: { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text: 'replayed' } },
    });
    return {};
  })
  .onRequest(methods.agent.session.prompt, ({ params, client }) => obey(params.sessionId, params.prompt, client))
  .onNotification(methods.agent.session.cancel, ({ params }) => cancels.get(params.sessionId)?.abort());

/** Where TEST_AGENT_WAITS names a file, the agent is not there before that file is. TEST_AGENT_PID: where it writes its pid. */
async function mayStart(): Promise<object> {
  if (process.env.TEST_AGENT_PID) writeFileSync(process.env.TEST_AGENT_PID, String(process.pid));
  if (process.env.TEST_AGENT_WAITS) await untilThere(process.env.TEST_AGENT_WAITS);
  return {};
}

function takeUp({ sessionId, cwd }: { sessionId: string; cwd: string }): Record<string, never> {
  const back = process.env.TEST_AGENT_BACK;
  if (back && existsSync(back)) throw requestError(readFileSync(back, 'utf8'));
  if (traits.includes('lost')) throw new RequestError(-32002, 'No such session');
  folders.set(sessionId, cwd);
  return {};
}

function requestError(json: string): RequestError {
  const { code, message, data } = JSON.parse(json) as { code: number; message: string; data?: unknown };
  return new RequestError(code, message, data);
}

/** What is left of an order that is only given while a file is not there. */
function unlessThere(cwd: string, line: string): string {
  const [, path, order] = /^unless (\S+) (.*)$/.exec(line) ?? [];
  if (path === undefined || order === undefined) return line;
  return existsSync(resolve(cwd, path)) ? '' : order;
}

async function obey(sessionId: string, prompt: ContentBlock[], client: AgentContext): Promise<PromptResponse> {
  const cwd = folders.get(sessionId) as string;
  const cancel = new AbortController();
  cancels.set(sessionId, cancel);
  const update = (one: SessionUpdate) => client.notify(methods.client.session.update, { sessionId, update: one });
  const say = (text: string) => update({ sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } });
  const cancelled = new Promise<'cancelled'>((done) => cancel.signal.addEventListener('abort', () => done('cancelled')));
  const text = process.env.TEST_AGENT_EACH ?? prompt.map((block) => (block.type === 'text' ? block.text : '')).join('');
  for (const line of text.split('\n')) {
    if (cancel.signal.aborted) return { stopReason: 'cancelled' };
    const [order = '', ...words] = unlessThere(cwd, line.trim()).split(' ');
    const rest = words.join(' ');
    const path = resolve(cwd, words[0] ?? '');
    switch (order) {
      case 'say':
        await say(`${rest}\n`);
        break;
      case 'think':
        await update({ sessionUpdate: 'agent_thought_chunk', content: { type: 'text', text: rest } });
        break;
      case 'write':
      case 'append':
        (order === 'write' ? writeFileSync : appendFileSync)(path, `${words.slice(1).join(' ')}\n`);
        break;
      case 'edit': {
        const before = existsSync(path) ? readFileSync(path, 'utf8') : undefined;
        const toolCallId = `edit-${++calls}`;
        await update({
          sessionUpdate: 'tool_call',
          toolCallId,
          title: `Edit ${words[0]}`,
          kind: 'edit',
          status: 'pending',
          locations: [{ path, line: 1 }],
        });
        const newText = `${words.slice(1).join(' ')}\n`;
        writeFileSync(path, newText);
        await update({
          sessionUpdate: 'tool_call_update',
          toolCallId,
          status: 'completed',
          content: [{ type: 'diff', path, oldText: before ?? null, newText }],
        });
        break;
      }
      case 'ask': {
        const toolCall = {
          toolCallId: `ask-${++calls}`,
          title: rest,
          kind: rest.startsWith('Edit') ? ('edit' as const) : ('execute' as const),
          ...(rest.startsWith('Edit') ? { locations: [{ path: resolve(cwd, words[1] ?? '') }] } : {}),
        };
        const { outcome } = (await client.request(methods.client.session.requestPermission, {
          sessionId,
          toolCall,
          options: [
            { optionId: 'yes', name: 'Allow', kind: 'allow_once' },
            { optionId: 'always', name: 'Always Allow', kind: 'allow_always' },
            { optionId: 'no', name: 'Reject', kind: 'reject_once' },
          ],
        })) as RequestPermissionResponse;
        await say(`answer: ${outcome.outcome === 'selected' ? outcome.optionId : outcome.outcome}\n`);
        break;
      }
      case 'count': // One line for each time a prompt is taken, at once on disk.
        mkdirSync(dirname(path), { recursive: true });
        appendFileSync(path, 'x\n', { flush: true });
        break;
      case 'wait':
        if ((await Promise.race([untilThere(path), cancelled])) === 'cancelled') return { stopReason: 'cancelled' };
        break;
      case 'images':
        for (const block of prompt) {
          if (block.type === 'image')
            await say(`${block.mimeType} ${createHash('sha256').update(Buffer.from(block.data, 'base64')).digest('hex')}\n`);
          if (block.type === 'resource_link') await say(`link ${block.name}\n`);
        }
        break;
      case 'plan':
        await update({
          sessionUpdate: 'plan',
          entries: [
            { content: 'Read the code', priority: 'high', status: 'completed' },
            { content: 'Change it', priority: 'medium', status: 'in_progress' },
          ],
        });
        break;
      case 'usage':
        await update({ sessionUpdate: 'usage_update', used: 12_345, size: 200_000, cost: { amount: 0.42, currency: 'USD' } });
        break;
      case 'burst':
        for (let n = 0; n < Number(rest); n += 1) await say(`line ${n}\n`);
        break;
      case 'raw':
        await update(JSON.parse(rest) as SessionUpdate);
        break;
      case 'play': // Orders from a file.
        for (const one of readFileSync(rest, 'utf8').split('\n'))
          await update(JSON.parse(one.slice('raw '.length)) as SessionUpdate);
        break;
      case 'spawn': {
        const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' });
        child.unref();
        writeFileSync(path, String(child.pid));
        break;
      }
      case 'later':
        void untilThere(path).then(async () => {
          writeFileSync(resolve(cwd, words[1] ?? ''), `${words.slice(2).join(' ')}\n`);
          await say(`${words.slice(2).join(' ')}\n`);
        });
        break;
      case 'stop':
        return { stopReason: rest as PromptResponse['stopReason'] };
      case 'fail':
        throw new RequestError(-32603, rest);
      case 'refuse': // Wants a sign-in, as the protocol says it.
        throw new RequestError(-32000, 'Authentication required');
      case 'error': // As JSON: {code, message, data}.
        throw requestError(rest);
      case 'die':
        process.kill(process.pid, 'SIGKILL');
        break;
      case 'closeinput':
        closeSync(0);
        break;
      case 'exit':
        process.exit(Number(rest));
        break;
      case 'hang':
        await cancelled;
        return { stopReason: 'cancelled' };
      case 'deaf':
        await new Promise(() => setInterval(() => undefined, 1_000));
        break;
      case 'garbage':
        process.stdout.write('this is not JSON\n{"jsonrpc": "2.0", "method": 7}\n');
        break;
      case '':
        break;
      default:
        await say(`unknown order: ${line}\n`);
    }
  }
  return { stopReason: cancel.signal.aborted ? 'cancelled' : 'end_turn' };
}

function untilThere(path: string): Promise<void> {
  return new Promise((done) => {
    const watcher = watch(dirname(path), () => look());
    const look = () => {
      if (!existsSync(path)) return;
      watcher.close();
      done();
    };
    look();
  });
}

const connection = app.connect(
  ndJsonStream(
    Writable.toWeb(process.stdout) as WritableStream<Uint8Array>,
    Readable.toWeb(process.stdin) as unknown as ReadableStream<Uint8Array>,
  ),
);
if (process.env.TEST_AGENT_STARTS) appendFileSync(join(process.env.TEST_AGENT_STARTS), `${process.pid}\n`);
void connection.closed.then(() => {
  if (!traits.includes('deaf')) process.exit(0);
});
