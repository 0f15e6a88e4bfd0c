/** Orders that no clock decides: what was made, and what ended, one after the other. Old rows get what their events and times say. */
export const order = `
ALTER TABLE branch ADD COLUMN madeOrder INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN madeOrder INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turn ADD COLUMN endedOrder INTEGER;
UPDATE branch SET madeOrder = r.n FROM (SELECT id, row_number() OVER (ORDER BY createdAt, id) AS n FROM branch) r WHERE r.id = branch.id;
UPDATE session SET madeOrder = r.n FROM (SELECT id, row_number() OVER (ORDER BY createdAt, id) AS n FROM session) r WHERE r.id = session.id;
UPDATE turn SET endedOrder = e.n FROM (SELECT turnId, MAX(id) AS n FROM event WHERE turnId IS NOT NULL GROUP BY turnId) e
  WHERE e.turnId = turn.id AND turn.endedAt IS NOT NULL;
`;
