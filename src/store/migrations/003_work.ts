/**
 * The work of turns and what became of it; what was found while a worktree was prepared; what HEAD was when a branch was queued; agents
 * that can't work now.
 */
export const work = `
ALTER TABLE branch ADD COLUMN checkout TEXT;
ALTER TABLE branch ADD COLUMN headRef TEXT;
ALTER TABLE branch ADD COLUMN headSha TEXT;
ALTER TABLE branch ADD COLUMN nameMade INTEGER NOT NULL DEFAULT 0;
ALTER TABLE branch ADD COLUMN preparation TEXT;
ALTER TABLE turn ADD COLUMN startTree TEXT;
ALTER TABLE turn ADD COLUMN endTree TEXT;
ALTER TABLE turn ADD COLUMN work TEXT;
ALTER TABLE turn ADD COLUMN "commit" TEXT;
ALTER TABLE turn ADD COLUMN mends TEXT;
ALTER TABLE turn ADD COLUMN goesOn TEXT;
CREATE TABLE agentWait (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, until INTEGER, said TEXT NOT NULL, metAt INTEGER NOT NULL, times INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
UPDATE branch SET worktreeState = 'removalFailed', worktreeStep = NULL
  WHERE worktreeState = 'failed' AND json_extract(worktreeError, '$.step') = 'remove';
`;
