/**
 * Repositories of every kind that people have, each made anew for one test. Beside what makes its kind, each has work of the user's
 * in it, which nothing may touch: changes in the open checkout, a worktree that another tool made, and one whose disk is away.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { findRepository } from '../../src/git/repository.ts';
import { isAtLeast, parseVersion } from '../../src/git/version.ts';
import type { TestSettings } from '../support/engines.ts';
import { git } from '../support/repositories.ts';

/** What an agent does besides in a repository of this kind, and what of it belongs in the commit. */
export interface Also {
  script: string;
  paths: string[];
  /** Repositories inside that then hold something of their own. */
  inner?: string[];
}

/** What stands in the way of commits, put there and taken away by the test. */
export interface Refusal {
  begin: () => void;
  end: () => void;
  words: RegExp;
}

export interface MadeRepository {
  /** The folder that the window has open. */
  open: string;
  /** The user's own checkouts: nothing in them may change. */
  checkouts: string[];
  branch: string;
  settings: Partial<TestSettings>;
  /** Of VS Code, while the test runs. */
  environment: NodeJS.ProcessEnv;
  also: (label: string) => Also;
  /** What has to hold of a commit besides. */
  check: (worktree: string, sha: string) => void;
  refusal: Refusal;
  /** What the branch's preparation fails for at first, and how it is mended; undefined where nothing is amiss. */
  lacks: { said: RegExp; mend: () => void } | undefined;
  /** Worktrees of the user's; `away` has its disk unplugged, and `plugIn` brings it back. */
  neighbours: { here: string; away: string; plugIn: () => void } | undefined;
}

export interface Kind {
  name: string;
  /** Why it can't be there on this machine; undefined where it can. */
  absent?: () => string | undefined;
  make: (folder: string) => Making;
}

/** What a kind says of itself; the rest is the same for all. */
type Making = Pick<MadeRepository, 'open' | 'checkouts'> & Partial<MadeRepository>;

/** Files that each repository begins with. */
export const content: Readonly<Record<string, string>> = {
  'README.md': '# Sample\n\nof a repository\n',
  'shared.txt': 'one\ntwo\nthree\n',
  'gone.txt': 'to be deleted\n',
  'a/one.txt': 'one\n',
  'b/two.txt': 'two\n',
  '.gitignore': '*.log\n.env\n',
};

export function writeFiles(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

/** Written by hand: the table makes hundreds of repositories, and each git of its own takes its time. */
function identify(folder: string): void {
  appendFileSync(
    join(commonFolder(folder), 'config'),
    '[user]\n\tname = Ada\n\temail = ada@example.com\n[commit]\n\tgpgsign = false\n',
  );
}

interface InitOrder {
  name?: string;
  options?: string[];
  files?: Record<string, string>;
}

/** A repository with one commit on `main`. */
function init(folder: string, { name = 'repo', options = [], files = {} }: InitOrder = {}): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  git(path, 'init', '--quiet', '--initial-branch=main', '--template=', ...options);
  identify(path);
  writeFiles(path, { ...content, ...files });
  git(path, 'add', '--all');
  git(path, 'commit', '--quiet', '--message', 'First');
  return path;
}

/** A shell script that can be run. */
export function script(path: string, ...lines: string[]): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${lines.join('\n')}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** `git submodule add` takes no other protocol's word for it that a path is harmless (CVE-2022-39253). */
export const localSubmodules = ['-c', 'protocol.file.allow=always'] as const;

const alone = (path: string): Making => ({ open: path, checkouts: [path] });
const installed = parseVersion(execFileSync('git', ['version'], { encoding: 'utf8' })) ?? ([0, 0] as const);

/** A hook that says no as long as a file is there. */
export const refusing = (file: string): string => `if test -e '${file}'; then echo 'the title must say why' >&2; exit 1; fi`;

