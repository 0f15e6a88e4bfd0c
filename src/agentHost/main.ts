/**
 * The agent host: a process of its own that outlives the window, runs the turns of one session, and tells whoever is
 * connected. Started as `agentHost.js FOLDER ID`, where FOLDER/ID.json (0600) holds its token and the path of its socket.
 *
 * It ends when it was told to, or when its turn is over and nobody has come for a while.
 */
import { timingSafeEqual } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { messageOf } from '../model/errors.ts';
import { capFile } from '../platform/cappedFile.ts';
import { parseJson, readLines } from '../platform/jsonLines.ts';
import { identityOf, type ProcessIdentity } from '../platform/processes.ts';
import { runtimeFolder } from '../platform/runtimeFolder.ts';
import { clientMessageSchema, type HostFile, type HostMessage, hostFileSchema, hostProtocolVersion } from './protocol.ts';
import { TurnRunner } from './turnRunner.ts';

/** Milliseconds. */
const helloTime = 5_000;
const lonelyTime = 30_000;
const lonelyWithoutWindow = 10_000;
const idleTime = 5 * 60_000;
/** How often it looks whether it can still be found. */
const lookTime = 2_000;
/** Bytes of what it says on standard error, which is in FOLDER/ID.log. */
const longestLog = 256 * 1024;

const [folder, hostId] = process.argv.slice(2);
if (!folder || !hostId) throw new Error('Usage: agentHost.js FOLDER ID');
const filePath = join(folder, `${hostId}.json`);
const logPath = join(folder, `${hostId}.log`);
let file: HostFile = hostFileSchema.parse(JSON.parse(readFileSync(filePath, 'utf8')));

const clients = new Set<Socket>();
let highestEpoch = 0;
let keepRunning = true;
let ending: Promise<void> | undefined;
let timer: NodeJS.Timeout | undefined;

const send = (socket: Socket, message: HostMessage) => {
  if (!socket.destroyed) socket.write(`${JSON.stringify(message)}\n`);
};
type Entries = Extract<HostMessage, { type: 'entries' }>;
/** What a window that is busy was not told of the transcript: the last of it, which shows that there is a gap. */
const behind = new Map<Socket, Entries>();
/** Bytes that may wait for a window. What is in the transcript need not be kept for it in memory, too. */
const mostWaiting = 1024 * 1024;
const sendEntries = (socket: Socket, message: Entries) => {
  if (socket.writableLength <= mostWaiting && !behind.has(socket)) return send(socket, message);
  if (!behind.has(socket))
    socket.once('drain', () => {
      const last = behind.get(socket);
      behind.delete(socket);
      if (last) send(socket, last);
    });
  behind.set(socket, { ...message, entries: message.entries.slice(-1) });
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
  onEntries: (sessionId, entries) => {
    for (const socket of clients) sendEntries(socket, { type: 'entries', sessionId, entries: [...entries] });
  },
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
    clearInterval(look);
    server.close();
    await runner.close();
    rmSync(filePath, { force: true });
    rmSync(logPath, { force: true });
    for (const socket of clients) socket.end();
    process.exit(0);
  })().catch((error: unknown) => {
    console.error(messageOf(error));
    process.exit(1);
  });
  return ending;
}

/** Who is connected: says hello with the token first, then orders. */
function meet(socket: Socket): void {
  let known = false;
  const hello = setTimeout(() => socket.destroy(), helloTime);
  socket.on('error', () => undefined);
  socket.on('close', () => {
    clearTimeout(hello);
    clients.delete(socket);
    behind.delete(socket);
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
}

let server: Server;

/** Listens at the path; rejects when it can't. */
function listenAt(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const listening = createServer(meet);
    listening.once('error', reject);
    listening.listen(path, () => {
      if (process.platform !== 'win32') chmodSync(path, 0o600);
      resolve(listening.on('error', (error) => console.error(messageOf(error))));
    });
  });
}

/** Writes down, as a whole, where and who it is. */
function writeFile(patch: Partial<HostFile>): void {
  const changed = { ...file, ...patch };
  writeFileSync(`${filePath}.tmp`, JSON.stringify(changed), { mode: 0o600 });
  renameSync(`${filePath}.tmp`, filePath);
  file = changed;
}

/**
 * The folder of its socket goes when the user's last login ends. Those who are connected stay; so that others find it again, it
 * listens anew, where that is possible now, and says where.
 */
async function stayReachable(): Promise<void> {
  if (process.platform === 'win32' || ending || (await isThere(file.socket)) || !existsSync(filePath)) return;
  server.close(); // Before there is another at this path: closing removes what is there.
  const path = existsSync(dirname(file.socket)) ? file.socket : join(runtimeFolder(), `${hostId}.sock`);
  server = await listenAt(path);
  writeFile({ socket: path });
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    return !['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? ''); // It could not be told.
  }
}

let looking = false;
const look = setInterval(() => {
  if (looking) return;
  looking = true;
  Promise.allSettled([stayReachable(), capFile(logPath, longestLog)])
    .then(([reachable]) => {
      if (reachable.status === 'rejected') console.error(messageOf(reachable.reason)); // The next look tries again.
    })
    .finally(() => {
      looking = false;
    });
}, lookTime);
look.unref();

async function start(): Promise<void> {
  const [identity, listening] = await Promise.all([
    identityOf(process.pid).catch((): ProcessIdentity | undefined => undefined),
    listenAt(file.socket),
  ]);
  server = listening;
  if (!existsSync(filePath)) process.exit(0); // The window that started us is gone, and the next one has given us up.
  writeFile({ pid: process.pid, startTime: identity?.startTime ?? null });
  arm();
  process.stdout.write('ready\n');
}
start().catch((error: unknown) => {
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
