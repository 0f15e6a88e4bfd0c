import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
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

export const branchRow = (id: string, patch: Partial<Branch> = {}): Branch => ({
  id,
  repository: '/repository',
  name: id,
  base: null,
  baseSha: null,
  worktreeState: 'queued',
  worktreeStep: null,
  worktreePath: null,
  worktreeError: null,
  adopted: false,
  backgroundSetup: 'none',
  paused: 'no',
  unread: false,
  createdAt: 1,
  changedAt: 1,
  madeOrder: 0,
  ...patch,
});

export const sessionRow = (id: string, branchId: string, patch: Partial<Session> = {}): Session => ({
  id,
  branchId,
  kind: 'commit',
  agent: 'shell',
  title: id,
  createdAt: 1,
  agentSessionId: null,
  agentInfo: null,
  worktreePath: null,
  tipSha: null,
  mergeBaseSha: null,
  retired: null,
  closed: false,
  unread: false,
  madeOrder: 0,
  ...patch,
});

export const turnRow = (id: string, sessionId: string, branchId: string, patch: Partial<Turn> = {}): Turn => ({
  id,
  sessionId,
  branchId,
  state: 'queued',
  prompt: `do ${id}`,
  attachments: [],
  position: 1,
  queuedAt: 1,
  startedAt: null,
  endedAt: null,
  startSha: null,
  endSha: null,
  error: null,
  hostId: null,
  attempt: 0,
  cancelRequested: false,
  permission: null,
  silentSince: null,
  endedOrder: null,
  ...patch,
});