export const kinds: readonly Kind[] = [
  { name: 'plain', make: (folder) => alone(init(folder)) },
  {
    name: 'linked worktree opened',
    make: (folder) => {
      const main = init(folder);
      const open = join(folder, 'opened here');
      git(main, 'worktree', 'add', '--quiet', '-b', 'opened', open);
      return { open, checkouts: [main, open] };
    },
  },
  {
    name: 'submodule opened',
    make: (folder) => {
      const inner = init(folder, { name: 'inner' });
      const outer = init(folder, { name: 'outer' });
      git(outer, ...localSubmodules, 'submodule', '--quiet', 'add', inner, 'sub');
      git(outer, 'commit', '--quiet', '--message', 'Submodule');
      const open = join(outer, 'sub');
      identify(open);
      return { open, checkouts: [outer, open] };
    },
  },
  {
    name: '--separate-git-dir',
    make: (folder) => {
      mkdirSync(join(folder, 'elsewhere'));
      return alone(init(folder, { options: [`--separate-git-dir=${join(folder, 'elsewhere', 'git files')}`] }));
    },
  },
  {
    name: 'bare',
    make: (folder) => {
      git(folder, 'clone', '--quiet', '--bare', init(folder, { name: 'source' }), 'repo.git');
      const open = join(folder, 'repo.git');
      identify(open);
      return { open, checkouts: [] };
    },
  },
  {
    name: '.bare with a .git file',
    make: (folder) => {
      const around = join(folder, 'project');
      mkdirSync(around);
      git(folder, 'clone', '--quiet', '--bare', init(folder, { name: 'source' }), join(around, '.bare'));
      writeFileSync(join(around, '.git'), 'gitdir: ./.bare\n');
      identify(around);
      const open = join(around, 'main');
      git(around, 'worktree', 'add', '--quiet', open, 'main');
      return { open, checkouts: [open] };
    },
  },
  {
    name: 'reftable',
    absent: () => (isAtLeast(installed, [2, 45]) ? undefined : `git ${installed.join('.')} has no reftable (2.45 has)`),
    make: (folder) => alone(init(folder, { options: ['--ref-format=reftable'] })),
  },
  {
    name: 'sha256',
    make: (folder) => ({
      ...alone(init(folder, { options: ['--object-format=sha256'] })),
      check: (_, sha) => assert.match(sha, /^[0-9a-f]{64}$/),
    }),
  },
  {
    name: 'odd path',
    make: (folder) => ({
      ...alone(init(join(folder, "-a place's"), { name: '-größe 日本 $x' })),
      branch: 'größe/日本-1',
      also: (label) => ({
        script: `printf '${label}' > "-ö 日本 'x.txt"; printf '${label}' > "$(printf 'two\\nlines')"`,
        paths: ["-ö 日本 'x.txt", 'two\nlines'],
      }),
    }),
  },
  {
    name: 'unborn',
    make: (folder) => {
      const open = join(folder, 'repo');
      mkdirSync(open);
      git(open, 'init', '--quiet', '--initial-branch=main');
      identify(open);
      writeFiles(open, content);
      const mend = () => {
        git(open, 'add', '--all');
        git(open, 'commit', '--quiet', '--no-verify', '--message', 'First');
      };
      return { ...alone(open), lacks: { said: /no commit yet.*Make a first commit, then retry/, mend } };
    },
  },
  {
    name: 'sparse',
    make: (folder) => {
      const open = init(folder);
      git(open, 'sparse-checkout', 'set', '--cone', '--sparse-index', 'a');
      return {
        ...alone(open),
        // Within the cone, and outside of it, where a plain `git add` refuses.
        also: (label) => ({
          script: `printf '${label}' > a/new.txt; mkdir -p b/new; printf '${label}' > b/new/outside.txt`,
          paths: ['a/new.txt', 'b/new/outside.txt'],
        }),
      };
    },
  },
  {
    name: 'partial clone',
    make: (folder) => {
      const source = init(folder, { name: 'source', files: { 'old.txt': 'old\n' } });
      writeFileSync(join(source, 'old.txt'), 'new\n');
      git(source, 'commit', '--quiet', '--all', '--message', 'Second');
      git(source, 'config', 'uploadpack.allowFilter', 'true');
      git(source, 'config', 'uploadpack.allowAnySHA1InWant', 'true');
      git(folder, 'clone', '--quiet', '--filter=blob:none', `file://${source}`, 'repo');
      const open = join(folder, 'repo');
      identify(open);
      return alone(open);
    },
  },
  {
    name: 'shallow clone',
    make: (folder) => {
      const source = init(folder, { name: 'source' });
      git(source, 'commit', '--quiet', '--allow-empty', '--message', 'Second');
      git(folder, 'clone', '--quiet', '--depth=1', `file://${source}`, 'repo');
      const open = join(folder, 'repo');
      identify(open);
      return alone(open);
    },
  },
  {
    name: 'filters',
    make: (folder) => {
      // Stored is another content than the one that is worked with, as with git-lfs and git-crypt.
      const box = script(
        join(folder, 'box'),
        'if test "$1" = clean; then echo boxed; tr a-z b-za; else sed 1d | tr b-za a-z; fi',
      );
      const open = join(folder, 'repo');
      mkdirSync(open);
      git(open, 'init', '--quiet', '--initial-branch=main');
      for (const [name, value] of [
        ['clean', `'${box}' clean`],
        ['smudge', `'${box}' smudge`],
        ['required', 'true'],
      ] as const)
        git(open, 'config', `filter.box.${name}`, value);
      init(folder, { files: { '.gitattributes': '*.bin filter=box -text\n', 'big.bin': 'plain words\n' } });
      return {
        ...alone(open),
        also: (label) => ({ script: `echo '${label}' > big.bin`, paths: ['big.bin'] }),
        check: (worktree, sha) => {
          assert.match(git(worktree, 'cat-file', 'blob', `${sha}:big.bin`), /^boxed\n/);
          assert.doesNotMatch(readFileSync(join(worktree, 'big.bin'), 'utf8'), /^boxed/);
        },
      };
    },
  },
  {
    name: 'hooks by core.hooksPath',
    make: (folder) => {
      const refuse = join(folder, 'refuse');
      const open = init(folder);
      script(join(open, '.githooks', 'commit-msg'), refusing(refuse), 'printf "\\nChecked: yes\\n" >> "$1"');
      // Reformats what is staged, and stages it itself, as lint-staged does.
      script(
        join(open, '.githooks', 'pre-commit'),
        'if test -n "$(git diff --cached --name-only --diff-filter=AM -- README.md)"; then',
        '  text=$(sed "s/ *$//" README.md); printf "%s\\n" "$text" > README.md; git add README.md',
        'fi',
      );
      git(open, 'add', '--all');
      git(open, 'commit', '--quiet', '--message', 'Hooks');
      git(open, 'config', 'core.hooksPath', '.githooks');
      return {
        ...alone(open),
        refusal: byFile(refuse, /the title must say why/),
        check: (worktree, sha) => assert.match(git(worktree, 'log', '-1', '--format=%B', sha), /Checked: yes/),
      };
    },
  },
  {
    name: 'signing',
    make: (folder) => {
      const refuse = join(folder, 'refuse');
      const open = init(folder);
      const program = script(
        join(folder, 'gpg'),
        `if test -e '${refuse}'; then echo 'the card is not there' >&2; exit 2; fi`,
        'cat > /dev/null',
        'echo "[GNUPG:] SIG_CREATED D 1 8 00 0 0" >&2',
        'printf -- "-----BEGIN PGP SIGNATURE-----\\n\\nabc\\n-----END PGP SIGNATURE-----\\n"',
      );
      git(open, 'config', 'gpg.program', program);
      git(open, 'config', 'commit.gpgsign', 'true');
      return {
        ...alone(open),
        refusal: byFile(refuse, /failed to sign/),
        check: (worktree, sha) => assert.match(git(worktree, 'cat-file', 'commit', sha), /^gpgsig -----BEGIN PGP SIGNATURE/m),
      };
    },
  },
  {
    name: 'another language',
    make: (folder) => {
      const real = execFileSync('which', ['git'], { encoding: 'utf8' }).trim();
      const words = join(folder, 'words');
      mkdirSync(words);
      // As a git that knows only one language, whatever it is asked for.
      script(
        join(folder, 'bin', 'git'),
        `words=$(mktemp '${words}/XXXXXX')`,
        `'${real}' "$@" 2> "$words"; status=$?`,
        'sed -e \'s/fatal:/schwerwiegend:/; s/error:/Fehler:/; s/hint:/Hinweis:/; s/nothing to commit/nichts zu committen/; s/already/bereits/; s/not/nicht/\' "$words" >&2',
        'rm -f "$words"; exit $status',
      );
      return {
        ...alone(init(folder)),
        environment: {
          PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
          LC_ALL: 'de_DE.UTF-8',
          LANG: 'de_DE.UTF-8',
          LANGUAGE: 'de',
        },
      };
    },
  },
  {
    name: 'odd configuration',
    make: (folder) => {
      const open = init(folder);
      const hangs = script(join(folder, 'hangs'), 'exec sleep 300');
      const fails = script(join(folder, 'fails'), 'exit 1');
      writeFileSync(join(folder, 'template'), '# of the message\n');
      // What people have in theirs, and what only programs that read words for people fall over.
      const settings: Record<string, string> = {
        'add.ignoreErrors': 'true',
        'branch.autoSetupMerge': 'always',
        'color.ui': 'always',
        'column.ui': 'always',
        'commit.cleanup': 'scissors',
        'commit.template': join(folder, 'template'),
        'commit.verbose': 'true',
        'core.abbrev': '4',
        'core.editor': hangs,
        'core.logAllRefUpdates': 'false',
        'core.pager': hangs,
        'core.safecrlf': 'true',
        'core.sharedRepository': 'group',
        'diff.external': fails,
        'diff.ignoreSubmodules': 'all',
        'diff.mnemonicPrefix': 'true',
        'diff.noprefix': 'true',
        'diff.renames': 'copies',
        'feature.experimental': 'true',
        'i18n.commitEncoding': 'ISO-8859-1',
        'log.showSignature': 'true',
        'merge.conflictStyle': 'diff3',
        'pager.status': hangs,
        'status.relativePaths': 'true',
        'status.showUntrackedFiles': 'no',
        'worktree.guessRemote': 'true',
      };
      const text = Object.entries(settings).map(([name, value]) => {
        const [section, key] = name.split('.');
        return `[${section}]\n\t${key} = ${value}\n`;
      });
      appendFileSync(join(open, '.git', 'config'), text.join(''));
      return { ...alone(open), environment: { GIT_PAGER: hangs, GIT_EXTERNAL_DIFF: fails, GIT_DIFF_OPTS: '-u0' } };
    },
  },
  {
    name: 'with a submodule',
    make: (folder) => {
      const inner = init(folder, { name: 'inner' });
      const open = init(folder);
      git(open, ...localSubmodules, 'submodule', '--quiet', 'add', inner, 'sub');
      git(open, 'commit', '--quiet', '--message', 'Submodule');
      const command = 'git -c protocol.file.allow=always submodule --quiet update --init';
      return {
        ...alone(open),
        settings: { worktrees: { setup: [{ command, wait: true, timeoutSeconds: 60 }] } },
        also: (label) => ({ script: `echo '${label}' >> sub/README.md`, paths: [], inner: ['sub'] }),
      };
    },
  },
  {
    name: 'with a repository inside',
    make: (folder) => ({
      ...alone(init(folder)),
      // As generators do.
      also: (label) => ({
        script: [
          'mkdir -p made/app; cd made/app; git init --quiet',
          `echo '${label}' > app.txt; git add app.txt`,
          'git -c user.name=Gen -c user.email=gen@example.com -c core.hooksPath=/dev/null -c commit.gpgsign=false commit --quiet -m Made',
          'cd ../..',
        ].join('\n'),
        paths: [],
        inner: ['made/app'],
      }),
    }),
  },
  {
    name: 'split index, caches on',
    make: (folder) => {
      const open = init(folder);
      // Says that anything may have changed, which is always true (githooks(5), fsmonitor-watchman).
      const monitor = script(join(folder, 'monitor'), "printf 'now\\0/\\0'");
      for (const [name, value] of [
        ['core.splitIndex', 'true'],
        ['core.untrackedCache', 'true'],
        ['core.fsmonitor', monitor],
        ['core.fsmonitorHookVersion', '2'],
        ['index.version', '4'],
      ] as const)
        git(open, 'config', name, value);
      git(open, 'status');
      return alone(open);
    },
  },
];

