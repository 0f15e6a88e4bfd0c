/** Does what the timeline's page asks for. Every answer is a value or an error with words to act on. */
import { realpathSync } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { basename, extname, isAbsolute, resolve } from 'node:path';
import * as vscode from 'vscode';
import type { Changes } from '../changes.ts';
import { messageOf, RefusedError } from '../model/errors.ts';
import { transcriptMarkdown } from '../model/transcriptMarkdown.ts';
import { isInside } from '../platform/paths.ts';
import { goOnElsewhere } from '../sessions/continuation.ts';
import type { Engine } from '../sessions/engine.ts';
import { attachmentPath, largestAttachment } from '../store/attachments.ts';
import { readTranscript, transcriptPath } from '../store/transcripts.ts';
import type { TranscriptDocuments } from '../transcriptDocuments.ts';
import type { Drafts } from './drafts.ts';
import type { ToHost } from './protocol.ts';

export interface RequestContext {
  engine: Engine;
  changes: Changes;
  transcripts: TranscriptDocuments;
  openInEditor: () => void;
  drafts: Drafts | undefined;
  /** What a removal can be taken back with. */
  undo: Map<number, () => Promise<void>>;
}

type Asked = Extract<ToHost, { requestId: number }>;
type Of<T extends Asked['type']> = Extract<Asked, { type: T }>;

const imageTypes: Record<string, string> = {
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.gif': 'image/gif',
  '.webp': 'image/webp',
};
const largestShown = 5 * 1024 * 1024;
const logShown = 20_000;
const filesFound = 30;
let lastUndo = 0;

export async function answer(asked: Asked, context: RequestContext): Promise<unknown> {
  switch (asked.type) {
    case 'enqueue':
      return enqueue(asked, context);
    case 'turn':
      return turnAction(asked, context);
    case 'undo': {
      const restore = context.undo.get(asked.token);
      if (!restore) throw new RefusedError("This can't be taken back any more.");
      context.undo.delete(asked.token);
      return restore();
    }
    case 'move':
      return (await context.engine.owner()).queue.move(asked.turnId, { before: asked.before });
    case 'edit':
      return (await context.engine.owner()).queue.edit(asked.turnId, asked.prompt);
    case 'respond':
      return (await context.engine.owner()).dispatcher.respond(asked.permissionId, asked.optionId);
    case 'branch':
      return branchAction(asked, context);
    case 'session':
      return sessionAction(asked, context);
    case 'image':
      return image(asked, context.engine);
    case 'log':
      return setupLog(asked.branchId, context.engine);
    case 'pickFiles':
      return pickFiles();
    case 'draft':
      return context.drafts?.set(asked.key, asked.text);
    case 'filesOfDraft':
      return context.drafts?.filesOf(asked.key) ?? [];
    case 'files':
      return findFiles(asked.query);
    case 'fullPrompt':
      return context.engine.state.turn(asked.turnId)?.prompt ?? '';
    case 'openFile':
      return openFile(asked.branchId, asked.path, asked.line, context.engine);
    case 'agent': {
      const { queue } = await context.engine.owner();
      return asked.action === 'try' ? queue.tryAgent(asked.agent) : queue.pauseForAgent(asked.agent);
    }
    case 'openLink':
      return openLink(asked.href);
    case 'command':
      return command(asked, context);
  }
}

async function enqueue(
  { target, kind, agent, prompt, attachments }: Of<'enqueue'>,
  { engine }: RequestContext,
): Promise<unknown> {
  const { queue } = await engine.owner();
  if ('sessionId' in target) return queue.enqueueTurn(target.sessionId, { prompt, attachments });
  if ('branchId' in target) {
    const branch = engine.state.branch(target.branchId);
    if (!branch) throw new RefusedError('This branch is not in Branchline any more. Choose another one.');
    return queue.enqueue({ repository: branch.repository, branch: branch.name, kind, agent, prompt, attachments });
  }
  return queue.enqueue({ kind, agent, prompt, attachments, ...('branch' in target ? { branch: target.branch } : {}) });
}

async function turnAction({ action, turnId }: Of<'turn'>, { engine, changes, undo }: RequestContext): Promise<unknown> {
  if (action === 'openChanges') {
    const turn = engine.state.turn(turnId);
    if (!turn) throw new RefusedError('This turn is not in the queue any more.');
    await changes.ofTurn(turn);
    return null;
  }
  const { queue, work } = await engine.owner();
  switch (action) {
    case 'cancel':
      return queue.cancel(turnId);
    case 'retry':
      return work.retry(turnId);
    case 'commit':
      return work.commit(turnId);
    case 'mend':
      return work.mend(turnId);
    case 'goOnElsewhere':
      return goOnElsewhere(turnId, { state: engine.state, queue, folder: engine.folder });
    case 'leave':
      return queue.resume(engine.state.turn(turnId)?.branchId ?? '');
    case 'commitWithMessage':
    case 'restoreBefore':
      await vscode.commands.executeCommand(`branchline.${action}`, { turnId, fromToast: true });
      return null;
    case 'discard':
      await vscode.commands.executeCommand('branchline.discardWork', { turnId, fromToast: true });
      return null;
    case 'sendNow':
      return queue.sendNow(turnId);
    case 'moveUp':
      return queue.moveBy(turnId, -1);
    case 'moveDown':
      return queue.moveBy(turnId, 1);
    case 'remove': {
      const { restore } = await queue.remove(turnId);
      lastUndo += 1;
      undo.set(lastUndo, restore);
      return { token: lastUndo };
    }
  }
}

