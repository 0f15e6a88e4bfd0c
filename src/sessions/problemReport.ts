/**
 * What somebody who looks into a problem needs: versions, states, the last events, the health of the files. Prompts, titles, paths
 * and names of branches are left out unless asked for; secrets always.
 */
import { readdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { withoutSecrets } from '../platform/log.ts';
import type { Engine } from './engine.ts';
import { sessionState } from './sessionState.ts';

export interface ReportOptions {
  engine: Engine | undefined;
  /** Name and version of everything that matters. */
  versions: Readonly<Record<string, string>>;
  /** Last lines of the log, oldest first. */
  log: readonly string[];
  /** Values that must never be in it. */
  secrets: readonly string[];
  /** Prompts and titles. */
  prompts: boolean;
  /** Paths, and names of branches and files. */
  paths: boolean;
}

const eventsShown = 100;
const turnsShown = 60;

/** The report as Markdown. */
export function problemReport({ engine, versions, log, secrets, prompts, paths }: ReportOptions): string {
  const clean = cleaner(engine, { prompts, paths, secrets });
  const sections = [
    '# Branchline problem report',
    '',
    `What is left out: ${[prompts ? '' : 'prompts and titles', paths ? '' : 'paths and names of branches', 'secrets'].filter(Boolean).join(', ')}. Read it before you share it.`,
    '',
    '## Versions',
    '',
    ...Object.entries(versions).map(([name, version]) => `- ${name}: ${version}`),
    '',
  ];
  if (engine) sections.push(...queueOf(engine, clean, { prompts, paths }), ...filesOf(engine));
  else sections.push('No folder is open.', '');
  sections.push('## Log', '', '```', ...log.map(clean), '```', '');
  return sections.join('\n');
}

function queueOf(
  engine: Engine,
  clean: (text: string) => string,
  { prompts, paths }: { prompts: boolean; paths: boolean },
): string[] {
  const { state, ownerNow, readOnlyReason } = engine;
  const numberOf = new Map(Array.from(state.branches(), (branch, index) => [branch.id, index + 1]));
  const lines = [
    '## Queue',
    '',
    `- ${ownerNow ? `owner, epoch ${ownerNow.store.epoch}, store ${ownerNow.store.mode}` : `only shown: ${clean(readOnlyReason ?? 'it is being opened')}`}`,
    `- ${state.counts.branches} branches, ${state.counts.sessions} sessions, ${state.counts.turns} turns`,
    '',
  ];
  for (const branch of state.branches()) {
    const words = [
      branch.worktreeState,
      branch.worktreeStep,
      branch.adopted ? 'adopted' : '',
      `paused ${branch.paused}`,
      `background setup ${branch.backgroundSetup}`,
    ]
      .filter(Boolean)
      .join(', ');
    lines.push(
      `- branch ${numberOf.get(branch.id)}${paths ? ` \`${branch.name}\` at \`${branch.worktreePath ?? 'nowhere'}\`` : ''}: ${words}${branch.worktreeError ? `; ${clean(branch.worktreeError.message)}` : ''}`,
    );
    const turns = state.sessionsOf(branch.id).flatMap((session) => state.turnsOf(session.id).map((turn) => ({ session, turn })));
    for (const { session, turn } of turns.slice(-turnsShown)) {
      lines.push(
        `  - turn ${turn.id} of a ${session.kind} by \`${session.agent}\` (${sessionState(session, state.turnsOf(session.id), branch)}): ${turn.state}, attempt ${turn.attempt}${turn.permission ? ', asks' : ''}${turn.error ? `; ${clean(turn.error.message)}` : ''}${prompts ? `; ${JSON.stringify(clean(turn.prompt.slice(0, 500)))}` : ''}`,
      );
    }
  }
  const events = ownerNow?.store.recentEvents(eventsShown) ?? [];
  return [
    ...lines,
    '',
    '## Last events',
    '',
    ...events.map(
      (event) =>
        `- ${new Date(event.at).toISOString()} ${event.kind}, branch ${numberOf.get(event.branchId) ?? 'gone'}${event.turnId ? `, turn ${event.turnId}` : ''}`,
    ),
    '',
  ];
}

function filesOf({ folder }: Engine): string[] {
  const lines = ['## Files', ''];
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) lines.push(`- ${entry.name}: ${readdirSync(join(folder, entry.name)).length} files`);
      else {
        const { size, mode } = statSync(join(folder, entry.name));
        lines.push(`- ${entry.name}: ${size} bytes, mode ${(mode & 0o777).toString(8)}`);
      }
    }
  } catch (error) {
    lines.push(`- not readable: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}`);
  }
  return [...lines, ''];
}

/** Takes out of a text what is not to be told; longer texts first, so that a name inside a path goes with its path. */
function cleaner(
  engine: Engine | undefined,
  { prompts, paths, secrets }: { prompts: boolean; paths: boolean; secrets: readonly string[] },
): (text: string) => string {
  const hidden = new Map<string, string>();
  const hide = (text: string | null | undefined, by: string) => {
    if (text && text.length > 2) hidden.set(text, by);
  };
  for (const branch of engine?.state.branches() ?? []) {
    if (paths) break;
    hide(branch.worktreePath, '(path)');
    hide(branch.repository, '(path)');
    hide(branch.name, '(branch)');
    hide(branch.base, '(branch)');
  }
  if (!prompts) {
    for (const session of engine?.state.sessions() ?? []) hide(session.title, '(title)');
    for (const turn of engine?.state.turns() ?? []) hide(turn.prompt, '(prompt)');
  }
  if (!paths) {
    hide(engine?.folder, '(storage)');
    hide(homedir(), '(home)');
  }
  const ordered = [...hidden].sort(([a], [b]) => b.length - a.length);
  return (text) => {
    let shown = text;
    for (const [from, to] of ordered) shown = shown.replaceAll(from, to);
    if (!paths) shown = shown.replace(/(?<![\w(:/])(?:[A-Za-z]:\\|\/)[^\s'"`:;,()]{2,}/g, '(path)');
    return withoutSecrets(shown, secrets);
  };
}