export function kindNamed(name: string): Kind {
  const kind = kinds.find((one) => one.name === name);
  if (!kind) throw new Error(`There is no kind "${name}".`);
  return kind;
}

function byFile(file: string, words: RegExp): Refusal {
  return { begin: () => writeFileSync(file, ''), end: () => rmSync(file), words };
}

/** The common git directory of the repository that a folder lies in. */
export function commonFolder(folder: string): string {
  const found = findRepository(folder);
  if (!found) throw new Error(`${folder} is in no repository.`);
  return found.commonFolder;
}

/** A repository of this kind, with work of the user's in it. */
export function makeOf(kind: Kind, folder: string): MadeRepository {
  const making = kind.make(folder);
  const refuse = join(folder, 'refuse');
  if (!making.refusal) script(join(commonFolder(making.open), 'hooks', 'commit-msg'), refusing(refuse));
  for (const checkout of making.checkouts) {
    appendFileSync(join(checkout, 'a', 'one.txt'), 'changed by the user\n');
    writeFileSync(join(checkout, 'mine.txt'), 'mine\n');
    writeFileSync(join(checkout, 'staged.txt'), 'staged\n');
    if (!making.lacks) git(checkout, 'add', 'staged.txt');
  }
  return {
    branch: 'b',
    settings: {},
    environment: {},
    also: () => ({ script: '', paths: [] }),
    check: () => undefined,
    refusal: byFile(refuse, /the title must say why/),
    lacks: undefined,
    neighbours: making.lacks ? undefined : neighboursOf(making.open, folder),
    ...making,
  };
}

function neighboursOf(open: string, folder: string): MadeRepository['neighbours'] {
  const here = join(folder, 'other tool', 'here');
  const disk = join(folder, 'disk');
  const away = join(disk, 'away');
  for (const path of [here, away]) {
    mkdirSync(dirname(path), { recursive: true });
    git(open, 'worktree', 'add', '--quiet', '-b', `user/${path === here ? 'here' : 'away'}`, path);
    writeFileSync(join(path, 'staged.txt'), 'staged\n');
    git(path, 'add', 'staged.txt');
    writeFileSync(join(path, 'loose.txt'), 'loose\n');
  }
  renameSync(disk, join(folder, 'disk that is away'));
  const plugIn = () => {
    if (!existsSync(disk)) renameSync(join(folder, 'disk that is away'), disk);
  };
  return { here, away, plugIn };
}
