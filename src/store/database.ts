/**
 * The SQL side of the store: sql.js in memory, changed only by mutations that the journal keeps. What SQL could make up
 * by itself (random numbers, the time) throws, so that a replay can't differ from the first run.
 */
import type { Database as SqlDatabase, SqlJsStatic, Statement } from 'sql.js';
import { migrations, schemaVersion } from './migrations/index.ts';
import {
  fromSql,
  type Mutation,
  quoted,
  type StateTable,
  type TableName,
  type Tables,
  toSql,
  type Value,
  wholeRows,
} from './schema.ts';

const madeUpBySql = ['random', 'randomblob', 'datetime', 'date', 'time', 'julianday', 'strftime', 'unixepoch'];

export class Database {
  readonly #database: SqlDatabase;
  readonly #statements = new Map<string, Statement>();

  /** `image` is a database file; the caller must not use the buffer again. */
  constructor(sql: SqlJsStatic, image?: Uint8Array) {
    this.#database = new sql.Database(image);
    this.#database.exec('PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA journal_mode = MEMORY;');
    for (const name of madeUpBySql) {
      this.#database.create_function(name, () => {
        throw new Error(`${name}() would differ in a replay.`);
      });
    }
  }

  get schemaVersion(): number {
    return Number(this.#database.exec('PRAGMA user_version')[0]?.values[0]?.[0] ?? 0);
  }

  /** Brings the schema to `target` in one transaction. */
  migrate(target = schemaVersion): void {
    const from = this.schemaVersion;
    if (from >= target) return;
    this.begin();
    try {
      for (const migration of migrations.slice(from, target)) this.#database.exec(migration);
      this.#database.exec(`PRAGMA user_version = ${target}`);
      this.commit();
    } catch (error) {
      this.rollback();
      throw error;
    }
  }

  begin(): void {
    this.#run('BEGIN', []);
  }
  commit(): void {
    this.#run('COMMIT', []);
  }
  rollback(): void {
    this.#run('ROLLBACK', []);
  }
  savepoint(): void {
    this.#run('SAVEPOINT one', []);
  }
  release(): void {
    this.#run('RELEASE one', []);
  }
  rollbackToSavepoint(): void {
    this.#run('ROLLBACK TO one', []);
    this.#run('RELEASE one', []);
  }

  #statement(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #run(sql: string, values: Value[]): void {
    const statement = this.#statement(sql);
    try {
      statement.run(values); // Resets the statement when it succeeds.
    } catch (error) {
      statement.reset();
      throw error;
    }
  }

  /** Applies one mutation inside the open transaction and returns the rows it changed; throws on a broken constraint. */
  apply(mutation: Mutation): number {
    switch (mutation[0]) {
      case '+': {
        const [, table, row] = mutation;
        const names = Object.keys(row);
        const values = names.map((name) => toSql(table, name, row[name]));
        this.#run(`INSERT INTO ${table} (${names.map(quoted).join()}) VALUES (${names.map(() => '?').join()})`, values);
        break;
      }
      case '~': {
        const [, table, id, patch] = mutation;
        const names = Object.keys(patch);
        const values = names.map((name) => toSql(table, name, patch[name]));
        this.#run(`UPDATE ${table} SET ${names.map((name) => `${quoted(name)} = ?`).join()} WHERE id = ?`, [...values, id]);
        break;
      }
      case '-':
        this.#run(`DELETE FROM ${mutation[1]} WHERE id = ?`, [mutation[2]]);
        break;
      case 'trim':
        this.#run('DELETE FROM event WHERE id < ?', [mutation[1]]);
        break;
    }
    return this.#database.getRowsModified();
  }

  /** Rows in the order of their keys; `where` is SQL written by us, never text from outside. */
  select<T extends TableName>(table: T, where = '1', values: Value[] = []): Tables[T][] {
    const statement = this.#statement(`SELECT * FROM ${table} WHERE ${where}`);
    const rows: Tables[T][] = [];
    try {
      statement.bind(values);
      while (statement.step()) rows.push(fromSql(table, statement.getAsObject()));
    } finally {
      statement.reset();
    }
    return rows;
  }

  /** All rows of a table, in the order of their keys: one trip out of SQL for the whole of it, which is much faster than one for each value. */
  all<T extends StateTable>(table: T): Tables[T][] {
    const { values, make } = wholeRows(table);
    const [result] = this.#database.exec(`SELECT json_group_array(json_array(${values})) FROM ${table}`);
    return (JSON.parse(result?.values[0]?.[0] as string) as unknown[][]).map(make);
  }

  /** The database as a file. Throws inside a transaction. */
  export(): Uint8Array {
    return this.#database.export();
  }

  isSound(): boolean {
    return this.#database.exec('PRAGMA integrity_check')[0]?.values[0]?.[0] === 'ok';
  }

  close(): void {
    this.#forgetStatements();
    this.#database.close();
  }

  #forgetStatements(): void {
    for (const statement of this.#statements.values()) statement.free();
    this.#statements.clear();
  }
}
