/**
 * The shell agent: an agent (ACP) for which a prompt is a script for the platform's shell, run in the session's folder.
 * Output is streamed as it comes, standard error told apart by `_meta`; a code other than 0, or a signal, fails the turn.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { type AgentContext, agent, type ContentBlock, methods, ndJsonStream, RequestError } from '@agentclientprotocol/sdk';
import { messageOf } from '../model/errors.ts';
import { endMarked, markVariable, userEnvironment } from '../platform/processes.ts';
import { type PreparedScript, prepareScript } from '../platform/scripts.ts';
import { streamMeta } from './streamMeta.ts';

/** After the script has ended, how long its background processes may hold the output open without a word, in milliseconds. */
const drainTime = 250;
/** How long a cancelled script may take to clean up, in milliseconds. */
const insistAfter = 1_500;

interface Run {
  /** Once it has been started. */
  child: ChildProcess | undefined;
  /** Found in the environment of everything that the script starts. */
  mark: string;
  cancelled: boolean;
}

/** How long the last scripts may take to clear up when nobody listens any more, in milliseconds. */
const lastTime = 2_000;

const folders = new Map<string, string>();
const runs = new Map<string, Run>();
const working = new Set<Promise<unknown>>();

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
  .onRequest(methods.agent.session.prompt, ({ params, client }) => {
    const run = runScript(params.sessionId, params.prompt, client);
    const done: Promise<unknown> = run.then(
      () => working.delete(done),
      () => working.delete(done),
    );
    working.add(done);
    return run;
  })
  .onNotification(methods.agent.session.cancel, ({ params }) => {
    const run = runs.get(params.sessionId);
    if (run) {
      run.cancelled = true;
      void endRun(run, insistAfter);
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
  // Below the host's own mark, by which everything ends with the host.
  const run: Run = { child: undefined, mark: `${process.env[markVariable] ?? 'shell'}.${randomUUID()}`, cancelled: false };
  runs.set(sessionId, run);
  try {
    const prepared = await prepareScript(script);
    try {
      if (run.cancelled) return { stopReason: 'cancelled' };
      return await runPrepared(run, prepared, { cwd, sessionId, attachments, client });
    } finally {
      await prepared.dispose();
    }
  } finally {
    runs.delete(sessionId);
  }
}

interface Setting {
  cwd: string;
  sessionId: string;
  attachments: readonly string[];
  client: AgentContext;
}

async function runPrepared(
  run: Run,
  { file, args, windowsVerbatimArguments }: PreparedScript,
  { cwd, sessionId, attachments, client }: Setting,
): Promise<{ stopReason: 'end_turn' | 'cancelled' }> {
  const child = spawn(file, args, {
    cwd,
    windowsVerbatimArguments,
    detached: process.platform !== 'win32',
    stdio: ['ignore', 'pipe', 'pipe'],
    windowsHide: true,
    env: {
      ...userEnvironment(),
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('BRANCHLINE_'))),
      BRANCHLINE_ATTACHMENTS: attachments.join('\n'),
      [markVariable]: run.mark,
    },
  });
  run.child = child;
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
  await endRun(run, 0); // What the script left running in the background ends with it.
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

/** Asks what a run started to end, and insists after `grace` milliseconds. */
async function endRun({ child, mark }: Run, grace: number): Promise<void> {
  await endMarked(mark, { grace, ...(child?.pid === undefined ? {} : { leader: child.pid }) }).catch((error: unknown) =>
    console.error(`What a script started could not be ended: ${messageOf(error)}`),
  );
}

const connection = app.connect(
  ndJsonStream(
    Writable.toWeb(process.stdout) as WritableStream<Uint8Array>,
    Readable.toWeb(process.stdin) as unknown as ReadableStream<Uint8Array>,
  ),
);
void connection.closed.then(async () => {
  setTimeout(() => process.exit(0), lastTime);
  await Promise.all(Array.from(runs.values(), (run) => endRun(run, 0)));
  await Promise.all(working);
  process.exit(0);
});
