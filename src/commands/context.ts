/** What the commands share: the engine, what a command was called on, and how its errors are told. */
import * as vscode from 'vscode';
import type { LogChannel } from '../logChannel.ts';
import { BranchlineError, messageOf, RefusedError } from '../model/errors.ts';
import type { Branch, Turn } from '../model/types.ts';
import type { Engine, Owner } from '../sessions/engine.ts';
import type { BranchesView, Node } from '../tree/branchesView.ts';
import type { StatusBar } from '../statusBar.ts';
import { pick, tell } from '../surfaces.ts';
import type { Changes } from '../changes.ts';
import type { TranscriptDocuments } from '../transcriptDocuments.ts';
import type { TimelineView } from '../webview/timelineView.ts';

export interface CommandContext {
  /** Undefined where no folder is open. */
  engine: Engine | undefined;
  tree: BranchesView | undefined;
  status: StatusBar | undefined;
  changes: Changes;
  transcripts: TranscriptDocuments;
  timeline: TimelineView;
  log: LogChannel;
}

/** How a command was called. Only a call by another program gets its errors as rejections; a person is shown them. */
export interface Call {
  /** What the call names, wherever it came from; empty from the palette. */
  target: { turnId?: string; branchId?: string; sessionId?: string };
  /** Rows selected besides. */
  selected: readonly Node[];
  /** The call's own argument when a program made it. */
  input: unknown;
  byProgram: boolean;
}

type Handler = (call: Call, ...rest: unknown[]) => unknown;

const nodeTypes = new Set(['repository', 'branch', 'worktree', 'earlier', 'turn']);
const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'type' in value && nodeTypes.has((value as { type: string }).type);

/** `idName` says what a plain string names. */
function readCall(first: unknown, second: unknown, idName: keyof Call['target'], tree: BranchesView | undefined): Call {
  const fromKey = typeof first === 'object' && first !== null && 'fromSelection' in first;
  const node = fromKey ? tree?.selection[0] : isNode(first) ? first : undefined;
  if (node) {
    const selected = fromKey ? (tree?.selection ?? []) : Array.isArray(second) ? second.filter(isNode) : [node];
    return { target: node.type === 'repository' ? {} : { ...node }, selected, input: undefined, byProgram: false };
  }
  if (typeof first === 'string') return { target: { [idName]: first }, selected: [], input: first, byProgram: true };
  if (typeof first === 'object' && first !== null && !fromKey) {
    return { target: first, selected: [], input: first, byProgram: !('fromToast' in first) };
  }
  return { target: {}, selected: [], input: undefined, byProgram: false };
}

export function register(context: CommandContext, id: string, idName: keyof Call['target'], handler: Handler): vscode.Disposable {
  return vscode.commands.registerCommand(`branchline.${id}`, async (first?: unknown, second?: unknown, ...rest: unknown[]) => {
    const call = readCall(first, second, idName, context.tree);
    try {
      return await handler(call, second, ...rest);
    } catch (error) {
      if (call.byProgram) throw error;
      if (!(error instanceof BranchlineError))
        context.log.write(`branchline.${id}: ${error instanceof Error ? error.stack : String(error)}`, 'error');
      void tellError(messageOf(error));
      return undefined;
    }
  });
}

async function tellError(message: string): Promise<void> {
  if (await tell('error', message, 'Show Log')) await vscode.commands.executeCommand('branchline.showLog');
}

export function engineOf({ engine }: CommandContext): Engine {
  if (!engine) throw new RefusedError('Open a folder that is a git repository first.');
  return engine;
}

export const ownerOf = (context: CommandContext): Promise<Owner> => engineOf(context).owner();

/** The turn that the call names, or that the person picks among those that fit; undefined when the pick is left. */
export async function turnOf(
  context: CommandContext,
  call: Call,
  fits: (turn: Turn) => boolean,
  question: string,
): Promise<Turn | undefined> {
  const engine = engineOf(context);
  await engine.opened;
  if (call.target.turnId) {
    const turn = engine.state.turn(call.target.turnId);
    if (!turn) throw new RefusedError('This turn is not in the queue any more.');
    return turn;
  }
  const turns = Array.from(engine.state.turns()).filter(
    (turn) => fits(turn) && engine.state.branch(turn.branchId)?.worktreeState !== 'removed',
  );
  if (turns.length === 0) throw new RefusedError('There is no turn for which this can be done now.');
  const items = turns.map((turn) => ({
    label: engine.state.session(turn.sessionId)?.title ?? '',
    description: `${engine.state.branch(turn.branchId)?.name} · ${turn.state}`,
    value: turn,
  }));
  return (await pick(items, { placeHolder: question }))?.value;
}

/** The branch that the call names, or that the person picks. */
export async function branchOf(
  context: CommandContext,
  call: Call,
  fits: (branch: Branch) => boolean,
  question: string,
): Promise<Branch | undefined> {
  const engine = engineOf(context);
  await engine.opened;
  const named = call.target.branchId ?? (call.target.turnId && engine.state.turn(call.target.turnId)?.branchId);
  if (named) {
    const branch = engine.state.branch(named);
    if (!branch || branch.worktreeState === 'removed') throw new RefusedError('This branch is not in Branchline any more.');
    return branch;
  }
  const branches = Array.from(engine.state.branches()).filter((branch) => branch.worktreeState !== 'removed' && fits(branch));
  if (branches.length === 0) throw new RefusedError('There is no branch for which this can be done now.');
  if (branches.length === 1) return branches[0];
  const items = branches.map((branch) => ({ label: branch.name, description: branch.repository, value: branch }));
  return (await pick(items, { placeHolder: question }))?.value;
}
