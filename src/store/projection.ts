/**
 * Committed state, typed and in memory: what views and loops read. Rows are never changed in place, so a reader may
 * keep one. Changed only by the store, after a commit is durable.
 */
import { compareTurns } from '../model/order.ts';
import { isActive, isEnded } from '../model/transitions.ts';
import type { AgentWait, Branch, Session, Turn } from '../model/types.ts';
import { completeRow, type Mutation, type TableName, type Tables } from './schema.ts';

/** What one batch touched: ids, by thing. A removed thing is listed too. */
export interface Change {
  branches: Set<string>;
  sessions: Set<string>;
  turns: Set<string>;
}

export const emptyChange = (): Change => ({ branches: new Set(), sessions: new Set(), turns: new Set() });

const none: readonly never[] = [];

export class Projection {
  readonly #branches = new Map<string, Branch>();
  readonly #sessions = new Map<string, Session>();
  readonly #turns = new Map<string, Turn>();
  readonly #branchByName = new Map<string, string>();
  readonly #sessionsOfBranch = new Map<string, Set<string>>();
  readonly #turnsOfSession = new Map<string, Set<string>>();
  /** Turns that have not ended, in the order they run. */
  readonly #line = new Map<string, Turn[]>();
  readonly #active = new Map<string, Turn>();
  /** Turns that ask for a permission, and turns whose commit is held: what a person has to see to. */
  readonly #asking = new Map<string, Turn>();
  readonly #held = new Map<string, Turn>();
  readonly #agentWaits = new Map<string, AgentWait>();
  #lastPosition = 0;

