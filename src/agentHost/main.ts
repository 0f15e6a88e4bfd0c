/**
 * The agent host: a process of its own that outlives the window, runs the turns of one session, and tells whoever is
 * connected. Started as `agentHost.js FOLDER ID`, where FOLDER/ID.json (0600) holds its token and the path of its socket.
 *
 * It ends when it was told to, or when its turn is over and nobody has come for a while.
 */
import { timingSafeEqual } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { messageOf } from '../model/errors.ts';
import { parseJson, readLines } from '../platform/jsonLines.ts';
import { startTimeOf } from '../platform/processes.ts';
import { clientMessageSchema, type HostMessage, hostFileSchema, hostProtocolVersion } from './protocol.ts';
import { TurnRunner } from './turnRunner.ts';

/** Milliseconds. */
const helloTime = 5_000;
const lonelyTime = 30_000;
const lonelyWithoutWindow = 10_000;
const idleTime = 5 * 60_000;

const [folder, hostId] = process.argv.slice(2);
if (!folder || !hostId) throw new Error('Usage: agentHost.js FOLDER ID');
const filePath = join(folder, `${hostId}.json`);
const file = hostFileSchema.parse(JSON.parse(readFileSync(filePath, 'utf8')));

const clients = new Set<Socket>();
let highestEpoch = 0;
let keepRunning = true;
let ending: Promise<void> | undefined;
let timer: NodeJS.Timeout | undefined;

const send = (socket: Socket, message: HostMessage) => {
  if (!socket.destroyed) socket.write(`${JSON.stringify(message)}\n`);
};
const broadcast = (message: HostMessage) => {
  for (const socket of clients) send(socket, message);
};

const runner = new TurnRunner({
  hostId,
  onStatus: (status) => {
    broadcast({ type: 'status', status });
    arm();
  },
  onEntries: (sessionId, entries) => broadcast({ type: 'entries', sessionId, entries: [...entries] }),
});

/** Sets the one timer that ends a host nobody needs; called whenever what it depends on changed. */
function arm(): void {
  clearTimeout(timer);
  const alone = clients.size === 0;
  if (runner.isNeeded && (keepRunning || !alone)) return;
  const wait = runner.isActive ? lonelyWithoutWindow : alone ? lonelyTime : idleTime;
  timer = setTimeout(() => {
    if (runner.isActive) {
      runner.interrupt('The window was closed, and "branchline.sessions.keepRunning" is off. Retry it when you are back.');
      arm();
    } else void end();
  }, wait);
}

function end(): Promise<void> {
  ending ??= (async () => {
    server.close();
    await runner.close();
    rmSync(filePath, { force: true });
    for (const socket of clients) socket.end();
    process.exit(0);
  })().catch((error: unknown) => {
    console.error(messageOf(error));
    process.exit(1);
  });
  return ending;
}

const server = createServer((socket) => {
  let known = false;
  const hello = setTimeout(() => socket.destroy(), helloTime);
  socket.on('error', () => undefined);
  socket.on('close', () => {
    clearTimeout(hello);
    clients.delete(socket);
    arm();
  });
  readLines(socket, (line) => {
    const message = clientMessageSchema.safeParse(parseJson(line)).data;
    if (!message || (!known && message.type !== 'hello')) return void socket.destroy();
    switch (message.type) {
      case 'hello': {
        const given = Buffer.from(message.token);
        const wanted = Buffer.from(file.token);
        const fits = given.length === wanted.length && timingSafeEqual(given, wanted);
        // A lower epoch is an older owner of the storage: it may not hand out work any more.
        if (!fits || message.version !== hostProtocolVersion || message.epoch < highestEpoch) return void socket.destroy();
        if (message.epoch > highestEpoch) for (const other of clients) other.destroy();
        highestEpoch = message.epoch;
        known = true;
        clearTimeout(hello);
        clients.add(socket);
        arm();
        return send(socket, { type: 'welcome', version: hostProtocolVersion, hostId: hostId as string, status: runner.status });
      }
      case 'run':
        if (ending || !runner.takes(message.job)) return void socket.destroy(); // Who asked looks what became of it.
        keepRunning = message.job.keepRunning;
        return void runner.run(message.job);
      case 'cancel':
        return runner.cancel(message.turnId);
      case 'answer':
        return runner.answer(message.permissionId, message.optionId);
      case 'permissions':
        return runner.setPolicy(message.policy);
      case 'shutdown':
        if (runner.isActive) return undefined;
        return void end();
    }
  });
});

server.listen(file.socket, () => {
  if (!existsSync(filePath)) process.exit(0); // The window that started us is gone, and the next one has given us up.
  if (process.platform !== 'win32') chmodSync(file.socket, 0o600);
  const identity = { ...file, pid: process.pid, startTime: startTimeOf(process.pid) ?? null };
  writeFileSync(`${filePath}.tmp`, JSON.stringify(identity), { mode: 0o600 });
  renameSync(`${filePath}.tmp`, filePath);
  arm();
  process.stdout.write('ready\n');
});
server.on('error', (error) => {
  console.error(messageOf(error));
  process.exit(1);
});

process.stdout.on('error', () => undefined); // The window that started us may be gone.
process.on('SIGHUP', () => undefined); // The terminal or session of the window that started us is none of our business.
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    runner.interrupt('The machine or the user ended the agent host. Retry it when you are ready.');
    void settled().then(end);
  });
}

/** Resolves when no turn is active. */
async function settled(): Promise<void> {
  while (runner.isActive) await new Promise((resolve) => setTimeout(resolve, 20));
}
