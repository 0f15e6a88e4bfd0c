/** The sidebar tree: reads the store, redraws the rows that a change touched, follows drags. */
import * as vscode from 'vscode';
import * as z from 'zod';
import { BranchlineError, RefusedError } from '../model/errors.ts';
import { isPreparing } from '../model/transitions.ts';
import { Batch } from '../platform/batch.ts';
import { clockTime, needsMending } from '../sessions/words.ts';
import type { Engine } from '../sessions/engine.ts';
import { unavailableAgents } from '../sessions/unavailableAgents.ts';
import { emptyRow, setViewMessage, tell, treeRow } from '../surfaces.ts';
import { dropOn } from './moves.ts';
import { branchesOf, childrenOf, endedAtFirst, type Node, rootsOf, shownBranches, type TurnNode } from './nodes.ts';
import { type PresentationContext, rowOf } from './presentation.ts';

const mimeType = 'application/vnd.code.tree.branchline.branches';
const earlierAtOnce = 50;
const redrawTime = 50;

export class BranchesView implements vscode.TreeDataProvider<Node>, vscode.TreeDragAndDropController<Node>, vscode.Disposable {
  readonly dropMimeTypes = [mimeType];
  readonly dragMimeTypes = [mimeType];
  readonly #engine: Engine;
  readonly #redraw = new vscode.EventEmitter<Node | Node[] | undefined>();
  readonly onDidChangeTreeData = this.#redraw.event;
  readonly view: vscode.TreeView<Node>;
  readonly #nodes = new Map<string, Node>();
  readonly #endedShown = new Map<string, number>();
  /** Rows that were shown open: VS Code would close one under the reader's eyes whose state says so later. */
  readonly #expanded = new Set<string>();
  /** Branches that were there when the tree was first drawn: those that come later are shown open, however fast their work ends. */
  #atFirst: ReadonlySet<string> | undefined;
  readonly #disposables: vscode.Disposable[] = [];
  #dirty = new Set<string>();
  #allDirty = false;
  readonly #drawing = new Batch(redrawTime, () => this.#draw());
  readonly #clock: NodeJS.Timeout;
  #rootKeys = '';
  #context: PresentationContext | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.view = vscode.window.createTreeView('branchline.branches', {
      treeDataProvider: this,
      dragAndDropController: this,
      showCollapseAll: true,
      canSelectMany: true,
    });
    this.#disposables.push(
      this.view,
      this.#redraw,
      engine.onDidChange((change) => {
        if (change.branches.size === 0) this.#allDirty = true;
        for (const id of change.branches) this.#dirty.add(id);
        this.#drawing.schedule();
      }),
      this.view.onDidChangeSelection(({ selection }) => this.#seen(selection)),
      this.view.onDidChangeVisibility(() => this.#drawing.schedule()),
    );
    this.#clock = setInterval(() => {
      if (!this.view.visible) return;
      for (const turn of engine.state.active()) this.#dirty.add(turn.branchId);
      for (const branch of engine.state.branches()) if (isPreparing(branch)) this.#dirty.add(branch.id);
      if (this.#dirty.size > 0) this.#drawing.schedule();
    }, clockTime);
    void engine.opened.then(() => {
      this.#allDirty = true;
      this.#drawing.schedule();
    });
  }

  /** One line for each agent that can't work now, however many branches wait for it. */
  #waitsForAgents(): string | undefined {
    const { state, catalog } = this.#engine;
    const lines = unavailableAgents(state, { nameOf: (id) => catalog.find(id)?.name ?? id, now: Date.now() });
    return lines.length > 0 ? lines.map(({ words }) => words).join(' ') : undefined;
  }

  #draw(): void {
    const { state } = this.#engine;
    this.#context = undefined;
    setViewMessage(this.view, this.#engine.readOnlyReason ?? this.#waitsForAgents());
    const waiting = Array.from(state.asking()).length;
    const failed = shownBranches(state).filter((branch) => needsMending(branch) || state.held(branch.id).length > 0).length;
    const needs = waiting + failed;
    this.view.badge =
      needs > 0 ? { value: needs, tooltip: needs === 1 ? '1 thing needs you' : `${needs} things need you` } : undefined;
    if (!this.view.visible) return;
    const rootKeys = rootsOf(state).map(keyOf).join('\n');
    const dirty = this.#dirty;
    this.#dirty = new Set();
    const all = this.#allDirty || rootKeys !== this.#rootKeys;
    this.#allDirty = false;
    this.#rootKeys = rootKeys;
    if (all) {
      this.#redraw.fire(undefined);
      return;
    }
    const nodes = Array.from(dirty).flatMap((branchId) => this.#nodes.get(`branch:${branchId}`) ?? []);
    if (nodes.length > 0) this.#redraw.fire(nodes);
  }

  /** The same object for the same thing, each time: VS Code knows rows by it. */
  #known(node: Node): Node {
    const key = keyOf(node);
    const known = this.#nodes.get(key);
    if (known && node.type !== 'earlier') return known;
    this.#nodes.set(key, node);
    return node;
  }

  async getChildren(node?: Node): Promise<Node[]> {
    await this.#engine.opened;
    const { state } = this.#engine;
    this.#atFirst ??= new Set(Array.from(state.branches(), ({ id }) => id));
    const found = !node
      ? rootsOf(state)
      : node.type === 'repository'
        ? branchesOf(state, node.repository)
        : node.type === 'branch'
          ? childrenOf(state, node.branchId, this.#endedShown.get(node.branchId) ?? endedAtFirst)
          : [];
    return found.map((one) => this.#known(one));
  }

  getParent(node: Node): Node | undefined {
    if (node.type === 'repository') return undefined;
    if (node.type !== 'branch') return this.#known({ type: 'branch', branchId: node.branchId });
    const repository = this.#engine.state.branch(node.branchId)?.repository;
    const root = rootsOf(this.#engine.state).find((one) => one.type === 'repository' && one.repository === repository);
    return root && this.#known(root);
  }

  getTreeItem(node: Node): vscode.TreeItem {
    this.#context ??= {
      state: this.#engine.state,
      queue: this.#engine.queueSnapshot(),
      now: Date.now(),
      agentName: (id) => this.#engine.catalog.find(id)?.name ?? id,
    };
    const row = rowOf(node, this.#context);
    if (!row) return emptyRow();
    const isNew = node.type === 'branch' && this.#atFirst?.has(node.branchId) === false;
    if (row.collapsible === 'expanded' || isNew) this.#expanded.add(row.id);
    const item = treeRow(this.#expanded.has(row.id) ? { ...row, collapsible: 'expanded' } : row);
    item.contextValue = `.${row.flags.join('.')}.`;
    if (node.type === 'earlier') item.command = { command: 'branchline.showEarlier', title: 'Show Earlier', arguments: [node] };
    if (node.type === 'turn') item.command = { command: 'branchline.openTimeline', title: 'Open', arguments: [node] };
    if (node.type === 'worktree' && row.flags.includes('retry'))
      item.command = { command: 'branchline.showSetupLog', title: 'Show Setup Log', arguments: [node] };
    return item;
  }

  handleDrag(nodes: readonly Node[], data: vscode.DataTransfer): void {
    const turns = nodes.flatMap((node) => (node.type === 'turn' ? [node.turnId] : []));
    if (turns.length > 0) data.set(mimeType, new vscode.DataTransferItem(turns));
  }

  async handleDrop(target: Node | undefined, data: vscode.DataTransfer): Promise<void> {
    const dropped = z.array(z.string()).safeParse(data.get(mimeType)?.value);
    if (!dropped.success) return;
    try {
      const { queue } = await this.#engine.owner();
      const { state } = this.#engine;
      const plan = dropOn(target, dropped.data, {
        branch: (id) => state.branch(id),
        turn: (id) => state.turn(id),
        line: (id) => state.line(id),
        titleOf: (turn) => state.session(turn.sessionId)?.title ?? 'This turn',
      });
      if ('refused' in plan) throw new RefusedError(plan.refused);
      for (const { turnId, before } of plan.moves) await queue.move(turnId, { before });
    } catch (error) {
      if (!(error instanceof BranchlineError)) throw error;
      void tell('error', error.message);
    }
  }

  showEarlier(branchId: string): void {
    this.#endedShown.set(branchId, (this.#endedShown.get(branchId) ?? endedAtFirst) + earlierAtOnce);
    this.#dirty.add(branchId);
    this.#drawing.schedule();
  }

  /** Shows and selects a branch or turn; its row may have come into being a moment ago. */
  async reveal(target: { branchId: string; turnId?: string | undefined }, options: { focus: boolean }): Promise<void> {
    const turn = target.turnId ? this.#engine.state.turn(target.turnId) : undefined;
    const node: Node = turn
      ? { type: 'turn', branchId: turn.branchId, sessionId: turn.sessionId, turnId: turn.id }
      : { type: 'branch', branchId: target.branchId };
    await this.view.reveal(this.#known(node), { select: true, focus: options.focus, expand: true });
  }

  get selection(): readonly Node[] {
    return this.view.selection;
  }

  /** Looking at something takes the mark off it (requirement 53). */
  #seen(nodes: readonly Node[]): void {
    const queue = this.#engine.ownerNow?.queue;
    for (const node of nodes) {
      if (node.type === 'turn') void queue?.markSeen({ sessionId: node.sessionId }).catch(() => undefined); // The mark stays; nothing is lost.
      if (node.type === 'branch' || node.type === 'worktree')
        void queue?.markSeen({ branchId: node.branchId }).catch(() => undefined);
    }
  }

  dispose(): void {
    this.#drawing.dispose();
    clearInterval(this.#clock);
    for (const one of this.#disposables) one.dispose();
  }
}

function keyOf(node: Node): string {
  switch (node.type) {
    case 'repository':
      return `repository:${node.repository}`;
    case 'turn':
      return `turn:${node.turnId}`;
    default:
      return `${node.type}:${node.branchId}`;
  }
}

export type { Node, TurnNode };
