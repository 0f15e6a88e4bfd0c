/** The timeline in Branchline's container, and the same as an editor tab. */
import * as vscode from 'vscode';
import { pageOf } from './html.ts';
import { TimelineHost, type TimelineHostOptions } from './timelineHost.ts';

export const timelineViewId = 'branchline.timeline';
const panelType = 'branchline.timelineEditor';

export class TimelineView implements vscode.WebviewViewProvider, vscode.WebviewPanelSerializer, vscode.Disposable {
  readonly #dist: vscode.Uri;
  readonly #options: Omit<TimelineHostOptions, 'requests'> & { requests: Omit<TimelineHostOptions['requests'], 'openInEditor'> };
  readonly #disposables: vscode.Disposable[];
  #view: { view: vscode.WebviewView; host: TimelineHost } | undefined;
  #panel: { panel: vscode.WebviewPanel; host: TimelineHost } | undefined;
  #waiting: Parameters<TimelineHost['reveal']>[0] | undefined;

  constructor(
    dist: vscode.Uri,
    options: Omit<TimelineHostOptions, 'requests'> & { requests: Omit<TimelineHostOptions['requests'], 'openInEditor'> },
  ) {
    this.#dist = dist;
    this.#options = options;
    this.#disposables = [
      vscode.window.registerWebviewViewProvider(timelineViewId, this),
      vscode.window.registerWebviewPanelSerializer(panelType, this),
    ];
  }

  #host(webview: vscode.Webview, where: 'sidebar' | 'editor'): TimelineHost {
    webview.options = { enableScripts: true, localResourceRoots: [this.#dist], enableCommandUris: false };
    const host = new TimelineHost(webview, {
      ...this.#options,
      requests: { ...this.#options.requests, openInEditor: () => this.openInEditor() },
    });
    webview.html = pageOf(webview, this.#dist, where);
    return host;
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    const host = this.#host(view.webview, 'sidebar');
    this.#view = { view, host };
    view.onDidChangeVisibility(() => host.setVisible(view.visible));
    view.onDidDispose(() => {
      host.dispose();
      this.#view = undefined;
    });
    if (this.#waiting) host.reveal(this.#waiting);
    this.#waiting = undefined;
  }

  async deserializeWebviewPanel(panel: vscode.WebviewPanel): Promise<void> {
    this.#adopt(panel);
  }

  openInEditor(): void {
    if (this.#panel) this.#panel.panel.reveal();
    else
      this.#adopt(
        vscode.window.createWebviewPanel(panelType, 'Branchline Timeline', vscode.ViewColumn.Active, { enableFindWidget: true }),
      );
  }

  #adopt(panel: vscode.WebviewPanel): void {
    panel.iconPath = new vscode.ThemeIcon('list-flat') as unknown as vscode.Uri;
    const host = this.#host(panel.webview, 'editor');
    this.#panel = { panel, host };
    panel.onDidChangeViewState(() => host.setVisible(panel.visible));
    panel.onDidDispose(() => {
      host.dispose();
      this.#panel = undefined;
    });
  }

  /** Shows a branch or turn, in the editor tab when that is in view, else in the sidebar. */
  async reveal(
    target: { branchId?: string | undefined; turnId?: string | undefined; compose?: boolean; edit?: boolean },
    options: { preserveFocus?: boolean } = {},
  ): Promise<void> {
    if (this.#panel?.panel.visible) {
      this.#panel.host.reveal(target);
      return;
    }
    if (this.#view) {
      this.#view.host.reveal(target);
      this.#view.view.show(options.preserveFocus);
    } else {
      this.#waiting = target;
      await vscode.commands.executeCommand(`${timelineViewId}.focus`, { preserveFocus: options.preserveFocus });
    }
  }

  dispose(): void {
    this.#view?.host.dispose();
    this.#panel?.panel.dispose();
    for (const one of this.#disposables) one.dispose();
  }
}
