import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { newBranch, newSession, newTurn } from '../../src/model/rows.ts';
import type { Branch, Session, Turn } from '../../src/model/types.ts';
import { nodeFileSystem, type StoreFileSystem } from '../../src/store/fileSystem.ts';
import { loadSql } from '../../src/store/sql.ts';
import { Store } from '../../src/store/store.ts';

export const makeDatabase = await loadSql(readFileSync(createRequire(import.meta.url).resolve('sql.js/dist/sql-wasm.wasm')));

export interface OpenedStore {
  store: Store;
  problems: string[];
}

export async function openStore(folder: string, files: StoreFileSystem = nodeFileSystem, owner = 'test'): Promise<OpenedStore> {
  const problems: string[] = [];
  const store = await Store.open({
    files,
    folder,
    makeDatabase,
    owner,
    now: () => 1_000,
    onProblem: (message) => problems.push(message),
  });
  return { store, problems };
}

export const branchRow = (id: string, patch: Partial<Branch> = {}): Branch =>
  newBranch({ id, repository: '/repository', name: id, createdAt: 1, madeOrder: 0, ...patch });

export const sessionRow = (id: string, branchId: string, patch: Partial<Session> = {}): Session =>
  newSession({ id, branchId, kind: 'commit', agent: 'shell', title: id, createdAt: 1, madeOrder: 0, ...patch });

export const turnRow = (id: string, sessionId: string, branchId: string, patch: Partial<Turn> = {}): Turn =>
  newTurn({ id, sessionId, branchId, prompt: `do ${id}`, position: 1, queuedAt: 1, ...patch });
