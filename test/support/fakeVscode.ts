/**
 * A small stand-in for `vscode`, for tests of what is said to people: it notes every word that is shown, and where, and what VS Code
 * would make of it there. Importing this file makes `vscode` mean it, for modules that are imported after (by `await import(...)`).
 * It knows no more of VS Code than `src` shows words with; the rest is tried in the real one (`test/host`, `test/ui`).
 */
import { registerHooks } from 'node:module';

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'vscode' ? { url: import.meta.url, shortCircuit: true } : next(specifier, context),
});

type Surface =
  | 'message'
  | 'modal'
  | 'button'
  | 'pick'
  | 'hint'
  | 'title'
  | 'placeHolder'
  | 'row'
  | 'tooltip'
  | 'status'
  | 'spoken'
  | 'terminal'
  | 'viewMessage'
  | 'command';

export interface Shown {
  surface: Surface;
  text: string;
  /** What a click on it would open or run. */
  links: string[];
  icons: string[];
  /** Letters that a key is taken for. */
  mnemonics: string[];
}

/** Where VS Code looks for links, for icons, for mnemonics. */
const withLinks: readonly Surface[] = ['message', 'hint', 'viewMessage'];
const withIcons: readonly Surface[] = ['pick', 'hint', 'title', 'status', 'terminal', 'button', 'command'];

