/** What other extensions get from `activate` (version 1); its types are in `apiTypes.ts`, which is shipped as `api.d.ts`. */
import * as vscode from 'vscode';
import * as z from 'zod';
import type {
  AgentSnapshot,
  BranchlineApi,
  BranchSnapshot,
  QueueSessionInput,
  SessionSnapshot,
  Snapshot,
  TurnSnapshot,
} from './apiTypes.ts';
import { RefusedError } from './model/errors.ts';
import { compareRows } from './model/order.ts';
import { type Branch, type Session, sessionKinds, type Turn, type WaitingReason } from './model/types.ts';
import type { Commit, Work } from './model/work.ts';
import type { Engine, Owner } from './sessions/engine.ts';
import { type QueueSnapshot, waitingFor } from './sessions/nextTurn.ts';
import { sessionState } from './sessions/sessionState.ts';
import { heldInWords } from './sessions/words.ts';
import { readTranscript, transcriptPath } from './store/transcripts.ts';

const attachmentSchema = z
  .object({ name: z.string().min(1), mimeType: z.string().min(1), path: z.string().optional(), base64: z.base64().optional() })
  .refine(({ path, base64 }) => (path === undefined) !== (base64 === undefined), 'an attachment needs either a path or base64');
const promptSchema = z.strictObject({ prompt: z.string(), attachments: z.array(attachmentSchema).optional() });
const queueSessionSchema = promptSchema.extend({
  repository: z.string().optional(),
  branch: z.string().optional(),
  base: z.string().optional(),
  kind: z.enum(sessionKinds).optional(),
  agent: z.string().min(1).optional(),
  title: z.string().optional(),
});
const moveSchema = z.object({ before: z.string().nullable() });
const commitSchema = z.strictObject({ message: z.string().optional() });
const idSchema = z.string().min(1);

/** Checks what came from outside; throws RefusedError that names what is wrong. */
function checked<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new RefusedError(`${what} is not as it should be: ${z.prettifyError(parsed.error)}`);
}

export function checkedSession(input: unknown): QueueSessionInput {
  return checked(queueSessionSchema, input, 'What to queue') as QueueSessionInput;
}

/** `engine` is undefined where no folder is open. */
export function makeApi(engine: Engine | undefined): { api: BranchlineApi; dispose: () => void } {
  const changed = new vscode.EventEmitter<void>();
  const listener = engine?.onDidChange(() => changed.fire());
  const owner = async (): Promise<Owner> => {
    if (!engine) throw new RefusedError('Open a folder that is a git repository first.');
    return engine.owner();
  };
  const turn = (id: unknown) => checked(idSchema, id, 'The id of the turn');
  const branch = (id: unknown) => checked(idSchema, id, 'The id of the branch');
  const api: BranchlineApi = {
    version: 1,
    queueSession: async (input) => (await owner()).queue.enqueue(checkedSession(input)),
    queueTurn: async (sessionId, input) =>
      (await owner()).queue.enqueueTurn(
        checked(idSchema, sessionId, 'The id of the session'),
        checked(promptSchema, input, 'What to queue'),
      ),
    cancelTurn: async (id) => (await owner()).queue.cancel(turn(id)),
    retryTurn: async (id) => (await owner()).work.retry(turn(id)),
    commitTurn: async (id, options) =>
      (await owner()).work.commit(turn(id), checked(commitSchema, options ?? {}, 'The options of the commit')),
    discardWork: async (id) => (await owner()).work.discard(turn(id)),
    removeTurn: async (id) => void (await (await owner()).queue.remove(turn(id))),
    moveTurn: async (id, target) => (await owner()).queue.move(turn(id), checked(moveSchema, target, 'The place to move to')),
    pauseQueue: async (id) => (await owner()).queue.pause(branch(id)),
    resumeQueue: async (id) => (await owner()).queue.resume(branch(id)),
    respondToPermission: async (permissionId, optionId) =>
      (await owner()).dispatcher.respond(
        checked(idSchema, permissionId, 'The id of the request'),
        checked(idSchema, optionId, 'The id of the option'),
      ),
    transcript: async (sessionId) => {
      if (!engine?.state.session(checked(idSchema, sessionId, 'The id of the session')))
        throw new RefusedError('There is no session with this id.');
      return readTranscript(transcriptPath(engine.folder, sessionId));
    },
    snapshot: () => (engine ? snapshotOf(engine) : { branches: [], agents: [] }),
    onDidChange: changed.event,
  };
  return {
    api,
    dispose: () => {
      listener?.dispose();
      changed.dispose();
    },
  };
}

