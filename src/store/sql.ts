/** Loads SQLite's WebAssembly once; `wasm` is its content. */
import initSqlJs from 'sql.js';
import { Database } from './database.ts';

export async function loadSql(wasm: Uint8Array): Promise<(image?: Uint8Array) => Database> {
  const sql = await initSqlJs({ wasmBinary: new Uint8Array(wasm).buffer as ArrayBuffer });
  return (image) => new Database(sql, image);
}