const linksIn = (text: string): string[] =>
  Array.from(
    text.replace(/[\r\n]+/g, ' ').matchAll(/\[[^\]]+\]\(((?:https?:\/\/|command:|file:)[^)\s]+)(?: (?:"[^"]+"|'[^']+'))?\)/gi),
    ([, target]) => target as string,
  );
/** A backslash before it is taken as an escape. */
const iconsIn = (text: string): string[] =>
  Array.from(text.matchAll(/(\\?)\$\(([A-Za-z0-9-]+(?:~[A-Za-z]+)?)\)/g)).flatMap(([, before, icon]) =>
    before === '' ? [icon as string] : [],
  );
const mnemonicsIn = (text: string): string[] => Array.from(text.matchAll(/&&|&\S/g), ([one]) => one);

export const shown: Shown[] = [];

function show(surface: Surface, text: string | undefined): void {
  if (text === undefined) return;
  shown.push({
    surface,
    text,
    links: withLinks.includes(surface) ? linksIn(text) : [],
    icons: withIcons.includes(surface) ? iconsIn(text) : [],
    mnemonics: surface === 'button' ? mnemonicsIn(text) : [],
  });
}

/** What the person does; each is asked once and forgotten by `forget`. */
export const person: {
  /** Index of the button that is pressed. */
  press?: number | undefined;
  /** Index of the item that is picked. */
  pick?: number | undefined;
  clipboard: string;
} = { clipboard: '' };

export const ran: { command: string; args: unknown[] }[] = [];
const commandsKnown = new Map<string, (...args: unknown[]) => unknown>();

export function forget(): void {
  shown.length = 0;
  ran.length = 0;
  boxes.length = 0;
  watchers.length = 0;
  person.press = undefined;
  person.pick = undefined;
  person.clipboard = '';
}

/** Calls a command as VS Code does. */
export const run = (command: string, ...args: unknown[]): unknown => commandsKnown.get(command)?.(...args);

// ---- what `src` imports

export class EventEmitter<T> {
  readonly #listeners = new Set<(value: T) => unknown>();
  readonly event = (listener: (value: T) => unknown): { dispose(): void } => {
    this.#listeners.add(listener);
    return { dispose: () => void this.#listeners.delete(listener) };
  };
  get listened(): boolean {
    return this.#listeners.size > 0;
  }
  fire(value: T): void {
    for (const listener of [...this.#listeners]) listener(value);
  }
  dispose(): void {
    this.#listeners.clear();
  }
}

interface Button {
  title: string;
}

async function showMessage(message: string, ...rest: unknown[]): Promise<unknown> {
  const [first] = rest;
  const options = typeof first === 'object' && first !== null && 'modal' in first ? (first as { detail?: string }) : undefined;
  const buttons = (options ? rest.slice(1) : rest) as (string | Button)[];
  show(options ? 'modal' : 'message', message);
  show('modal', options?.detail);
  for (const button of buttons) show('button', typeof button === 'string' ? button : button.title);
  return person.press === undefined ? undefined : buttons[person.press];
}

export class InputBox {
  #value = '';
  #prompt = '';
  #validationMessage: string | undefined;
  title = '';
  placeholder = '';
  ignoreFocusOut = false;
  disposed = false;
  readonly changed = new EventEmitter<string>();
  readonly accepted = new EventEmitter<void>();
  readonly hidden = new EventEmitter<void>();
  readonly onDidChangeValue = this.changed.event;
  readonly onDidAccept = this.accepted.event;
  readonly onDidHide = this.hidden.event;
  get value(): string {
    return this.#value;
  }
  set value(text: string) {
    this.#value = text.replace(/[\r\n]+/g, ' ');
  }
  get prompt(): string {
    return this.#prompt;
  }
  set prompt(text: string) {
    this.#prompt = text;
    show('hint', text);
  }
  get validationMessage(): string | undefined {
    return this.#validationMessage;
  }
  set validationMessage(text: string | undefined) {
    this.#validationMessage = text;
    show('hint', text);
  }
  show(): void {
    show('title', this.title);
    show('placeHolder', this.placeholder);
  }
  hide(): void {
    this.hidden.fire();
  }
  dispose(): void {
    this.disposed = true;
  }
  /** The person types or pastes: the box has one line. */
  type(text: string): void {
    this.value = text;
    this.changed.fire(this.#value);
  }
}
export const boxes: InputBox[] = [];

export interface Watcher {
  pattern: string;
  created: EventEmitter<unknown>;
  deleted: EventEmitter<unknown>;
  disposed: boolean;
}
export const watchers: Watcher[] = [];

export const folders = new EventEmitter<unknown>();
export const windowState = new EventEmitter<{ focused: boolean }>();

interface Item {
  label: string;
  description?: string;
  detail?: string;
}

export const window = {
  showInformationMessage: showMessage,
  showWarningMessage: showMessage,
  showErrorMessage: showMessage,
  showQuickPick: async (items: Item[], options: { title?: string; placeHolder?: string; canPickMany?: boolean }) => {
    show('title', options.title);
    show('placeHolder', options.placeHolder);
    for (const { label, description, detail } of items) for (const text of [label, description, detail]) show('pick', text);
    const picked = person.pick === undefined ? undefined : items[person.pick];
    return options.canPickMany && picked ? [picked] : picked;
  },
  showInputBox: async (options: {
    title?: string;
    placeHolder?: string;
    prompt?: string;
    validateInput?: (text: string) => string | undefined;
  }) => {
    show('title', options.title);
    show('placeHolder', options.placeHolder);
    show('hint', options.prompt);
    show('hint', options.validateInput?.('[x](command:y)') ?? undefined);
    return undefined;
  },
  createInputBox: () => {
    const box = new InputBox();
    boxes.push(box);
    return box;
  },
  createStatusBarItem: () => ({
    name: '',
    text: '',
    tooltip: '' as unknown,
    accessibilityInformation: undefined as { label: string } | undefined,
    show(): void {
      show('status', this.text);
      if (typeof this.tooltip !== 'string') throw new Error('A tooltip that is Markdown makes links of bare addresses.');
      show('tooltip', this.tooltip);
      show('spoken', this.accessibilityInformation?.label);
    },
    hide(): void {},
    dispose(): void {},
  }),
  createTerminal: ({ name }: { name: string }) => {
    show('terminal', name);
    return { show(): void {} };
  },
  createTreeView: () => {
    const selection = new EventEmitter<{ selection: unknown[] }>();
    const visibility = new EventEmitter<{ visible: boolean }>();
    return {
      set message(text: string) {
        show('viewMessage', text);
      },
      visible: true,
      selection: [] as unknown[],
      onDidChangeSelection: selection.event,
      onDidChangeVisibility: visibility.event,
      dispose(): void {},
    };
  },
  onDidChangeWindowState: windowState.event,
  state: { focused: true },
};

export const commands = {
  registerCommand: (id: string, handler: (...args: unknown[]) => unknown) => {
    commandsKnown.set(id, handler);
    return { dispose: () => void commandsKnown.delete(id) };
  },
  executeCommand: async (command: string, ...args: unknown[]) => {
    ran.push({ command, args });
    for (const one of args) if (typeof one === 'string' && command.startsWith('vscode.')) show('command', one);
    return commandsKnown.get(command)?.(...args);
  },
};

export const env = {
  clipboard: {
    readText: async () => person.clipboard,
    writeText: async (text: string) => {
      person.clipboard = text;
    },
  },
};

interface FileSystem {
  readFile(address: object): Promise<Uint8Array>;
  stat(address: object): Promise<{ size: number }>;
}
export const fileSystems = new Map<string, FileSystem>();
export class FileSystemError extends Error {
  code = '';
  static FileNotFound(): FileSystemError {
    const error = new FileSystemError('not found');
    error.code = 'FileNotFound';
    return error;
  }
}
export const FileType = { File: 1 };
export const FilePermission = { Readonly: 1 };

export const workspace = {
  workspaceFolders: [] as { uri: { scheme: string; fsPath: string }; index: number }[],
  isTrusted: true,
  onDidChangeWorkspaceFolders: folders.event,
  getWorkspaceFolder: () => undefined,
  createFileSystemWatcher: (pattern: RelativePattern) => {
    const watcher: Watcher = {
      pattern: `${pattern.base}/${pattern.pattern}`,
      created: new EventEmitter(),
      deleted: new EventEmitter(),
      disposed: false,
    };
    watchers.push(watcher);
    return {
      onDidCreate: watcher.created.event,
      onDidDelete: watcher.deleted.event,
      dispose: () => {
        watcher.disposed = true;
      },
    };
  },
  registerFileSystemProvider: (scheme: string, provider: unknown) => {
    fileSystems.set(scheme, provider as FileSystem);
    return { dispose: () => void fileSystems.delete(scheme) };
  },
};

export class RelativePattern {
  readonly base: string;
  readonly pattern: string;
  constructor(base: { fsPath: string } | string, pattern: string) {
    this.base = typeof base === 'string' ? base : base.fsPath;
    this.pattern = pattern;
  }
}

export const Uri = { file: (path: string) => ({ scheme: 'file', path, fsPath: path, query: '' }) };

export class TreeItem {
  label: string;
  collapsibleState: number;
  constructor(label: string, collapsibleState = 0) {
    this.label = label;
    this.collapsibleState = collapsibleState;
  }
}

/** As VS Code draws a row that a tree gives it. */
export function drawRow(item: object): void {
  const { label, description, tooltip, accessibilityInformation } = item as {
    label: string;
    description?: string;
    tooltip?: unknown;
    accessibilityInformation?: { label: string };
  };
  show('row', label);
  show('row', description);
  if (tooltip !== undefined && typeof tooltip !== 'string')
    throw new Error('A tooltip that is Markdown makes links of bare addresses.');
  show('tooltip', tooltip);
  show('spoken', accessibilityInformation?.label);
}

export class ThemeIcon {
  readonly id: string;
  constructor(id: string) {
    this.id = id;
  }
}
export class ThemeColor extends ThemeIcon {}
export class DataTransferItem {
  readonly value: unknown;
  constructor(value: unknown) {
    this.value = value;
  }
}
export class DataTransfer extends Map<string, DataTransferItem> {}
export class Disposable {
  readonly dispose: () => void;
  constructor(dispose: () => void) {
    this.dispose = dispose;
  }
}
export const TreeItemCollapsibleState = { None: 0, Collapsed: 1, Expanded: 2 };
export const QuickPickItemKind = { Separator: -1, Default: 0 };
export const StatusBarAlignment = { Left: 1, Right: 2 };