/** Committed state as plain JSON; branches that were removed are not in it. */
export function snapshotOf(engine: Engine): Snapshot {
  const queue = engine.queueSnapshot();
  const branches = Array.from(engine.state.branches()).filter((branch) => branch.worktreeState !== 'removed');
  return { branches: branches.map((branch) => branchSnapshot(engine, branch, queue)), agents: agentSnapshots(engine) };
}

function agentSnapshots({ catalog, state }: Engine): AgentSnapshot[] {
  return catalog.all().map(({ id, name }) => {
    const wait = state.agentWait(id);
    if (!catalog.isInstalled(id)) return { id, name, state: 'notInstalled' };
    if (!wait) return { id, name, state: 'ready' };
    return { id, name, state: wait.kind, ...(wait.until === null ? {} : { until: wait.until }), message: wait.said };
  });
}

function waitingUntil(turn: Turn, waits: WaitingReason | undefined, queue: QueueSnapshot): Pick<TurnSnapshot, 'waitingUntil'> {
  const until = waits === 'limit' || waits === 'signIn' ? queue.unavailable(turn.sessionId)?.until : undefined;
  return until == null ? {} : { waitingUntil: until };
}

function commitSnapshot(commit: Commit, branch: string): NonNullable<TurnSnapshot['commit']> {
  if (commit.state === 'made') return { state: 'made', sha: commit.sha, files: commit.files };
  const message = heldInWords(commit, branch);
  return { state: 'held', ...(message === undefined ? {} : { message }) };
}

function workSnapshot({ files, added, removed, ref }: Work): NonNullable<TurnSnapshot['work']> {
  return { files, added, removed, ...(ref === undefined ? {} : { ref }) };
}

function branchSnapshot({ state }: Engine, branch: Branch, queue: QueueSnapshot): BranchSnapshot {
  const line = queue.branches.get(branch.id);
  const turnSnapshot = (turn: Turn): TurnSnapshot => {
    const waits = waitingFor(turn, queue, line);
    return {
      id: turn.id,
      state: turn.state,
      prompt: turn.prompt,
      attachments: turn.attachments.map((attachment) => ({ ...attachment })),
      queuedAt: turn.queuedAt,
      ...(waits ? { waitingFor: waits } : {}),
      ...waitingUntil(turn, waits, queue),
      ...(turn.permission ? { permission: structuredClone(turn.permission) } : {}),
      ...(turn.error ? { error: { ...turn.error } } : {}),
      ...(turn.startedAt === null ? {} : { startedAt: turn.startedAt }),
      ...(turn.endedAt === null ? {} : { endedAt: turn.endedAt }),
      ...(turn.startSha === null ? {} : { startSha: turn.startSha }),
      ...(turn.endSha === null ? {} : { endSha: turn.endSha }),
      ...(turn.commit === null ? {} : { commit: commitSnapshot(turn.commit, branch.name) }),
      ...(turn.work === null ? {} : { work: workSnapshot(turn.work) }),
    };
  };
  const sessionSnapshot = (session: Session): SessionSnapshot => {
    const turns = state.turnsOf(session.id).toSorted(compareRows);
    return {
      id: session.id,
      kind: session.kind,
      title: session.title,
      agent: session.agent,
      state: sessionState(session, turns, branch),
      ...(session.tipSha ? { tipSha: session.tipSha } : {}),
      ...(session.mergeBaseSha ? { mergeBaseSha: session.mergeBaseSha } : {}),
      turns: turns.map(turnSnapshot),
    };
  };
  return {
    id: branch.id,
    repository: branch.repository,
    name: branch.name,
    base: branch.base,
    worktree: {
      state: branch.worktreeState,
      ...(branch.worktreeStep ? { step: branch.worktreeStep } : {}),
      ...(branch.worktreePath ? { path: branch.worktreePath } : {}),
      ...(branch.worktreeError ? { error: { ...branch.worktreeError } } : {}),
    },
    paused: branch.paused !== 'no',
    sessions: state.sessionsOf(branch.id).map(sessionSnapshot),
  };
}
