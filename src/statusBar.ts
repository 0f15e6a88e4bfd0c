/** The status bar item. */
import * as vscode from 'vscode';
import { Batch } from './platform/batch.ts';
import type { Engine } from './sessions/engine.ts';
import { type StatusText, statusText } from './statusText.ts';

export class StatusBar implements vscode.Disposable {
  readonly #item: vscode.StatusBarItem;
  readonly #engine: Engine;
  readonly #listener: { dispose(): void };
  readonly #drawing = new Batch(50, () => this.#draw());
  target: StatusText['target'];

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#item = vscode.window.createStatusBarItem('branchline.status', vscode.StatusBarAlignment.Left, 50);
    this.#item.name = 'Branchline';
    this.#item.command = 'branchline.showWhatNeedsYou';
    this.#listener = engine.onDidChange(() => this.#drawing.schedule());
    void engine.opened.then(() => this.#draw());
  }

  #draw(): void {
    const status = statusText(this.#engine.state, this.#engine.readOnlyReason !== undefined);
    this.target = status?.target;
    if (!status) {
      this.#item.hide();
      return;
    }
    this.#item.text = status.text;
    this.#item.tooltip = status.tooltip;
    this.#item.accessibilityInformation = { label: `Branchline: ${status.text.replace(/\$\([^)]*\) ?/g, '')}`, role: 'button' };
    this.#item.backgroundColor = status.warning ? new vscode.ThemeColor('statusBarItem.warningBackground') : undefined;
    this.#item.show();
  }

  dispose(): void {
    this.#drawing.dispose();
    this.#listener.dispose();
    this.#item.dispose();
  }
}
