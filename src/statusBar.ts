/** The status bar item. */
import type * as vscode from 'vscode';
import { Batch } from './platform/batch.ts';
import type { Engine } from './sessions/engine.ts';
import { type StatusText, statusText } from './statusText.ts';
import { StatusItem } from './surfaces.ts';

export class StatusBar implements vscode.Disposable {
  readonly #item = new StatusItem('branchline.status', 'Branchline', 'branchline.showWhatNeedsYou', 50);
  readonly #engine: Engine;
  readonly #listener: { dispose(): void };
  readonly #drawing = new Batch(50, () => this.#draw());
  target: StatusText['target'];

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#listener = engine.onDidChange(() => this.#drawing.schedule());
    void engine.opened.then(() => this.#draw());
  }

  #draw(): void {
    const { state, catalog, readOnlyReason } = this.#engine;
    const nameOf = (id: string) => catalog.find(id)?.name ?? id;
    const status = statusText(state, readOnlyReason !== undefined, { nameOf, now: Date.now() });
    this.target = status?.target;
    if (status) this.#item.show(status);
    else this.#item.hide();
  }

  dispose(): void {
    this.#drawing.dispose();
    this.#listener.dispose();
    this.#item.dispose();
  }
}
