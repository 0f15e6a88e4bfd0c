import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { agentEnvironment, gitEnvironment, setupEnvironment, userEnvironment } from '../../../src/platform/environment.ts';

const place = { repository: '/repo/.git', worktree: '/trees/b', branch: 'b' };

/** Every variable that ties a git process to one repository, as the git of this machine lists them, and what surrounds VS Code. */
const hostile = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(
    execFileSync('git', ['rev-parse', '--local-env-vars'], { encoding: 'utf8' })
      .split('\n')
      .filter(Boolean)
      .map((name) => [name, '/elsewhere']),
  ),
  GIT_CONFIG_COUNT: '1',
  GIT_CONFIG_KEY_0: 'core.bare',
  GIT_CONFIG_VALUE_0: 'true',
  GIT_LITERAL_PATHSPECS: '1',
  GIT_AUTHOR_NAME: 'Another',
  GIT_AUTHOR_DATE: '@0 +0000',
  GIT_QUARANTINE_PATH: '/elsewhere',
  VSCODE_GIT_ASKPASS_MAIN: '/code/askpass.js',
  ELECTRON_RUN_AS_NODE: '1',
  BRANCHLINE_MARK: 'stray',
  BRANCHLINE_WORKTREE: '/other',
});
/** What is the user's own stays. */
const own: NodeJS.ProcessEnv = {
  PATH: '/usr/bin',
  GIT_SSH_COMMAND: 'ssh -i key',
  GIT_CONFIG_GLOBAL: '/home/me/.gitconfig',
  GIT_COMMITTER_NAME: 'Me',
  NODE_ENV: 'test',
};

describe('environments of what we start', () => {
  it('hold nothing of a git or a VS Code around us, and all that is the user’s own', () => {
    const source = { ...hostile(), ...own };
    assert.deepEqual(userEnvironment(source), own);
    assert.deepEqual(agentEnvironment(place, { EXTRA: '1', PATH: '/agent' }, source), {
      ...own,
      PATH: '/agent',
      EXTRA: '1',
      BRANCHLINE_REPOSITORY: '/repo/.git',
      BRANCHLINE_WORKTREE: '/trees/b',
      BRANCHLINE_BRANCH: 'b',
    });
    assert.equal(agentEnvironment(place, { BRANCHLINE_BRANCH: 'main' }, source).BRANCHLINE_BRANCH, 'b');
    assert.equal(setupEnvironment(place, source).GIT_DIR, undefined);
  });

  it('take names in any case, as Windows does', () => {
    assert.deepEqual(userEnvironment({ Git_Dir: '/x', git_work_tree: '/x', Path: 'C:\\bin' }), { Path: 'C:\\bin' });
  });

  it('let git speak one language, ask nobody, and take its own variables from nobody else', () => {
    const environment = gitEnvironment(
      { ...hostile(), ...own, LC_ALL: 'de_DE.UTF-8', LANGUAGE: 'de' },
      { GIT_INDEX_FILE: '/ours' },
    );
    assert.equal(environment.LC_ALL, undefined);
    assert.equal(environment.LC_MESSAGES, 'C');
    assert.equal(environment.LC_CTYPE, 'de_DE.UTF-8', 'what characters mean stays');
    assert.equal(environment.GIT_TERMINAL_PROMPT, '0');
    assert.equal(environment.GIT_INDEX_FILE, '/ours');
    assert.equal(environment.GIT_DIR, undefined);
  });
});
