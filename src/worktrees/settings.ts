/** What the provisioner needs of the settings; read anew for each branch, so a change counts at once. */
export interface SetupCommand {
  command: string;
  /** False: turns don't wait for it, and its failure fails nothing. */
  wait: boolean;
  timeoutSeconds: number;
}

export interface WorktreeSettings {
  /** Template with `${repositoryParent}`, `${repositoryName}`, `${repository}` and `${branch}`. */
  location: string;
  /** Globs of ignored files to copy: ours and those of VS Code's git. */
  include: string[];
  symlinkDirectories: string[];
  setup: SetupCommand[];
}

export const defaultLocation = '${repositoryParent}/${repositoryName}.worktrees/${branch}';
export const defaultSetupTimeout = 1_800;
