/** Errors are told apart by what a person can do about them; every message says what happened and what to do next. */

export class BranchlineError extends Error {
  override name = 'BranchlineError';
}

/** The call can't be done as asked; nothing was changed. */
export class RefusedError extends BranchlineError {
  override name = 'RefusedError';
}

/** The store could not make something durable. `outcomeUnknown` when it may or may not be on disk. */
export class StorageError extends BranchlineError {
  override name = 'StorageError';
  outcomeUnknown: boolean;
  constructor(message: string, options?: ErrorOptions & { outcomeUnknown?: boolean }) {
    super(message, options);
    this.outcomeUnknown = options?.outcomeUnknown ?? false;
  }
}

export class WorktreeError extends BranchlineError {
  override name = 'WorktreeError';
}

/** A branch was deleted together with its worktree: what waits for it can't run (requirement 41). */
export class LostBranchError extends WorktreeError {
  override name = 'LostBranchError';
}

export class AgentError extends BranchlineError {
  override name = 'AgentError';
}

export class IllegalTransitionError extends BranchlineError {
  override name = 'IllegalTransitionError';
  constructor(thing: string, from: string, to: string) {
    super(`A ${thing} cannot go from "${from}" to "${to}". This is a bug in Branchline; please report it.`);
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
