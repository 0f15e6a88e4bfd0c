/** The questions that commands ask, as quick picks and input boxes. */
import * as vscode from 'vscode';
import type { Catalog } from '../agents/catalog.ts';
import { Git } from '../git/git.ts';
import { branchNameProblem } from '../model/branchNames.ts';
import type { SessionKind } from '../model/types.ts';
import { askForLine, askForText, pick, type PickItem } from '../surfaces.ts';

const kinds: PickItem<SessionKind>[] = [
  {
    label: 'Commit',
    icon: 'git-commit',
    detail: 'The agent changes files; what it leaves behind is committed under the title',
    value: 'commit',
  },
  { label: 'Note', icon: 'note', detail: 'The agent works or answers; nothing is committed for it', value: 'note' },
  {
    label: 'Review',
    icon: 'eye',
    detail: "The agent looks at the branch's commits; nothing is committed for it",
    value: 'review',
  },
];

/** Undefined when the person leaves it. */
export function askForPrompt(options: { title: string; value?: string }): Promise<string | undefined> {
  return askForText({
    ...options,
    placeHolder: 'What should the agent do?',
    prompt: 'Enter accepts, Escape leaves everything as it was',
    problem: (text) => (text.trim() === '' ? 'Write what the agent should do.' : undefined),
  });
}

export async function askForKind(): Promise<SessionKind | undefined> {
  return (await pick(kinds, { title: 'Queue Session: kind', placeHolder: 'What kind of work is it?' }))?.value;
}

/**
 * The default agent comes first; with no other one nothing is asked. Where nobody has chosen yet, it is asked even when only the shell is
 * there: what is written for an agent is no script.
 */
export async function askForAgent(catalog: Catalog, defaultAgent: string): Promise<string | undefined> {
  const agents = catalog.all().sort((a, b) => Number(b.id === defaultAgent) - Number(a.id === defaultAgent));
  if (agents.length === 1 && agents[0]?.id === defaultAgent) return defaultAgent;
  const items: PickItem<string | undefined>[] = agents.map((agent) => ({
    label: agent.name,
    value: agent.id,
    ...(agent.builtIn ? { detail: 'Runs what you write as a script' } : {}),
    description:
      `${agent.id === defaultAgent ? 'default' : ''}${catalog.isInstalled(agent.id) ? '' : ' not installed: its turns wait'}`.trim(),
  }));
  if (defaultAgent === '')
    items.push({ label: 'Set Up an Agent…', icon: 'gear', detail: 'Opens the setting that names agents', value: undefined });
  const chosen = await pick(items, { title: 'Queue Session: agent', placeHolder: 'Which agent should do it?' });
  if (chosen && chosen.value === undefined)
    await vscode.commands.executeCommand('workbench.action.openSettings', 'branchline.agents');
  return chosen?.value;
}

export interface BranchChoice {
  /** Undefined: made from the prompt. */
  branch: string | undefined;
  base?: string | undefined;
}

/** Existing branches, a new one, or one made from the prompt. In an untrusted workspace git is not asked. */
export async function askForBranch(
  repository: string,
  known: readonly string[],
  trusted: boolean,
): Promise<BranchChoice | undefined> {
  const items: (PickItem<BranchChoice | 'new'> | string)[] = [
    { label: 'New branch named from the prompt', icon: 'sparkle', value: { branch: undefined } },
    { label: 'New branch…', icon: 'add', value: 'new' },
  ];
  const named = (name: string) => ({ label: name, icon: 'git-branch', value: { branch: name } });
  if (known.length > 0) items.push('In Branchline', ...known.map(named));
  const others = trusted ? (await branchesOf(repository)).filter((name) => !known.includes(name)) : [];
  if (others.length > 0) items.push('In the repository', ...others.map(named));
  const chosen = await pick(items, { title: 'Queue Session: branch', placeHolder: 'On which branch?' });
  if (chosen?.value !== 'new') return chosen?.value;
  const branch = await askForLine({
    title: 'Queue Session: new branch',
    placeHolder: 'feature/name',
    problem: (name) => {
      const problem = branchNameProblem(name);
      return problem && `This can't be the name of a branch: ${problem}.`;
    },
  });
  if (branch === undefined) return undefined;
  if (others.includes(branch) || known.includes(branch)) return { branch };
  const bases = [
    { label: 'HEAD', description: 'what is checked out now', value: undefined as string | undefined },
    ...others.map((name) => ({ label: name, value: name as string | undefined })),
  ];
  if (bases.length === 1) return { branch };
  const base = await pick(bases, {
    title: `Queue Session: base of ${branch}`,
    placeHolder: 'From where should it start?',
  });
  return base && { branch, base: base.value };
}

async function branchesOf(repository: string): Promise<string[]> {
  try {
    const output = await new Git(repository).run(
      'for-each-ref',
      '--sort=-committerdate',
      '--count=200',
      '--format=%(refname:short)',
      'refs/heads',
    );
    return output.split('\n').filter((name) => name !== '');
  } catch {
    return []; // Without git, names can still be typed.
  }
}

export async function askForRepository(repositories: readonly string[]): Promise<string | undefined> {
  if (repositories.length <= 1) return repositories[0];
  const items = repositories.map((path) => ({ label: vscode.workspace.asRelativePath(path), description: path, value: path }));
  return (await pick(items, { title: 'Queue Session: repository', placeHolder: 'In which repository?' }))?.value;
}
