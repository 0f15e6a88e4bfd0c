/** Rows of the timeline: turns, and worktrees that are being prepared. Pure: what happens on a click comes in as a context. */
import { html, nothing, type TemplateResult } from 'lit';
import { visible } from '../../model/visibleText.ts';
import type { BranchInfo, branchActions, Row, turnActions } from '../protocol.ts';
import { permissionButtons } from './conversation.ts';
import { plainOf } from './markdown.ts';
import { icon, iconButton, rowIcon, statsOf, timeOf } from './parts.ts';

export interface RowContext {
  now: number;
  readOnly: boolean;
  /** The session whose conversation is open. */
  selected: string | undefined;
  editing: { turnId: string; text: string } | undefined;
  open: (row: Row) => void;
  act: (action: (typeof turnActions)[number], row: Row) => void;
  edit: (row: Row) => void;
  typed: (text: string) => void;
  endEdit: (keep: boolean) => void;
  key: (event: KeyboardEvent, row: Row) => void;
  drag: (row: Row) => void;
  mayDrop: (row: Row) => boolean;
  drop: (row: Row) => void;
}

export function rowView(row: Row, context: RowContext): TemplateResult {
  if (context.editing?.turnId === row.id) return rowEditor(row, context);
  const time = timeOf(row, context.now);
  const queued = row.state === 'queued';
  const words = row.state === 'completed' && !row.held ? '' : row.words;
  return html`<li class="row ${row.state} ${row.sessionId === context.selected ? 'selected' : ''}" data-turn=${row.id} draggable=${queued ? 'true' : 'false'} @keydown=${(event: KeyboardEvent) => context.key(event, row)}
    @dragstart=${(event: DragEvent) => {
      context.drag(row);
      event.dataTransfer?.setData('text/plain', row.title);
    }}
    @dragover=${(event: DragEvent) => {
      if (context.mayDrop(row)) event.preventDefault();
    }}
    @drop=${(event: DragEvent) => {
      event.preventDefault();
      context.drop(row);
    }}>
    <div class="row-head">
      ${rowIcon(row)}
      <button type="button" class="row-title" @click=${() => context.open(row)} aria-label="${row.kind} ${visible(row.title)}, ${row.words}${row.unread ? ', unread' : ''}" title=${visible(row.title)}>
        ${row.unread ? html`<span class="unread" aria-hidden="true"></span>` : nothing}${visible(row.title)}</button>
      <span class="row-actions">${context.readOnly ? nothing : rowActions(row, context)}</span>
    </div>
    <div class="row-about">
      ${row.kind === 'commit' ? nothing : html`<span class="kind">${row.kind}</span>`}<span>${row.agent}</span>${words ? html`<span class="words">${words}</span>` : nothing}${time ? html`<span>${time}</span>` : nothing}${statsOf(row)}
      ${row.attachments.length > 0 ? html`<span>${icon('attach')} ${row.attachments.length}<span class="visually-hidden"> attachments</span></span>` : nothing}
    </div>
    ${row.error ? html`<p class="problem">${visible(row.error)}</p>` : nothing}
    ${row.canGoOnElsewhere && !context.readOnly ? html`<div class="controls"><vscode-button secondary @click=${() => context.act('goOnElsewhere', row)}>Go On in a New Session</vscode-button></div>` : nothing}
    ${row.held ? heldView(row, context) : nothing}
    ${row.permission ? html`<div class="permission open" role="group" aria-label="The agent asks: ${visible(row.permission.title)}"><p>${visible(row.permission.title)}</p>${permissionButtons(row.permission)}</div>` : nothing}
  </li>`;
}

/** Why the work is not committed, and the ways out. */
function heldView(row: Row, { act, readOnly }: RowContext): TemplateResult {
  const button = (label: string, action: (typeof turnActions)[number], secondary = true) =>
    html`<vscode-button ?secondary=${secondary} @click=${() => act(action, row)}>${label}</vscode-button>`;
  return html`<div class="held" role="group" aria-label="The work is not committed">
    <p class="problem">${visible(row.held ?? '')}</p>
    ${
      readOnly
        ? nothing
        : html`<div class="controls">${button('Commit Again', 'commit', false)}${row.canFollowUp ? button('Let the Agent Mend It', 'mend') : nothing}${button('Commit with Message…', 'commitWithMessage')}${button('Discard…', 'discard')}${button('Leave', 'leave')}</div>`
    }
  </div>`;
}

