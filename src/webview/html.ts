/** The page: nothing from outside, one script with a nonce, no inline style or script. */
import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';

export function pageOf(webview: vscode.Webview, dist: vscode.Uri, where: 'sidebar' | 'editor'): string {
  const nonce = randomBytes(18).toString('base64');
  const at = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(dist, name)).toString();
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src ${webview.cspSource}; font-src ${webview.cspSource}; img-src data:;`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${at('style.css')}">
<title>Branchline Timeline</title>
</head>
<body data-where="${where}">
<branchline-timeline></branchline-timeline>
<script nonce="${nonce}" src="${at('timeline.js')}"></script>
</body>
</html>`;
}
