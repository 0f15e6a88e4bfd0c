import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporaryFolder.ts';

/** Ways round `src/surfaces.ts`, one a line. */
const ways = [
  "import { window } from 'vscode';",
  "import { type Uri, window as other } from 'vscode';",
  'vscode.window.showInformationMessage(text);',
  'vscode.window.showWarningMessage(text, { modal: true });',
  "vscode.window?.showErrorMessage(text, 'x');",
  'vscode.window.showQuickPick(text);',
  'vscode.window.createQuickPick();',
  'vscode.window.showInputBox();',
  'vscode.window.createInputBox();',
  'vscode.window.createTerminal(text);',
  'vscode.window.withProgress(text, text);',
  'vscode.window.setStatusBarMessage(text);',
  'vscode.window.createStatusBarItem(text);',
  'const show = vscode.window.showErrorMessage;',
  "vscode.window['showErrorMessage'](text);",
  'const { showErrorMessage } = vscode.window;',
  'const { showErrorMessage: tell } = vscode.window;',
  'new vscode.MarkdownString(text);',
  'new vscode.TreeItem(text);',
  "vscode.commands.executeCommand('vscode.changes', text, []);",
  "vscode.commands.executeCommand('vscode.diff', a, b, text);",
];

describe('The lint rule for invariant 14', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  after(removeTemporaryFolders);

  /** Lines of each file that the rule finds fault with, with this project's configuration. */
  function faults(files: Record<string, readonly string[]>): Record<string, number[]> {
    const folder = temporaryFolder();
    const config = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8')) as Record<string, unknown>;
    writeFileSync(join(folder, 'biome.json'), JSON.stringify({ ...config, $schema: undefined, vcs: undefined }));
    cpSync(join(root, 'scripts/lint'), join(folder, 'scripts/lint'), { recursive: true });
    for (const [path, lines] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), lines.map((line) => `${line}\n`).join(''));
    }
    const biome = createRequire(import.meta.url).resolve('@biomejs/biome/bin/biome');
    const { stdout } = spawnSync(process.execPath, [biome, 'lint', '--reporter=github', '--max-diagnostics=none', '.'], {
      cwd: folder,
      encoding: 'utf8',
    });
    const found = stdout.matchAll(/^::error title=plugin,file=([^,]+),line=(\d+).*made inert/gm);
    const lines: Record<string, number[]> = {};
    for (const [, path, line] of found) {
      const name = relative(folder, path as string).replaceAll('\\', '/');
      lines[name] = [...(lines[name] ?? []), Number(line)];
    }
    return lines;
  }

  it('finds every way round the one place that shows words, and leaves that place alone', () => {
    const harmless = [
      'vscode.window.showTextDocument(uri);',
      "tell('error', text);",
      'const row: vscode.TreeItem = treeRow(words);',
    ];
    const found = faults({ 'src/commands/anything.ts': [...harmless, ...ways], 'src/surfaces.ts': ways });
    assert.deepEqual(Object.keys(found), ['src/commands/anything.ts']);
    assert.deepEqual(
      [...new Set(found['src/commands/anything.ts'])].sort((a, b) => a - b),
      ways.map((_, index) => harmless.length + index + 1),
    );
  });
});
