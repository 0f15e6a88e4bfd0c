import { type Branch, type ProvisioningStep, provisioningSteps } from '../model/types.ts';

/** The step that a branch's worktree needs next, or undefined when there is nothing to do (ready, failed, going away). */
export function nextStep(branch: Pick<Branch, 'worktreeState' | 'worktreeStep'>): ProvisioningStep | undefined {
  switch (branch.worktreeState) {
    case 'queued':
      return 'resolveBase';
    case 'missing':
      return 'createWorktree';
    case 'provisioning':
      return branch.worktreeStep ?? 'resolveBase';
    default:
      return undefined;
  }
}

/** The step after `step`, or undefined when it was the last one and the worktree is ready. */
export function stepAfter(step: ProvisioningStep): ProvisioningStep | undefined {
  return provisioningSteps[provisioningSteps.indexOf(step) + 1];
}
