/**
 * The tables as the code sees them. A migration makes the SQL side; both are held together by a test.
 */
import type { AgentWait, Branch, HistoryEvent, Session, Turn } from '../model/types.ts';

export interface Tables {
  branch: Branch;
  session: Session;
  turn: Turn;
  agentWait: AgentWait;
  event: HistoryEvent;
}
export type TableName = keyof Tables;
export type Value = string | number | null;

/** How a column is kept in SQL: as it is, as 0 or 1, or as JSON text. */
type Encoding = 'plain' | 'bool' | 'json';
interface Column {
  encoding: Encoding;
  /** A value that a new row has when it is left out of the record; undefined when it must be given. */
  fallback?: unknown;
}
type Columns<T> = { readonly [K in keyof T]-?: Column };

const given: Column = { encoding: 'plain' };
const nullable: Column = { encoding: 'plain', fallback: null };
const flag: Column = { encoding: 'bool', fallback: false };
const json = (fallback: unknown): Column => ({ encoding: 'json', fallback });
const text = (fallback: string | number): Column => ({ encoding: 'plain', fallback });

export const columns: { readonly [T in TableName]: Columns<Tables[T]> } = {
  branch: {
    id: given,
    repository: given,
    name: given,
    base: nullable,
    baseSha: nullable,
    worktreeState: text('queued'),
    worktreeStep: nullable,
    worktreePath: nullable,
    worktreeError: json(null),
    adopted: flag,
    backgroundSetup: text('none'),
    paused: text('no'),
    unread: flag,
    createdAt: given,
    changedAt: given,
    madeOrder: text(0),
    checkout: nullable,
    headRef: nullable,
    headSha: nullable,
    nameMade: flag,
    preparation: json(null),
  },
  session: {
    id: given,
    branchId: given,
    kind: text('commit'),
    agent: text('shell'),
    title: given,
    createdAt: given,
    agentSessionId: nullable,
    agentInfo: nullable,
    worktreePath: nullable,
    tipSha: nullable,
    mergeBaseSha: nullable,
    retired: nullable,
    closed: flag,
    unread: flag,
    madeOrder: text(0),
  },
  turn: {
    id: given,
    sessionId: given,
    branchId: given,
    state: text('queued'),
    prompt: given,
    attachments: json([]),
    position: given,
    queuedAt: given,
    startedAt: nullable,
    endedAt: nullable,
    startSha: nullable,
    endSha: nullable,
    error: json(null),
    hostId: nullable,
    attempt: text(0),
    cancelRequested: flag,
    permission: json(null),
    silentSince: nullable,
    endedOrder: nullable,
    startTree: nullable,
    endTree: nullable,
    work: json(null),
    commit: json(null),
    mends: nullable,
    goesOn: json(null),
  },
  agentWait: { id: given, kind: given, until: nullable, said: given, metAt: given, times: text(1) },
  event: { id: given, at: given, branchId: given, turnId: nullable, kind: given },
};

export const tableNames = Object.keys(columns) as TableName[];

/** One change of one row, as the journal keeps it. `trim` drops events with a lower id. */
export type Mutation =
  | ['+', TableName, Record<string, unknown>]
  | ['~', TableName, string, Record<string, unknown>]
  | ['-', TableName, string]
  | ['trim', number];

const columnOf = (table: TableName, name: string): Column => {
  const column = (columns[table] as Record<string, Column | undefined>)[name];
  if (!column) throw new Error(`The table "${table}" has no column "${name}".`);
  return column;
};

const same = (a: unknown, b: unknown): boolean => a === b || (typeof a === 'object' && JSON.stringify(a) === JSON.stringify(b));

/** The part of a new row that a record has to keep. */
export function withoutFallbacks<T extends TableName>(table: T, row: Tables[T]): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(row)) {
    const { fallback } = columnOf(table, name);
    if (fallback === undefined || !same(value, fallback)) kept[name] = value;
  }
  return kept;
}

/** A whole row from the part that a record keeps, or from a SQL row of an older or the present schema. */
export function completeRow<T extends TableName>(table: T, part: Record<string, unknown>): Tables[T] {
  const row: Record<string, unknown> = {};
  for (const [name, column] of Object.entries(columns[table] as Record<string, Column>)) {
    const value = part[name];
    row[name] = value !== undefined ? value : Array.isArray(column.fallback) ? [...column.fallback] : column.fallback;
  }
  return row as unknown as Tables[T];
}