  /** Events are not held here. */
  row<T extends Exclude<TableName, 'event'>>(table: T, id: string): Tables[T] | undefined {
    const rows: ReadonlyMap<string, Branch | Session | Turn | AgentWait> = {
      branch: this.#branches,
      session: this.#sessions,
      turn: this.#turns,
      agentWait: this.#agentWaits,
    }[table];
    return rows.get(id) as Tables[T] | undefined;
  }
  branch(id: string): Branch | undefined {
    return this.#branches.get(id);
  }
  session(id: string): Session | undefined {
    return this.#sessions.get(id);
  }
  turn(id: string): Turn | undefined {
    return this.#turns.get(id);
  }
  /** In the order they were made. */
  branches(): Iterable<Branch> {
    return this.#branches.values();
  }
  sessions(): Iterable<Session> {
    return this.#sessions.values();
  }
  turns(): Iterable<Turn> {
    return this.#turns.values();
  }
  get counts(): { branches: number; sessions: number; turns: number } {
    return { branches: this.#branches.size, sessions: this.#sessions.size, turns: this.#turns.size };
  }
  branchNamed(repository: string, name: string): Branch | undefined {
    return this.#branches.get(this.#branchByName.get(nameKey(repository, name)) ?? '');
  }
  /** In the order they were made. */
  sessionsOf(branchId: string): Session[] {
    return rows(this.#sessionsOfBranch.get(branchId), this.#sessions);
  }
  /** In the order they were queued. */
  turnsOf(sessionId: string): Turn[] {
    return rows(this.#turnsOfSession.get(sessionId), this.#turns).sort((a, b) => a.position - b.position);
  }
  /** Active and queued turns of a branch, in the order they run. */
  line(branchId: string): readonly Turn[] {
    return this.#line.get(branchId) ?? none;
  }
  /** Index of a turn in its branch's line; -1 for one that has ended. */
  placeOf(turn: Turn): number {
    const line = this.line(turn.branchId);
    const place = placeIn(line, turn);
    return line[place]?.id === turn.id ? place : -1;
  }
  branchesWithWork(): Iterable<string> {
    return this.#line.keys();
  }
  /** Turns that are starting or running, everywhere. */
  active(): Iterable<Turn> {
    return this.#active.values();
  }
  /** Turns that wait for an answer, ended ones included: an agent may go on after its turn. */
  asking(): Iterable<Turn> {
    return this.#asking.values();
  }
  /** Turns whose commit is held; of one branch, or of all. With its branch a session is closed, and nothing of it waits for anybody. */
  held(branchId?: string): Turn[] {
    const held = [...this.#held.values()].filter((turn) => !this.#sessions.get(turn.sessionId)?.closed);
    return branchId === undefined ? held : held.filter((turn) => turn.branchId === branchId);
  }
  /** Why an agent can't work now; undefined for one of which nothing is known. */
  agentWait(agent: string): AgentWait | undefined {
    return this.#agentWaits.get(agent);
  }
  agentWaits(): Iterable<AgentWait> {
    return this.#agentWaits.values();
  }
  /** The highest position that a turn ever had here. */
  get lastPosition(): number {
    return this.#lastPosition;
  }

  load(tables: { branch: Branch[]; session: Session[]; turn: Turn[]; agentWait?: AgentWait[] }): void {
    const asMade = (a: { madeOrder: number }, b: { madeOrder: number }) => a.madeOrder - b.madeOrder;
    for (const branch of tables.branch.sort(asMade)) this.#putBranch(branch);
    for (const session of tables.session.sort(asMade)) this.#putSession(session);
    for (const turn of tables.turn) this.#putTurn(turn);
    for (const wait of tables.agentWait ?? []) this.#agentWaits.set(wait.id, wait);
  }

  apply(mutations: readonly Mutation[], change: Change): void {
    for (const mutation of mutations) {
      if (mutation[0] === 'trim' || mutation[1] === 'event') continue;
      const table = mutation[1];
      if (table === 'agentWait') {
        this.#applyAgentWait(mutation as Exclude<Mutation, ['trim', number]>);
        continue;
      }
      if (mutation[0] === '+') {
        const row = completeRow(table, mutation[2]);
        if (table === 'branch') this.#putBranch(row as Branch, change);
        else if (table === 'session') this.#putSession(row as Session, change);
        else this.#putTurn(row as Turn, change);
      } else if (mutation[0] === '~') {
        const [, , id, patch] = mutation;
        if (table === 'branch') this.#putBranch({ ...(this.#branches.get(id) as Branch), ...patch }, change);
        else if (table === 'session') this.#putSession({ ...(this.#sessions.get(id) as Session), ...patch }, change);
        else this.#putTurn({ ...(this.#turns.get(id) as Turn), ...patch }, change);
      } else if (table === 'branch') this.#dropBranch(mutation[2], change);
      else if (table === 'session') this.#dropSession(mutation[2], change);
      else this.#dropTurn(mutation[2], change);
    }
  }

  #applyAgentWait(mutation: Exclude<Mutation, ['trim', number]>): void {
    if (mutation[0] === '+') {
      const row = completeRow('agentWait', mutation[2]);
      this.#agentWaits.set(row.id, row);
    } else if (mutation[0] === '~') {
      const [, , id, patch] = mutation;
      this.#agentWaits.set(id, { ...(this.#agentWaits.get(id) as AgentWait), ...patch });
    } else this.#agentWaits.delete(mutation[2]);
  }

  #putBranch(branch: Branch, change?: Change): void {
    const before = this.#branches.get(branch.id);
    if (before && before.name !== branch.name) this.#branchByName.delete(nameKey(before.repository, before.name));
    this.#branches.set(branch.id, branch);
    this.#branchByName.set(nameKey(branch.repository, branch.name), branch.id);
    change?.branches.add(branch.id);
  }

  #putSession(session: Session, change?: Change): void {
    this.#sessions.set(session.id, session);
    addTo(this.#sessionsOfBranch, session.branchId, session.id);
    change?.sessions.add(session.id);
    change?.branches.add(session.branchId);
  }

  #putTurn(turn: Turn, change?: Change): void {
    const before = this.#turns.get(turn.id);
    if (before) this.#leaveLine(before);
    this.#turns.set(turn.id, turn);
    addTo(this.#turnsOfSession, turn.sessionId, turn.id);
    if (!isEnded(turn.state)) this.#enterLine(turn);
    if (isActive(turn.state)) this.#active.set(turn.id, turn);
    else this.#active.delete(turn.id);
    if (turn.permission) this.#asking.set(turn.id, turn);
    else this.#asking.delete(turn.id);
    if (turn.commit?.state === 'held') this.#held.set(turn.id, turn);
    else this.#held.delete(turn.id);
    if (turn.position > this.#lastPosition) this.#lastPosition = turn.position;
    change?.turns.add(turn.id);
    change?.sessions.add(turn.sessionId);
    change?.branches.add(turn.branchId);
  }

  #dropBranch(id: string, change: Change): void {
    const branch = this.#branches.get(id);
    if (!branch) return;
    this.#branches.delete(id);
    this.#branchByName.delete(nameKey(branch.repository, branch.name));
    change.branches.add(id);
  }

  #dropSession(id: string, change: Change): void {
    const session = this.#sessions.get(id);
    if (!session) return;
    this.#sessions.delete(id);
    removeFrom(this.#sessionsOfBranch, session.branchId, id);
    change.sessions.add(id);
    change.branches.add(session.branchId);
  }

  #dropTurn(id: string, change: Change): void {
    const turn = this.#turns.get(id);
    if (!turn) return;
    this.#leaveLine(turn);
    this.#turns.delete(id);
    this.#active.delete(id);
    this.#asking.delete(id);
    this.#held.delete(id);
    removeFrom(this.#turnsOfSession, turn.sessionId, id);
    change.turns.add(id);
    change.sessions.add(turn.sessionId);
    change.branches.add(turn.branchId);
  }

  #enterLine(turn: Turn): void {
    const line = this.#line.get(turn.branchId);
    if (line) line.splice(placeIn(line, turn), 0, turn);
    else this.#line.set(turn.branchId, [turn]);
  }

  #leaveLine(turn: Turn): void {
    const line = this.#line.get(turn.branchId);
    const place = line ? placeIn(line, turn) : -1;
    if (!line || line[place]?.id !== turn.id) return;
    if (line.length === 1) this.#line.delete(turn.branchId);
    else line.splice(place, 1);
  }
}

/** Index of the first turn that does not come before `turn`. */
function placeIn(line: readonly Turn[], turn: Turn): number {
  let low = 0;
  let high = line.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareTurns(line[middle] as Turn, turn) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

const nameKey = (repository: string, name: string): string => `${repository}\0${name}`;

function rows<T>(ids: Iterable<string> | undefined, table: ReadonlyMap<string, T>): T[] {
  const found: T[] = [];
  for (const id of ids ?? none) {
    const row = table.get(id);
    if (row) found.push(row);
  }
  return found;
}

function addTo(index: Map<string, Set<string>>, key: string, id: string): void {
  const ids = index.get(key);
  if (ids) ids.add(id);
  else index.set(key, new Set([id]));
}

function removeFrom(index: Map<string, Set<string>>, key: string, id: string): void {
  const ids = index.get(key);
  ids?.delete(id);
  if (ids?.size === 0) index.delete(key);
}
