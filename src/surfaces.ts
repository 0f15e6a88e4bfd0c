/**
 * The one place that shows words in VS Code's own surfaces: messages, picks, input boxes, rows, the status bar, terminals, titles. Words
 * come in as they are and leave inert (invariant 14); a lint rule keeps everything else in `src` from going round it.
 */
import * as vscode from 'vscode';
import { inertButton, inertHint, inertLabel, inertLine, inertLines, inertMessage, inertName } from './model/inertText.ts';
import { insertedLength, marked, markFor, pasteBetween, unmarked, withLines } from './model/typedLines.ts';

const messages = {
  information: vscode.window.showInformationMessage,
  warning: vscode.window.showWarningMessage,
  error: vscode.window.showErrorMessage,
} as const;
export type Severity = keyof typeof messages;

export interface Choice<T> {
  label: string;
  value: T;
}
const choiceOf = (choice: string | Choice<string>): Choice<string> =>
  typeof choice === 'string' ? { label: choice, value: choice } : choice;

/** A toast. Resolves with what was chosen, whatever its label looks like; undefined when it was closed. */
export async function tell<T = string>(
  severity: Severity,
  message: string,
  ...choices: readonly (T extends string ? string | Choice<T> : Choice<T>)[]
): Promise<T | undefined> {
  const items = choices.map((choice) => {
    const { label, value } = choiceOf(choice as string | Choice<string>);
    return { title: inertButton(label), value: value as T };
  });
  return (await messages[severity](inertMessage(message), ...items))?.value;
}

/** A question that holds everything up. Each fact has a line of its own. */
export async function confirm(question: string, facts: readonly string[], action: string): Promise<boolean> {
  const item = { title: inertButton(action) };
  const options = { modal: true, detail: inertLines(facts) };
  return (await messages.warning(inertLine(question), options, item)) === item;
}

export interface PickItem<T> {
  label: string;
  icon?: string;
  description?: string;
  detail?: string;
  value: T;
}
export interface PickOptions {
  title?: string;
  placeHolder: string;
}

/** A string between the items is a heading. */
export async function pick<T>(items: readonly (PickItem<T> | string)[], options: PickOptions): Promise<{ value: T } | undefined> {
  const shown = items.map((item) =>
    typeof item === 'string' ? { label: inertLabel(item), kind: vscode.QuickPickItemKind.Separator } : shownItem(item),
  );
  const chosen = await vscode.window.showQuickPick(shown, { ...shownOptions(options), matchOnDescription: true });
  return chosen && 'value' in chosen ? { value: chosen.value as T } : undefined;
}

export async function pickSeveral<T>(items: readonly PickItem<T>[], options: PickOptions): Promise<T[] | undefined> {
  const chosen = await vscode.window.showQuickPick(items.map(shownItem), { ...shownOptions(options), canPickMany: true });
  return chosen?.map(({ value }) => value);
}

const shownItem = <T>({ label, icon, description, detail, value }: PickItem<T>) => ({
  label: inertLabel(label, icon),
  ...(description === undefined ? {} : { description: inertLabel(description) }),
  ...(detail === undefined ? {} : { detail: inertLabel(detail) }),
  value,
});

const shownOptions = ({ title, placeHolder }: PickOptions) => ({
  ...(title === undefined ? {} : { title: inertLabel(title) }),
  placeHolder: inertLine(placeHolder),
});

export interface Question {
  title: string;
  placeHolder: string;
  prompt?: string;
  /** What is wrong with the text, as a sentence. */
  problem: (text: string) => string | undefined;
}

/** One line of text; undefined when the person leaves it. */
export function askForLine({ title, placeHolder, prompt, problem }: Question): Thenable<string | undefined> {
  return vscode.window.showInputBox({
    title: inertLabel(title),
    placeHolder: inertLine(placeHolder),
    ...(prompt === undefined ? {} : { prompt: inertHint(prompt) }),
    ignoreFocusOut: true,
    validateInput: (text) => {
      const found = problem(text);
      return found && inertHint(found);
    },
  });
}

