/** Small pieces of the page. */
import { html, nothing, type TemplateResult } from 'lit';
import { clockTime, duration } from '../../sessions/words.ts';
import type { Row } from '../protocol.ts';

export const icon = (name: string, extra = ''): TemplateResult =>
  html`<span class="codicon codicon-${name} ${extra}" aria-hidden="true"></span>`;

/** A button with an icon; `label` is its name and its tooltip. */
export function iconButton(
  name: string,
  label: string,
  onClick: (event: Event) => void,
  options: { disabled?: boolean; pressed?: boolean; className?: string } = {},
): TemplateResult {
  return html`<button type="button" class="icon-button ${options.className ?? ''}" title=${label} aria-label=${label}
    aria-pressed=${options.pressed === undefined ? nothing : String(options.pressed)} ?disabled=${options.disabled ?? false} @click=${onClick}>${icon(name)}</button>`;
}

const endedIcons = { failed: 'error', cancelled: 'circle-slash', interrupted: 'debug-disconnect' } as const;
const completedIcons = { commit: 'git-commit', note: 'note', review: 'eye' } as const;

/** The icon of a row, by kind and state (requirement 2). */
export function rowIcon(row: Row): TemplateResult {
  if (row.state === 'queued') return icon('clock', 'state-queued');
  if (row.permission) return icon('shield', 'state-asks');
  if (row.state === 'starting' || row.state === 'running') return icon('loading', 'codicon-modifier-spin state-running');
  if (row.held) return icon('warning', 'state-held');
  if (row.state === 'completed') return icon(completedIcons[row.kind], 'state-completed');
  return icon(endedIcons[row.state], `state-${row.state}`);
}

/** Since when, or how long; calm: no finer than half minutes while it runs. */
export function timeOf(row: Row, now: number): string {
  if (row.state === 'queued') return '';
  if (row.startedAt === null) return '';
  if (row.endedAt !== null) return duration(row.endedAt - row.startedAt);
  return now - row.startedAt < clockTime ? '' : duration(now - row.startedAt);
}

export function statsOf(row: Row): TemplateResult | typeof nothing {
  const { stats } = row;
  if (!stats || (stats.files === 0 && stats.commits === 0 && stats.tokens === undefined)) return nothing;
  return html`<span class="stats">
    ${stats.commits > 0 ? html`<span>${stats.commits === 1 ? '1 commit' : `${stats.commits} commits`}</span>` : nothing}
    ${stats.files > 0 ? html`<span>${stats.files === 1 ? '1 file' : `${stats.files} files`} +${stats.insertions} −${stats.deletions}</span>` : nothing}
    ${stats.tokens === undefined ? nothing : html`<span>${stats.tokens.toLocaleString('en')} tokens</span>`}
    ${stats.cost === undefined ? nothing : html`<span>${stats.cost}</span>`}
  </span>`;
}
