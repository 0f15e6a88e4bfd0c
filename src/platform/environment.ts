/**
 * The environments of what we start, each made from our own, which may hold anything: VS Code may have been started from a git
 * hook, by `git commit`, from another language, or with variables that point git elsewhere (tested with a hostile one).
 */

/**
 * Variables that tie a git process to one repository: what `git rev-parse --local-env-vars` lists (git-rev-parse(1)), with those
 * of other versions. Inherited, they would send our git, an agent's or a script's into another repository.
 */
const gitLocal: ReadonlySet<string> = new Set([
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_CONFIG',
  'GIT_CONFIG_PARAMETERS',
  'GIT_CONFIG_COUNT',
  'GIT_OBJECT_DIRECTORY',
  'GIT_DIR',
  'GIT_WORK_TREE',
  'GIT_IMPLICIT_WORK_TREE',
  'GIT_GRAFT_FILE',
  'GIT_INDEX_FILE',
  'GIT_NO_REPLACE_OBJECTS',
  'GIT_REPLACE_REF_BASE',
  'GIT_PREFIX',
  'GIT_SHALLOW_FILE',
  'GIT_COMMON_DIR',
  'GIT_INTERNAL_SUPER_PREFIX',
  'GIT_INTERNAL_TOPLEVEL',
  'GIT_NAMESPACE',
  'GIT_QUARANTINE_PATH',
  'GIT_REFLOG_ACTION',
  'GIT_INDEX_VERSION',
]);

/** They change what a path on the command line means, so they are the business of whoever writes that command line. */
const pathspecs = /^GIT_(LITERAL|GLOB|NOGLOB|ICASE)_PATHSPECS$/;

/**
 * Who wrote a commit, and when, as `git commit` and `git rebase` tell their hooks and editor (git's builtin/commit.c), of which VS Code
 * may be one. A name and address alone are the user's own; only a date shows that they belong to that one commit.
 */
function isOfAnotherCommit(name: string, source: NodeJS.ProcessEnv): boolean {
  const who = /^GIT_(AUTHOR|COMMITTER)_(NAME|EMAIL|DATE)$/.exec(name)?.[1];
  return who !== undefined && source[`GIT_${who}_DATE`] !== undefined;
}

/** Windows takes names in any case. */
const nameOf = (name: string): string => name.toUpperCase();

/** The environment for programs of the user: ours without what belongs to VS Code's own process and to a git that runs around it. */
export function userEnvironment(source: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(source)) {
    if (/^(VSCODE_|ELECTRON_|CHROME_DESKTOP$|APPLICATION_INSIGHTS|BRANCHLINE_)/.test(name)) continue;
    if (isOfAnotherCommit(nameOf(name), source)) continue;
    if (gitLocal.has(nameOf(name)) || /^GIT_CONFIG_(KEY|VALUE)_\d+$/i.test(name) || pathspecs.test(nameOf(name))) continue;
    environment[name] = value;
  }
  return environment;
}

/** What a git of ours is never to do: ask somebody, wait for an editor, take a lock to read. */
const unattended: NodeJS.ProcessEnv = {
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: '', // Set and empty: git then looks for no other one (git's prompt.c).
  SSH_ASKPASS_REQUIRE: 'never',
  GCM_INTERACTIVE: 'never',
  GIT_EDITOR: ':',
  GIT_SEQUENCE_EDITOR: ':',
  GIT_MERGE_AUTOEDIT: 'no',
  GIT_OPTIONAL_LOCKS: '0',
};

/**
 * The environment for git: words in one language, whatever the user speaks; no question is asked. What characters mean (LC_CTYPE)
 * stays as the user has it, for hooks and filters. `own` is put on top of it.
 */
export function gitEnvironment(source: NodeJS.ProcessEnv = process.env, own: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const environment = userEnvironment(source);
  const all = environment.LC_ALL;
  delete environment.LC_ALL;
  if (all) for (const name of ['LC_CTYPE', 'LC_COLLATE', 'LC_TIME', 'LC_NUMERIC', 'LC_MONETARY']) environment[name] = all;
  return { ...environment, LC_MESSAGES: 'C', LANGUAGE: 'C', ...unattended, ...own };
}

/** Where work is done, as agents and setup commands are told. */
export interface Place {
  repository: string;
  worktree: string;
  branch: string;
}

const placeVariables = ({ repository, worktree, branch }: Place): NodeJS.ProcessEnv => ({
  BRANCHLINE_REPOSITORY: repository,
  BRANCHLINE_WORKTREE: worktree,
  BRANCHLINE_BRANCH: branch,
});

/** The environment for an agent: the user's, what its setting adds, and where it works. */
export function agentEnvironment(
  place: Place,
  setting: NodeJS.ProcessEnv,
  source: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  return { ...userEnvironment(source), ...setting, ...placeVariables(place) };
}

/** The environment for setup commands: the user's, and where they work. */
export function setupEnvironment(place: Place, source: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return { ...userEnvironment(source), ...placeVariables(place) };
}
