import type { Branch, Preparation } from '../model/types.ts';

const nothing: Preparation = {
  links: [],
  ignored: [],
  setupChanged: [],
  setupTree: null,
  hookSaid: null,
  missingHooks: null,
  mount: null,
};

/** What is known of a worktree's preparation, with `patch` put in. */
export const prepared = ({ preparation }: Pick<Branch, 'preparation'>, patch: Partial<Preparation>): Preparation => ({
  ...nothing,
  ...preparation,
  ...patch,
});

/** Links that Branchline made in the worktree. */
export const linksOf = ({ preparation }: Pick<Branch, 'preparation'>): string[] => preparation?.links ?? [];
