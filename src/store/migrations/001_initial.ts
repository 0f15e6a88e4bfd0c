export const initial = `
CREATE TABLE branch (
  id TEXT PRIMARY KEY, repository TEXT NOT NULL, name TEXT NOT NULL, base TEXT, baseSha TEXT,
  worktreeState TEXT NOT NULL DEFAULT 'queued', worktreeStep TEXT, worktreePath TEXT, worktreeError TEXT,
  adopted INTEGER NOT NULL DEFAULT 0, backgroundSetup TEXT NOT NULL DEFAULT 'none',
  paused TEXT NOT NULL DEFAULT 'no', unread INTEGER NOT NULL DEFAULT 0,
  createdAt INTEGER NOT NULL, changedAt INTEGER NOT NULL,
  UNIQUE (repository, name)
) WITHOUT ROWID;
CREATE TABLE session (
  id TEXT PRIMARY KEY, branchId TEXT NOT NULL REFERENCES branch (id), kind TEXT NOT NULL DEFAULT 'commit',
  agent TEXT NOT NULL DEFAULT 'shell', title TEXT NOT NULL, createdAt INTEGER NOT NULL,
  agentSessionId TEXT, agentInfo TEXT, worktreePath TEXT, tipSha TEXT CHECK (tipSha <> ''), mergeBaseSha TEXT,
  retired TEXT, closed INTEGER NOT NULL DEFAULT 0, unread INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX session_branch ON session (branchId);
CREATE TABLE turn (
  id TEXT PRIMARY KEY, sessionId TEXT NOT NULL REFERENCES session (id), branchId TEXT NOT NULL REFERENCES branch (id),
  state TEXT NOT NULL DEFAULT 'queued', prompt TEXT NOT NULL, attachments TEXT NOT NULL DEFAULT '[]',
  position REAL NOT NULL, queuedAt INTEGER NOT NULL, startedAt INTEGER, endedAt INTEGER, startSha TEXT, endSha TEXT,
  error TEXT, hostId TEXT, attempt INTEGER NOT NULL DEFAULT 0, cancelRequested INTEGER NOT NULL DEFAULT 0,
  permission TEXT, silentSince INTEGER
) WITHOUT ROWID;
CREATE INDEX turn_session ON turn (sessionId);
CREATE INDEX turn_branch ON turn (branchId, state);
CREATE TABLE event (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, branchId TEXT NOT NULL, turnId TEXT, kind TEXT NOT NULL
);
`;
