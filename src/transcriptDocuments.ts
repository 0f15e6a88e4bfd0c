/** Transcripts as read-only Markdown documents that follow what is written. */
import * as vscode from 'vscode';
import { RefusedError } from './model/errors.ts';
import { fileNameOf } from './model/inertText.ts';
import { transcriptMarkdown } from './model/transcriptMarkdown.ts';
import type { Engine } from './sessions/engine.ts';
import { readLast, transcriptPath } from './store/transcripts.ts';

const scheme = 'branchline-transcript';
const followTime = 250;
/** Of a long transcript a document shows the end; an editor bears no more. */
const shown = { count: 20_000, most: 8 * 1024 * 1024 };

export class TranscriptDocuments implements vscode.TextDocumentContentProvider, vscode.Disposable {
  readonly #engine: Engine | undefined;
  readonly #changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.#changed.event;
  readonly #disposables: { dispose(): void }[];
  readonly #due = new Map<string, NodeJS.Timeout>();

  constructor(engine: Engine | undefined) {
    this.#engine = engine;
    this.#disposables = [vscode.workspace.registerTextDocumentContentProvider(scheme, this), this.#changed];
    if (engine) this.#disposables.push(engine.onDidWrite(({ sessionId }) => this.#follow(sessionId)));
  }

  #uri(sessionId: string): vscode.Uri {
    const title = fileNameOf(this.#engine?.state.session(sessionId)?.title ?? '', 'Transcript');
    return vscode.Uri.from({ scheme, path: `/${title}.md`, query: sessionId });
  }

  #follow(sessionId: string): void {
    if (this.#due.has(sessionId)) return;
    const open = vscode.workspace.textDocuments.find(({ uri }) => uri.scheme === scheme && uri.query === sessionId);
    if (!open) return;
    this.#due.set(
      sessionId,
      setTimeout(() => {
        this.#due.delete(sessionId);
        this.#changed.fire(open.uri);
      }, followTime),
    );
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const session = this.#engine?.state.session(uri.query);
    if (!this.#engine || !session) return '# The transcript is not there any more\n';
    const { entries, left } = await readLast(transcriptPath(this.#engine.folder, session.id), shown);
    return transcriptMarkdown(session.title, entries, left);
  }

  async open(sessionId: string): Promise<void> {
    if (!this.#engine?.state.session(sessionId)) throw new RefusedError('This session is not there any more.');
    const document = await vscode.workspace.openTextDocument(this.#uri(sessionId));
    await vscode.window.showTextDocument(document, { preview: true });
    void this.#engine.ownerNow?.queue.markSeen({ sessionId }).catch(() => undefined); // The mark stays; nothing is lost.
  }

  dispose(): void {
    for (const timer of this.#due.values()) clearTimeout(timer);
    for (const one of this.#disposables) one.dispose();
  }
}