/** A text whose line breaks live: those it has, and those that are pasted. Undefined when the person leaves it. */
export function askForText(question: Question & { value?: string }): Promise<string | undefined> {
  const box = vscode.window.createInputBox();
  const { value = '', prompt = '' } = question;
  const mark = markFor(value);
  const look = () => {
    const found = question.problem(unmarked(box.value, mark));
    box.validationMessage = found && inertHint(found);
    box.prompt = inertHint(box.value.includes(mark) ? `${mark} is a line break. ${prompt}` : prompt);
  };
  box.title = inertLabel(question.title);
  box.placeholder = inertLine(question.placeHolder);
  box.ignoreFocusOut = true;
  box.value = marked(value, mark);
  box.prompt = inertHint(box.value.includes(mark) ? `${mark} is a line break. ${prompt}` : prompt);
  let before = box.value;
  let looking: Promise<void> = Promise.resolve();
  return new Promise((resolve) => {
    const disposables: vscode.Disposable[] = [
      box,
      box.onDidChangeValue((now) => {
        const was = before;
        before = now;
        look();
        // One character at a time is typed. More may be a paste, whose line breaks only the clipboard still has.
        if (insertedLength(was, now) < 2) return;
        looking = looking.then(async () => {
          const pasted = pasteBetween(was, now, await vscode.env.clipboard.readText());
          if (!pasted) return;
          box.value = withLines(box.value, pasted, mark);
          before = box.value;
          look();
        });
        looking = looking.catch(() => undefined); // A clipboard that can't be read leaves the text as it is in the box.
      }),
      box.onDidAccept(async () => {
        await looking;
        const text = unmarked(box.value, mark);
        look();
        if (question.problem(text) !== undefined) return;
        resolve(text);
        box.hide();
      }),
      box.onDidHide(() => {
        resolve(undefined);
        for (const one of disposables) one.dispose();
      }),
    ];
    box.show();
  });
}

export function openTerminal(name: string, cwd: string): void {
  vscode.window.createTerminal({ name: inertName(name), cwd }).show();
}

/** Files side by side: what each is called, and what it was and is. */
export async function showChanges(
  title: string,
  resources: readonly (readonly [vscode.Uri, vscode.Uri | undefined, vscode.Uri | undefined])[],
): Promise<void> {
  await vscode.commands.executeCommand('vscode.changes', inertLabel(title), resources);
}

export interface StatusWords {
  icon: string;
  text: string;
  tooltip: string;
  warning: boolean;
}

/** An item of the status bar. */
export class StatusItem implements vscode.Disposable {
  readonly #item: vscode.StatusBarItem;
  readonly #name: string;

  constructor(id: string, name: string, command: string, priority: number) {
    this.#item = vscode.window.createStatusBarItem(id, vscode.StatusBarAlignment.Left, priority);
    this.#item.name = name;
    this.#item.command = command;
    this.#name = name;
  }

  show({ icon, text, tooltip, warning }: StatusWords): void {
    this.#item.text = inertLabel(text, icon);
    this.#item.tooltip = inertLines([tooltip]);
    this.#item.accessibilityInformation = { label: inertLine(`${this.#name}: ${text}`), role: 'button' };
    this.#item.backgroundColor = warning ? new vscode.ThemeColor('statusBarItem.warningBackground') : undefined;
    this.#item.show();
  }

  hide(): void {
    this.#item.hide();
  }

  dispose(): void {
    this.#item.dispose();
  }
}

export interface RowWords {
  id: string;
  label: string;
  description: string;
  icon: string;
  colour?: string;
  /** Facts, each on a line of its own. */
  tooltip: readonly string[];
  accessibleLabel: string;
  collapsible: 'none' | 'expanded' | 'collapsed';
}

/** A row of a tree. Its tooltip is a string: as Markdown it would make links of addresses. */
export function treeRow(row: RowWords): vscode.TreeItem {
  const item = new vscode.TreeItem(
    inertLine(row.label),
    {
      none: vscode.TreeItemCollapsibleState.None,
      expanded: vscode.TreeItemCollapsibleState.Expanded,
      collapsed: vscode.TreeItemCollapsibleState.Collapsed,
    }[row.collapsible],
  );
  item.id = row.id;
  item.description = inertLine(row.description);
  item.iconPath = new vscode.ThemeIcon(row.icon, row.colour ? new vscode.ThemeColor(row.colour) : undefined);
  item.tooltip = inertLines(row.tooltip);
  item.accessibilityInformation = { label: inertLine(row.accessibleLabel) };
  return item;
}

/** A row of what is gone already. */
export const emptyRow = (): vscode.TreeItem => new vscode.TreeItem('');

/** What a view says above or in place of its rows. */
export function setViewMessage(view: vscode.TreeView<unknown>, message: string | undefined): void {
  view.message = message === undefined ? '' : inertMessage(message);
}