function rowActions(row: Row, { act, edit }: RowContext): TemplateResult | typeof nothing {
  const restore = row.hasChanges
    ? iconButton('discard', 'Restore files to before this turn…', () => act('restoreBefore', row))
    : nothing;
  const changes = row.hasChanges ? iconButton('diff-multiple', 'Open changes', () => act('openChanges', row)) : nothing;
  switch (row.state) {
    case 'queued':
      return html`${iconButton('edit', 'Edit (F2)', () => edit(row))}
        ${iconButton('arrow-up', 'Move up (Alt+Up)', () => act('moveUp', row), { disabled: !row.up })}
        ${iconButton('arrow-down', 'Move down (Alt+Down)', () => act('moveDown', row), { disabled: !row.down })}
        ${iconButton('debug-continue', 'Send now: cancel what runs, run this', () => act('sendNow', row))}
        ${iconButton('trash', 'Remove (Delete)', () => act('remove', row))}`;
    case 'starting':
    case 'running':
      return html`${changes}${iconButton('debug-stop', 'Cancel', () => act('cancel', row))}`;
    case 'completed':
      return html`${changes}${restore}`;
    default:
      return html`${iconButton('refresh', 'Retry', () => act('retry', row))}${changes}${restore}${row.left && !row.held ? iconButton('git-commit', 'Commit what it left', () => act('commit', row)) : nothing}${iconButton('trash', 'Remove', () => act('remove', row))}`;
  }
}

function rowEditor(row: Row, { editing, endEdit, typed }: RowContext): TemplateResult {
  const key = (event: KeyboardEvent) => {
    if (event.key === 'Escape') endEdit(false);
    else if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      endEdit(true);
    }
  };
  return html`<li class="row edit" data-turn=${row.id}><textarea aria-label="Edit ${visible(row.title)}" rows=${Math.min(12, Math.max(4, (editing?.text ?? '').split('\n').length + 1))} .value=${editing?.text ?? ''} @keydown=${key}
    @input=${(event: Event) => typed((event.target as HTMLTextAreaElement).value)}></textarea>
    <div class="controls"><vscode-button secondary @click=${() => endEdit(false)}>Cancel</vscode-button><vscode-button @click=${() => endEdit(true)}>Save</vscode-button></div></li>`;
}

export interface PreparationContext {
  readOnly: boolean;
  /** Setup logs that are shown, by branch. */
  logs: Readonly<Record<string, string>>;
  act: (action: (typeof branchActions)[number], branchId: string) => void;
  toggleLog: (branchId: string) => void;
}

/** A worktree that is being prepared or removed: its steps, how long, its log on demand, and what failed. */
export function provisioningView(branch: BranchInfo, { readOnly, logs, act, toggleLog }: PreparationContext): TemplateResult {
  const failed = branch.error !== null && branch.canRetry;
  const log = logs[branch.id];
  const icons = { done: 'check', now: 'loading', failed: 'error', next: 'circle-large' } as const;
  return html`<div class="provisioning ${failed ? 'failed' : ''}" role="group" aria-label="Worktree of ${branch.name}">
    <div class="provisioning-head">${failed ? icon('error', 'state-failed') : icon('loading', 'codicon-modifier-spin')}
      <span class="provisioning-title">${failed ? `${branch.state === 'removalFailed' ? 'Removing' : 'Preparing'} ${branch.name} failed` : branch.state === 'removing' ? `Removing ${branch.name}` : `Preparing environment for ${branch.name}`}</span>
      ${failed ? nothing : html`<branchline-since class="dim" .since=${branch.since}></branchline-since>`}
      ${branch.canRetry && !readOnly ? iconButton('refresh', 'Retry', () => act('retryProvisioning', branch.id)) : nothing}
      ${branch.state === 'provisioning' && !readOnly ? iconButton('debug-stop', 'Stop', () => act('stopProvisioning', branch.id)) : nothing}
      ${iconButton('output', log === undefined ? 'Show the setup log' : 'Hide the setup log', () => toggleLog(branch.id), { pressed: log !== undefined })}</div>
    ${
      branch.steps.length > 0
        ? html`<ol class="steps">${branch.steps.map(({ name, at }) => html`<li class=${at}>${icon(icons[at], at === 'now' ? 'codicon-modifier-spin' : '')} ${name}<span class="visually-hidden">, ${at}</span></li>`)}</ol>`
        : branch.words
          ? html`<p class="dim">${branch.words}</p>`
          : nothing
    }
    ${failed ? html`<p class="problem">${visible(branch.error ?? '')}</p>` : nothing}
    ${log === undefined ? nothing : html`<pre class="output" tabindex="0" aria-label="Setup log">${plainOf(log)}</pre>`}
  </div>`;
}
