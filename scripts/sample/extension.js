/** Queues some work the first time the sample is opened, and shows the tree. */
const vscode = require('vscode');

const work = [
  {
    branch: 'feature/farewell',
    title: 'Write a farewell',
    prompt:
      'echo "export const farewell = (name) => \\`Goodbye, \\${name}.\\`;" > farewell.mjs\nsleep 15\necho "Wrote farewell.mjs"',
  },
  { branch: 'feature/farewell', title: 'Run the tests', kind: 'note', prompt: 'node --test' },
  { branch: 'feature/farewell', title: 'List what changed', kind: 'note', prompt: 'git log --oneline -3' },
  { branch: 'fix/greeting', title: 'Greet politely', prompt: 'sed "s/Hello/Good day/" greeting.mjs > polite.mjs\nsleep 30' },
  { branch: 'docs/tutorial', title: 'Write a tutorial', prompt: 'echo "# Tutorial" > TUTORIAL.md' },
  { branch: 'fix/greeting', title: 'Check it', kind: 'note', prompt: 'node --check polite.mjs' },
];

exports.activate = async () => {
  const api = await vscode.extensions.getExtension('branchline.branchline').activate();
  await vscode.commands.executeCommand('branchline.branches.focus');
  if (api.snapshot().branches.length > 0) return;
  for (const session of work) await api.queueSession(session);
};
