/** What stands around the list: toolbar, filter, banners, and the welcome where nothing has been queued. Pure: clicks come in as a context. */
import { html, nothing, type TemplateResult } from 'lit';
import { sessionKinds, turnStates } from '../../model/types.ts';
import type { BranchInfo, Meta, Request, Scope } from '../protocol.ts';
import { icon, iconButton } from './parts.ts';

export interface OverviewContext {
  scope: Scope;
  branches: readonly BranchInfo[];
  meta: Meta | undefined;
  /** True while the filter is shown. */
  filters: boolean;
  ask: (message: Request) => void;
  /** Shows one branch, or all for an empty id. */
  choose: (branchId: string) => void;
  filter: (patch: Partial<Scope>) => void;
  /** Called at each key; it is looked for a moment after the last one. */
  search: (query: string) => void;
  toggleFilters: () => void;
}

export const isFiltered = ({ query, states, agents, kinds }: Scope): boolean =>
  query !== '' || states.length + agents.length + kinds.length > 0;

const longestQuery = 200;

export function toolbarView(branch: BranchInfo | undefined, context: OverviewContext): TemplateResult {
  const { scope, branches, meta, filters, ask, choose, toggleFilters } = context;
  return html`<div class="toolbar" role="toolbar" aria-label="Timeline">
      <select class="scope" aria-label="Branch shown" @change=${(event: Event) => choose((event.target as HTMLSelectElement).value)}>
        <option value="" ?selected=${scope.branchId === null}>All branches</option>
        ${branches.map((one) => html`<option value=${one.id} ?selected=${one.id === scope.branchId}>${one.unread ? '● ' : ''}${one.name}</option>`)}
      </select>
      ${
        branch
          ? html`
        ${meta?.readOnly ? nothing : branch.paused === 'no' ? iconButton('debug-pause', 'Pause queue', () => ask({ type: 'branch', action: 'pause', branchId: branch.id })) : iconButton('play', 'Resume queue', () => ask({ type: 'branch', action: 'resume', branchId: branch.id }))}
        ${iconButton('diff-multiple', 'Open changes of the branch', () => ask({ type: 'branch', action: 'openChanges', branchId: branch.id }))}`
          : nothing
      }
      ${iconButton('filter', 'Filter and search', toggleFilters, { pressed: filters || isFiltered(scope) })}
      ${document.body.dataset.where === 'sidebar' ? iconButton('link-external', 'Open in an editor tab', () => ask({ type: 'command', command: 'openInEditor' })) : nothing}
    </div>
    ${filters ? filterView(context) : nothing}`;
}

function filterView({ scope, meta, filter, search }: OverviewContext): TemplateResult {
  const one = (
    name: string,
    all: string,
    values: readonly string[],
    chosen: readonly string[],
    set: (value: string[]) => void,
  ) => html`
      <select aria-label=${name} @change=${(event: Event) => set((event.target as HTMLSelectElement).value === '' ? [] : [(event.target as HTMLSelectElement).value])}>
        <option value="" ?selected=${chosen.length === 0}>${all}</option>
        ${values.map((value) => html`<option value=${value} ?selected=${chosen.includes(value)}>${value}</option>`)}
      </select>`;
  return html`<div class="filters" role="search" aria-label="Filter">
      <input type="search" aria-label="Search titles, prompts and transcripts" placeholder="Search" .value=${scope.query} @input=${(event: Event) => search((event.target as HTMLInputElement).value.slice(0, longestQuery))}>
      ${one('State', 'Any state', turnStates, scope.states, (states) => filter({ states: states as Scope['states'] }))}
      ${one('Kind', 'Any kind', sessionKinds, scope.kinds, (kinds) => filter({ kinds: kinds as Scope['kinds'] }))}
      ${one('Agent', 'Any agent', meta?.agents.map(({ id }) => id) ?? [], scope.agents, (agents) => filter({ agents }))}
    </div>`;
}

/** The one thing that a person has to know before all else, with what to do. */
export function bannerView(branch: BranchInfo | undefined, { meta, ask }: OverviewContext): TemplateResult | typeof nothing {
  if (!meta) return nothing;
  if (meta.readOnly)
    return html`<div class="banner" role="note">${icon('lock')} <span>${meta.readOnly}</span>
        ${meta.canTakeOver ? html`<button type="button" class="link-button" @click=${() => ask({ type: 'command', command: 'takeOver' })}>Use here</button>` : nothing}</div>`;
  if (!meta.trusted) {
    return html`<div class="banner" role="note">${icon('workspace-untrusted')} <span>This workspace is not trusted. Work can be queued; nothing runs until you trust it.</span>
        <button type="button" class="link-button" @click=${() => ask({ type: 'command', command: 'manageTrust' })}>Manage trust</button></div>`;
  }
  if (branch && branch.paused !== 'no') {
    return html`<div class="banner warning" role="note">${icon('debug-pause')} <span>${pausedSentence(branch)}</span>
        <button type="button" class="link-button" @click=${() => ask({ type: 'branch', action: 'resume', branchId: branch.id })}>Resume</button></div>`;
  }
  if (meta.waitingAgents.length === 0) return nothing;
  return html`${meta.waitingAgents.map(
    ({ agent, words, said }) => html`<div class="banner" role="note">${icon('watch')} <span title=${said}>${words}</span>
        <button type="button" class="link-button" @click=${() => ask({ type: 'agent', agent, action: 'try' })}>Try now</button>
        <button type="button" class="link-button" @click=${() => ask({ type: 'agent', agent, action: 'pause' })}>Pause instead</button></div>`,
  )}`;
}

function pausedSentence({ paused, held }: BranchInfo): string {
  if (paused !== 'failure') return 'The queue is paused.';
  if (held) return 'The queue is paused: the work of a turn is not committed. Commit it, or resume to leave it.';
  return 'The queue is paused: a turn failed. Retry it, or resume to skip it.';
}

export function welcomeView(meta: Meta, { ask }: OverviewContext): TemplateResult {
  if (!meta.hasRepository) {
    return html`<div class="welcome"><p>Branchline keeps a queue of agent work for each git branch. Open a folder that is a git repository to begin.</p>
        <vscode-button @click=${() => ask({ type: 'command', command: 'openFolder' })}>Open Folder</vscode-button></div>`;
  }
  return html`<div class="welcome">${icon('list-flat', 'big')}<p>Write down work for coding agents. Each piece is queued at once and runs in order, in a worktree of its own branch.</p>
      <p class="dim">Write below. Enter queues it, Shift+Enter begins a new line.</p></div>`;
}