export function toSql(table: TableName, name: string, value: unknown): Value {
  const { encoding } = columnOf(table, name);
  if (value === null || value === undefined) return null;
  if (encoding === 'json') return JSON.stringify(value);
  if (encoding === 'bool') return value ? 1 : 0;
  return value as Value;
}

type Values = readonly unknown[];
const isSet = (value: unknown): boolean => value !== 0;
const parsed = (value: unknown): unknown => (value === null ? null : value === '[]' ? [] : JSON.parse(value as string));

/**
 * Rows from the values of all columns, in the order of `columns`. Written out, because a row that is made in one go is many times
 * cheaper than one that grows name by name, and all rows are made at each opening. Held together with `columns` by a test.
 */
const rowMakers = {
  branch: (v: Values) => ({
    id: v[0],
    repository: v[1],
    name: v[2],
    base: v[3],
    baseSha: v[4],
    worktreeState: v[5],
    worktreeStep: v[6],
    worktreePath: v[7],
    worktreeError: parsed(v[8]),
    adopted: isSet(v[9]),
    backgroundSetup: v[10],
    paused: v[11],
    unread: isSet(v[12]),
    createdAt: v[13],
    changedAt: v[14],
    madeOrder: v[15],
    checkout: v[16],
    headRef: v[17],
    headSha: v[18],
    nameMade: isSet(v[19]),
    preparation: parsed(v[20]),
  }),
  session: (v: Values) => ({
    id: v[0],
    branchId: v[1],
    kind: v[2],
    agent: v[3],
    title: v[4],
    createdAt: v[5],
    agentSessionId: v[6],
    agentInfo: v[7],
    worktreePath: v[8],
    tipSha: v[9],
    mergeBaseSha: v[10],
    retired: v[11],
    closed: isSet(v[12]),
    unread: isSet(v[13]),
    madeOrder: v[14],
  }),
  turn: (v: Values) => ({
    id: v[0],
    sessionId: v[1],
    branchId: v[2],
    state: v[3],
    prompt: v[4],
    attachments: parsed(v[5]),
    position: Number(v[6]),
    queuedAt: v[7],
    startedAt: v[8],
    endedAt: v[9],
    startSha: v[10],
    endSha: v[11],
    error: parsed(v[12]),
    hostId: v[13],
    attempt: v[14],
    cancelRequested: isSet(v[15]),
    permission: parsed(v[16]),
    silentSince: v[17],
    endedOrder: v[18],
    startTree: v[19],
    endTree: v[20],
    work: parsed(v[21]),
    commit: parsed(v[22]),
    mends: v[23],
    goesOn: parsed(v[24]),
  }),
  agentWait: (v: Values) => ({ id: v[0], kind: v[1], until: v[2], said: v[3], metAt: v[4], times: v[5] }),
};
export type StateTable = keyof typeof rowMakers;

/** `commit` is a word of SQL. */
export const quoted = (name: string): string => `"${name}"`;

/** JSON by itself has 15 digits of a number that is not whole. */
const allDigits = (name: string): string =>
  `CASE WHEN ${name} = CAST(${name} AS INTEGER) THEN CAST(${name} AS INTEGER) ELSE printf('%!.17g', ${name}) END`;

/** SQL for all values of a row as a JSON array, and what makes the row of them. */
export function wholeRows<T extends StateTable>(table: T): { values: string; make: (values: Values) => Tables[T] } {
  const values = Object.keys(columns[table])
    .map((name) => (name === 'position' ? allDigits(name) : quoted(name)))
    .join();
  return { values, make: rowMakers[table] as unknown as (values: Values) => Tables[T] };
}

export function fromSql<T extends TableName>(table: T, row: Record<string, unknown>): Tables[T] {
  const decoded: Record<string, unknown> = {};
  for (const [name, column] of Object.entries(columns[table] as Record<string, Column>)) {
    const value = row[name];
    if (value === null || value === undefined) decoded[name] = value;
    else if (column.encoding === 'json') decoded[name] = JSON.parse(value as string);
    else if (column.encoding === 'bool') decoded[name] = value !== 0;
    else decoded[name] = value;
  }
  return completeRow(table, decoded);
}
