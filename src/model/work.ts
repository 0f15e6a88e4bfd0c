/** What became of a turn's work, as facts. Words are made where they are shown (`sessions/words.ts`). */
import * as z from 'zod';

/** The work of a turn: how the worktree differs between its start and its end. */
export const workSchema = z.object({
  files: z.number(),
  /** Lines. */
  added: z.number(),
  removed: z.number(),
  /** Where it is kept while no commit of the branch has it. */
  ref: z.string().optional(),
  /** Folders that are repositories of their own: what is in them is in no commit of the branch. */
  inner: z.array(z.string()).optional(),
  /** Paths whose content git could not take in. */
  unreadable: z.array(z.string()).optional(),
  /** The configuration that all checkouts of the repository share was changed while the commit was made: by a hook. */
  configChanged: z.boolean().optional(),
});
export type Work = z.infer<typeof workSchema>;

export const heldReasons = ['operation', 'unmerged', 'markers', 'left', 'identity', 'refused', 'unreadable', 'stopped'] as const;
export type HeldReason = (typeof heldReasons)[number];

/** What became of the commit of a turn's work. A turn without this fact made none, and needed none. */
export const commitSchema = z.discriminatedUnion('state', [
  z.object({ state: z.literal('made'), sha: z.string(), files: z.number() }),
  z.object({
    state: z.literal('held'),
    why: z.enum(heldReasons),
    /** The kind of the operation under way. */
    operation: z.string().optional(),
    /** Which one of its kind it is. */
    operationId: z.string().optional(),
    /** In conflict, or unreadable. */
    paths: z.array(z.string()).optional(),
    /** The branch that the worktree is on instead; null when it is on none. */
    branch: z.string().nullable().optional(),
    /** What git or a hook said. */
    said: z.string().optional(),
  }),
]);
export type Commit = z.infer<typeof commitSchema>;
export type HeldCommit = Extract<Commit, { state: 'held' }>;

/** Where a turn began. */
export const beginningSchema = z.object({
  /** Full sha of HEAD; null when unborn. */
  head: z.string().nullable(),
  /** Tree (or commit of the same content) of the worktree. */
  tree: z.string(),
  /** The operation that was under way. */
  operation: z.object({ kind: z.string(), id: z.string() }).nullable(),
  /** The worktree's folder, as the file system tells it from another one that took its place. */
  folder: z.string().optional(),
});
export type Beginning = z.infer<typeof beginningSchema>;

/** Where a turn ended, and with what. */
export const conclusionSchema = z.object({
  head: z.string().nullable(),
  tree: z.string(),
  work: workSchema,
  commit: commitSchema.nullable(),
  /** Earlier turns of the branch whose held work this commit holds, too. */
  settled: z.array(z.string()),
});
export type Conclusion = z.infer<typeof conclusionSchema>;
