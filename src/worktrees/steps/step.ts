import type { Branch } from '../../model/types.ts';
import type { WorktreeSettings } from '../settings.ts';

/** What a step works with. Steps change nothing in the store: they return what the provisioner is to write. */
export interface StepContext {
  branch: Branch;
  settings: WorktreeSettings;
  /** True when a turn has run on the branch: then it was there, and its loss is not to be papered over. */
  hasRun: boolean;
  /** Canonical paths of checkouts that are the user's own (open in a window): never used for a branch. */
  ownCheckouts: string[];
  /** Names of the repository's other branches in Branchline, in lower case. */
  names: ReadonlySet<string>;
  /** To be called before the first write in the worktree, where an agent of another window may be at work: resolves when nobody else writes there. */
  claim: () => Promise<void>;
  /** Ends the step; it then rejects. */
  signal: AbortSignal;
  /** File that takes what the step's commands print. */
  log: string;
  /** Makes a patch durable in the middle of a step. */
  save: (patch: Partial<Branch>) => Promise<void>;
}

/** A step can run again after a crash at any point of it. It rejects with WorktreeError where the user can do something. */
export type Step = (context: StepContext) => Promise<Partial<Branch>>;
