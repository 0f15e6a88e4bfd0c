/** The status bar item. */
import * as vscode from 'vscode';
import type { Engine } from './sessions/engine.ts';
import { type StatusText, statusText } from './statusText.ts';

export class StatusBar implements vscode.Disposable {
  readonly #item: vscode.StatusBarItem;
  readonly #engine: Engine;
  readonly #listener: { dispose(): void };
  #timer: NodeJS.Timeout | undefined;
  target: StatusText['target'];

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#item = vscode.window.createStatusBarItem('branchline.status', vscode.StatusBarAlignment.Left, 50);
    this.#item.name = 'Branchline';
    this.#item.command = 'branchline.showWhatNeedsYou';
    this.#listener = engine.onDidChange(() => this.#schedule());
    void engine.opened.then(() => this.#draw());
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#draw();
    }, 50);
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
    clearTimeout(this.#timer);
    this.#listener.dispose();
    this.#item.dispose();
  }
}
