/** Composition root: builds the parts, wires them, registers them, returns the API. Nothing else. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as vscode from 'vscode';
import { makeApi } from './api.ts';
import type { BranchlineApi } from './apiTypes.ts';
import { Changes } from './changes.ts';
import { branchCommands } from './commands/branches.ts';
import type { CommandContext } from './commands/context.ts';
import { problemCommands } from './commands/problem.ts';
import { sessionCommands } from './commands/sessions.ts';
import { turnCommands } from './commands/turns.ts';
import { viewCommands } from './commands/views.ts';
import { agentCommands } from './commands/agents.ts';
import { workCommands } from './commands/work.ts';
import { Config } from './config.ts';
import { LogChannel } from './logChannel.ts';
import { messageOf } from './model/errors.ts';
import { Notifications } from './notifications.ts';
import { OpenRepositories } from './openRepositories.ts';
import { Engine } from './sessions/engine.ts';
import { StatusBar } from './statusBar.ts';
import { Projection } from './store/projection.ts';
import { loadSql } from './store/sql.ts';
import { tell } from './surfaces.ts';
import { TranscriptDocuments } from './transcriptDocuments.ts';
import { BranchesView } from './tree/branchesView.ts';
import { Drafts } from './webview/drafts.ts';
import { TimelineView } from './webview/timelineView.ts';
import { openFolders, ownCheckouts, storageFolder } from './workspace.ts';

let running: Engine | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<BranchlineApi> {
  const log = new LogChannel();
  const problem = (message: string) => {
    log.write(message, 'warn');
    void tell('warning', message, 'Show Log').then((chosen) => chosen && log.show());
  };
  const config = new Config(problem, {
    get: () => context.workspaceState.get<string>('agent'),
    set: (agent) => void context.workspaceState.update('agent', agent),
  });
  log.environments = () => Object.values(config.engine.agents()).map(({ env }) => env ?? {});
  const engine = context.storageUri && startEngine(context, context.storageUri, config, log, problem);
  running = engine;
  const { api, dispose } = makeApi(engine);
  const tree = engine && new BranchesView(engine);
  const status = engine && new StatusBar(engine);
  const changes = new Changes(() => engine?.state ?? new Projection());
  const transcripts = new TranscriptDocuments(engine);
  const repositories = new OpenRepositories();
  const timeline = new TimelineView(vscode.Uri.joinPath(context.extensionUri, 'dist'), {
    engine,
    repositories,
    chosenAgent: () => config.chosenAgent,
    onChose: (agent) => config.chose(agent),
    drafts:
      engine &&
      new Drafts(
        engine.folder,
        (message) => log.write(message, 'warn'),
        () => engine.isOwner,
      ),
    log: (message) => log.write(message, 'warn'),
    requests: { changes, transcripts },
  });
  const shared: CommandContext = { engine, tree, status, changes, transcripts, timeline, log };
  context.subscriptions.push(
    log,
    config,
    repositories,
    repositories.onDidChange(setRepositoryContext),
    changes,
    transcripts,
    timeline,
    { dispose },
    ...sessionCommands(shared, config),
    ...turnCommands(shared),
    ...workCommands(shared),
    ...agentCommands(shared),
    ...branchCommands(shared),
    ...viewCommands(shared),
    ...problemCommands(shared, String((context.extension.packageJSON as { version?: unknown }).version)),
  );
  if (engine) {
    context.subscriptions.push(
      ...(tree ? [tree] : []),
      ...(status ? [status] : []),
      new Notifications(engine, () => config.notifications),
      config.onDidChange(() => engine.reconcile()),
      askWhileSeen(engine),
      vscode.workspace.onDidGrantWorkspaceTrust(() => engine.reconcile()),
      vscode.workspace.onDidChangeWorkspaceFolders(() => engine.reconcile()),
      repositories.onDidChange(() => engine.reconcile()),
    );
    engine.ready.catch((error) => {
      log.write(messageOf(error), 'error');
      void tell('error', messageOf(error), 'Show Log').then((chosen) => chosen && log.show());
    });
  } else
    context.subscriptions.push(
      vscode.window.registerTreeDataProvider<never>('branchline.branches', {
        getChildren: () => [],
        getTreeItem: (never) => never,
      }),
    );
  let shown: boolean | undefined;
  const showTakeOver = () => {
    const canTakeOver = engine?.canTakeOver ?? false;
    if (canTakeOver === shown) return; // Changes of the queue are many, and VS Code need not hear of each.
    shown = canTakeOver;
    void vscode.commands.executeCommand('setContext', 'branchline.canTakeOver', canTakeOver);
  };
  if (engine) context.subscriptions.push(engine.onDidChange(showTakeOver));
  showTakeOver();
  setRepositoryContext(repositories.found);
  // What is stored is there for the first `snapshot()`; a workspace that has nothing stored waits for nothing.
  if (engine?.hasStorage) await engine.opened;
  return api;
}

function startEngine(
  context: vscode.ExtensionContext,
  storage: vscode.Uri,
  config: Config,
  log: LogChannel,
  onProblem: (message: string) => void,
): Engine {
  const programs = join(context.extensionPath, 'dist');
  /** Compiled once: a window that only shows the queue reads it again at each change. */
  let database: Promise<Awaited<ReturnType<typeof loadSql>>> | undefined;
  return Engine.start({
    folder: storageFolder(storage.fsPath),
    programs,
    loadDatabase: () => {
      database ??= readFile(join(programs, 'sql-wasm.wasm')).then(loadSql);
      database.catch(() => {
        database = undefined; // It is tried again.
      });
      return database;
    },
    settings: config.engine,
    openFolders,
    ownCheckouts,
    trusted: () => vscode.workspace.isTrusted,
    log: log.write,
    onProblem,
    isSeen,
  });
}

/** A person at this window is not to wait for one that is gone: it asks as long as it only shows the queue. */
function askWhileSeen(engine: Engine): vscode.Disposable {
  const ask = () => {
    if (vscode.window.state.focused && engine.canTakeOver) engine.askForQueue();
  };
  const timer = setInterval(ask, askTime);
  return vscode.Disposable.from(vscode.window.onDidChangeWindowState(ask), new vscode.Disposable(() => clearInterval(timer)));
}

/** Milliseconds. */
const askTime = 5_000;
/** Milliseconds that the window may take for an answer before it is taken for gone. */
const answerTime = 3_000;

/** Whether a window is there behind this extension host: VS Code keeps hosts of windows that are gone. */
async function isSeen(): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), answerTime);
  });
  const answered = Promise.resolve(vscode.commands.executeCommand('setContext', 'branchline.seenAt', Date.now())).then(
    () => true,
    () => false,
  );
  return Promise.race([answered, late]).finally(() => clearTimeout(timer));
}

/** The welcome views ask for it: there is nothing to queue on without a repository. */
function setRepositoryContext(found: boolean): void {
  void vscode.commands.executeCommand('setContext', 'branchline.hasRepository', found);
  void vscode.commands.executeCommand('setContext', 'branchline.noRepository', !found);
}

export async function deactivate(): Promise<void> {
  await running?.dispose();
  running = undefined;
}
