/**
 * The shell agent: an agent (ACP) for which a prompt is a script for the platform's shell, run in the session's folder.
 * Output is streamed as it comes, standard error told apart by `_meta`; a code other than 0, or a signal, fails the turn.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { type AgentContext, agent, type ContentBlock, methods, ndJsonStream, RequestError } from '@agentclientprotocol/sdk';
import { userEnvironment } from '../platform/processes.ts';
import { streamMeta } from './streamMeta.ts';

/** After the script has ended, how long its background processes may hold the output open without a word, in milliseconds. */
const drainTime = 250;
/** How long a cancelled script may take to clean up, in milliseconds. */
const insistAfter = 1_500;

interface Run {
  child: ChildProcess;
  cancelled: boolean;
}

const folders = new Map<string, string>();
const runs = new Map<string, Run>();

const app = agent({ name: 'branchline-shell' })
  .onRequest(methods.agent.initialize, () => ({
    protocolVersion: 1,
    agentInfo: { name: 'Shell', version: '1' },
    // Each prompt stands alone, so any conversation can be taken up again.
    agentCapabilities: { promptCapabilities: { image: false, embeddedContext: false }, sessionCapabilities: { resume: {} } },
  }))
  .onRequest(methods.agent.session.new, ({ params }) => {
    const sessionId = randomUUID();
    folders.set(sessionId, params.cwd);
    return { sessionId };
  })
  .onRequest(methods.agent.session.resume, ({ params }) => {
    folders.set(params.sessionId, params.cwd);
    return {};
  })
  .onRequest(methods.agent.session.prompt, ({ params, client }) => runScript(params.sessionId, params.prompt, client))
  .onNotification(methods.agent.session.cancel, ({ params }) => {
    const run = runs.get(params.sessionId);
    if (run) {
      run.cancelled = true;
      endGroup(run.child, 'SIGTERM');
      setTimeout(() => endGroup(run.child, 'SIGKILL'), insistAfter).unref();
    }
  });

async function runScript(
  sessionId: string,
  prompt: ContentBlock[],
  client: AgentContext,
): Promise<{ stopReason: 'end_turn' | 'cancelled' }> {
  const cwd = folders.get(sessionId);
  if (!cwd) throw RequestError.sessionNotFound(sessionId);
  if (runs.has(sessionId)) throw RequestError.invalidRequest(undefined, 'A script of this session is running already.');
  const script = prompt.map((block) => (block.type === 'text' ? block.text : '')).join('');
  const attachments = prompt.flatMap((block) => (block.type === 'resource_link' ? [fileURLToPath(block.uri)] : []));
  const child = spawn(script, {
    cwd,
    shell: true,
    detached: process.platform !== 'win32',
    stdio: ['ignore', 'pipe', 'pipe'],
    windowsHide: true,
    env: {
      ...userEnvironment(),
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('BRANCHLINE_'))),
      BRANCHLINE_ATTACHMENTS: attachments.join('\n'),
    },
  });
  const run: Run = { child, cancelled: false };
  runs.set(sessionId, run);
  try {
    let sending = 0;
    let lastHeard = 0;
    const stream = (source: Readable, name: 'stdout' | 'stderr') =>
      forward(source, async (text) => {
        sending += 1;
        await client.notify(methods.client.session.update, {
          sessionId,
          update: { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text }, _meta: { [streamMeta]: name } },
        });
        sending -= 1;
        lastHeard = performance.now();
      });
    const drained = Promise.all([stream(child.stdout as Readable, 'stdout'), stream(child.stderr as Readable, 'stderr')]);
    const { code, signal } = await ended(child);
    endGroup(child, 'SIGKILL'); // What the script left running in the background ends with it.
    lastHeard = performance.now();
    const late = setInterval(() => {
      if (sending > 0 || performance.now() - lastHeard < drainTime) return; // What it said is still on its way.
      child.stdout?.destroy();
      child.stderr?.destroy();
    }, drainTime / 5);
    await drained;
    clearInterval(late);
    if (run.cancelled) return { stopReason: 'cancelled' };
    if (signal) throw new RequestError(-32000, `The script was ended by ${signal}.`);
    if (code !== 0) throw new RequestError(-32000, `The script ended with exit code ${code}.`);
    return { stopReason: 'end_turn' };
  } finally {
    runs.delete(sessionId);
  }
}

function ended(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new RequestError(-32000, `The shell could not be started: ${error.message}`)));
    child.on('exit', (code, signal) => resolve({ code, signal }));
  });
}

/** Sends text on as it comes, waiting for the client, so that a flood fills no memory. */
async function forward(source: Readable, send: (text: string) => Promise<void>): Promise<void> {
  source.setEncoding('utf8');
  try {
    for await (const chunk of source) await send(chunk as string);
  } catch {
    // Destroyed after the script ended.
  }
}

function endGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === 'win32') spawn('taskkill', ['/pid', String(child.pid), '/T', '/F'], { stdio: 'ignore' });
    else process.kill(-child.pid, signal);
  } catch {
    // Gone already.
  }
}

const connection = app.connect(
  ndJsonStream(
    Writable.toWeb(process.stdout) as WritableStream<Uint8Array>,
    Readable.toWeb(process.stdin) as unknown as ReadableStream<Uint8Array>,
  ),
);
void connection.closed.then(() => {
  for (const { child } of runs.values()) endGroup(child, 'SIGKILL');
  process.exit(0);
});
