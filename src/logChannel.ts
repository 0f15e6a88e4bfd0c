/** The log of "Branchline: Show Log": levels as VS Code has them, no secrets, and its last lines for a problem report. */
import * as vscode from 'vscode';
import { type Log, secretsOf, withoutSecrets } from './platform/log.ts';

const linesKept = 200;

export class LogChannel implements vscode.Disposable {
  readonly #channel = vscode.window.createOutputChannel('Branchline', { log: true });
  readonly #lines: string[] = [];
  /** Environments of agents, as the settings give them. */
  environments: () => Iterable<Readonly<Record<string, string>>> = () => [];

  readonly write: Log = (message, level = 'info') => {
    const clean = withoutSecrets(message, this.secrets());
    this.#channel[level](clean);
    this.#lines.push(`${new Date().toISOString()} [${level}] ${clean}`);
    if (this.#lines.length > linesKept) this.#lines.shift();
  };

  /** Values that no log and no report may hold. */
  secrets(): string[] {
    return [process.env, ...this.environments()].flatMap(secretsOf);
  }

  /** The last lines, oldest first. */
  get tail(): readonly string[] {
    return this.#lines;
  }

  show(): void {
    this.#channel.show();
  }

  dispose(): void {
    this.#channel.dispose();
  }
}