async function branchAction({ action, branchId }: Of<'branch'>, { engine, changes }: RequestContext): Promise<unknown> {
  const branch = engine.state.branch(branchId);
  if (!branch) throw new RefusedError('This branch is not in Branchline any more.');
  switch (action) {
    case 'pause':
      return (await engine.owner()).queue.pause(branchId);
    case 'resume':
      return (await engine.owner()).queue.resume(branchId);
    case 'retryProvisioning':
      return (await engine.owner()).queue.retryProvisioning(branchId);
    case 'stopProvisioning':
      return (await engine.owner()).provisioner.stop(branchId);
    case 'openChanges':
      await changes.ofBranch(branch);
      return null;
    case 'showSetupLog':
    case 'openTerminal':
      await vscode.commands.executeCommand(`branchline.${action}`, branchId);
      return null;
  }
}

async function sessionAction(
  { action, sessionId }: Of<'session'>,
  { engine, changes, transcripts }: RequestContext,
): Promise<unknown> {
  const session = engine.state.session(sessionId);
  if (!session) throw new RefusedError('This session is not there any more.');
  if (action === 'openChanges') await changes.ofSession(session);
  else if (action === 'openTranscript') await transcripts.open(sessionId);
  else
    await vscode.env.clipboard.writeText(
      transcriptMarkdown(session.title, await readTranscript(transcriptPath(engine.folder, sessionId))),
    );
  return null;
}

/** An attachment as a data URL; null for what is no image or too large to show. */
async function image({ sha256, mimeType }: Of<'image'>, engine: Engine): Promise<string | null> {
  if (!Object.values(imageTypes).includes(mimeType)) return null;
  const path = attachmentPath(engine.folder, sha256);
  if ((await stat(path)).size > largestShown) return null;
  return `data:${mimeType};base64,${(await readFile(path)).toString('base64')}`;
}

async function setupLog(branchId: string, engine: Engine): Promise<string> {
  const { provisioner } = await engine.owner();
  try {
    const file = await open(provisioner.logOf(branchId), 'r');
    try {
      const { size } = await file.stat();
      const start = Math.max(0, size - logShown);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch {
    return 'No setup command has printed anything.';
  }
}

async function pickFiles(): Promise<{ name: string; mimeType: string; base64: string }[]> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const chosen =
    (await vscode.window.showOpenDialog({
      canSelectMany: true,
      title: 'Attach Files',
      openLabel: 'Attach',
      ...(folder ? { defaultUri: folder } : {}),
    })) ?? [];
  const files: { name: string; mimeType: string; base64: string }[] = [];
  for (const uri of chosen) {
    const { size } = await vscode.workspace.fs.stat(uri);
    const name = basename(uri.path);
    if (size > largestAttachment)
      throw new RefusedError(
        `"${name}" is larger than ${largestAttachment / 1024 / 1024} MB. Attach a smaller file, or name its path in the prompt.`,
      );
    const data = Buffer.from(await vscode.workspace.fs.readFile(uri));
    files.push({
      name,
      mimeType: imageTypes[extname(name).toLowerCase()] ?? 'application/octet-stream',
      base64: data.toString('base64'),
    });
  }
  return files;
}

/** Paths in the open folders whose name holds the query. */
async function findFiles(query: string): Promise<string[]> {
  const letters = query
    .replace(/[^\p{L}\p{N}._/-]/gu, '')
    .split('')
    .map((letter) => (/\p{L}/u.test(letter) ? `[${letter.toLowerCase()}${letter.toUpperCase()}]` : letter))
    .join('');
  const found = await vscode.workspace.findFiles(
    letters === '' ? '**/*' : `**/*${letters}*`,
    '**/{node_modules,.git}/**',
    filesFound,
  );
  return found.map((uri) => vscode.workspace.asRelativePath(uri, false)).sort((a, b) => a.length - b.length);
}

/** Opens a file of the branch's worktree, at a line; nothing outside of it. */
async function openFile(branchId: string, path: string, line: number | undefined, engine: Engine): Promise<null> {
  const worktree = engine.state.branch(branchId)?.worktreePath;
  if (!worktree) throw new RefusedError('The worktree is not there yet.');
  let real: string;
  try {
    real = realpathSync(isAbsolute(path) ? path : resolve(worktree, path));
  } catch {
    throw new RefusedError(`"${path}" is not there any more.`);
  }
  if (!isInside(real, worktree))
    throw new RefusedError(`"${path}" is not in the branch's worktree, so it is not opened from here.`);
  const at = new vscode.Position(Math.max(0, (line ?? 1) - 1), 0);
  await vscode.window.showTextDocument(vscode.Uri.file(real), { preview: true, selection: new vscode.Range(at, at) });
  return null;
}

async function openLink(href: string): Promise<null> {
  let uri: vscode.Uri;
  try {
    uri = vscode.Uri.parse(href, true);
  } catch (error) {
    throw new RefusedError(`This link is not understood: ${messageOf(error)}`);
  }
  if (!['http', 'https', 'mailto'].includes(uri.scheme))
    throw new RefusedError(`A link to "${uri.scheme}:" is not opened from here.`);
  await vscode.env.openExternal(uri);
  return null;
}

async function command({ command: name }: Of<'command'>, { openInEditor }: RequestContext): Promise<null> {
  const commands = {
    openFolder: 'vscode.openFolder',
    manageTrust: 'workbench.trust.manage',
    initRepository: 'git.init',
    focusBranches: 'branchline.branches.focus',
    takeOver: 'branchline.takeOver',
  } as const;
  if (name === 'openInEditor') openInEditor();
  else await vscode.commands.executeCommand(commands[name]);
  return null;
}
