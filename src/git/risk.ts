/** What removing a worktree would lose: everything that is nowhere else, counted and named (invariants 10 and 13, requirement 44). */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, lstatSync, type Stats } from 'node:fs';
import { lstat, readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { Git, GitError } from './git.ts';
import type { OperationKind } from './operations.ts';
import { commonFolderOf, gitFolderOf } from './repository.ts';
import type { ChangedPath } from './status.ts';
import { changedWithout, difference, nulled, snapshot, withIndex } from './trees.ts';
import { submodulePaths, type WorktreeState, worktreeState } from './worktrees.ts';

/** A repository inside the worktree that holds something of its own. */
export interface InnerRisk {
  path: string;
  /** Changed or untracked files in it. */
  uncommitted: number;
  /** Commits in it that no remote of it has, as far as can be told; for one without a remote, all. */
  commits: number;
}

export interface IgnoredRisk {
  /** Ignored files that are only here; `atLeast` when counting was broken off. */
  files: number;
  atLeast: boolean;
  /** Bytes. */
  size: number;
  /** The first of them. */
  first: string[];
}

export interface AtRisk {
  /** Paths with uncommitted changes. */
  uncommitted: string[];
  /** Commits on the branch that no other branch and no remote has. The branch stays, and they with it. */
  unmerged: number;
  /** Commits of a HEAD without a branch that no branch, tag or remote has. */
  detached: number;
  /** What is stopped half-way, and what it has done. */
  operation: OperationKind | null;
  inner: InnerRisk[];
  ignored: IgnoredRisk | null;
}

export const noRisk: AtRisk = { uncommitted: [], unmerged: 0, detached: 0, operation: null, inner: [], ignored: null };

/** True when something would be lost that a person has to know of. Commits that a branch keeps are not lost. */
export const losesWork = (risk: AtRisk): boolean =>
  risk.uncommitted.length > 0 || risk.detached > 0 || risk.operation !== null || risk.inner.length > 0 || risk.ignored !== null;

export interface RiskOrder {
  branch: string;
  /** Links that we made. */
  links: readonly string[];
  /** Ignored files and folders that were there when the worktree was ready: made by us or by setup. */
  prepared: readonly string[];
  /** The commit that the branch was made from: what it records of submodules came from elsewhere. */
  base: string | null;
  /** Content after setup; what is still the same is nobody's work. */
  setupTree: string | null;
  /** A checkout of the repository to compare ignored files with. */
  mainCheckout: string | null;
}

/** Looks at everything in the worktree. Rejects with WorktreeError or GitError where it can't be counted: then nothing may be removed. */
export async function atRisk(git: Git, order: RiskOrder): Promise<AtRisk> {
  const state = await worktreeState(git);
  const ignoredPaths = await ignoredIn(git, order.links);
  const ignoredInside: string[] = [];
  const [uncommitted, unmerged, detached, inner] = [
    await uncommittedIn(git, state, order),
    await countNot(git, `refs/heads/${order.branch}`, [`--exclude=${order.branch}`, '--branches', '--remotes']),
    state.head === undefined ? 0 : await countNot(git, state.head, ['--branches', '--tags', '--remotes']),
    await innerRisks(git, state, ignoredPaths, order.base ?? undefined, ignoredInside),
  ];
  inner.push(...(await checkedOutNowhere(git, state.gitFolder, order.base ?? undefined)));
  return {
    uncommitted,
    unmerged,
    detached,
    operation: state.operation?.kind ?? null,
    inner,
    ignored: await ignoredRisk(git, [...ignoredPaths, ...ignoredInside], order, inner),
  };
}

async function uncommittedIn(git: Git, state: WorktreeState, { links, setupTree }: RiskOrder): Promise<string[]> {
  const shown = await changedInContent(git, changedWithout(state.changed, links));
  const paths = [...shown, ...(await hiddenChanges(git, state.gitFolder))];
  if (paths.length === 0 || setupTree === null) return paths;
  try {
    const now = await snapshot(git, state, links);
    const sinceSetup = new Set((await difference(git, setupTree, now.tree)).map(({ path }) => path));
    const shown = new Set(state.changed.map(({ path }) => path));
    return paths.filter((path) => sinceSetup.has(path) || !shown.has(path));
  } catch (error) {
    if (error instanceof GitError && error.reason === 'failed') return paths; // The tree is gone: all of it counts.
    throw error;
  }
}

/** Paths without those that `git status` names for other ends of lines alone, which are nothing to commit: it goes by the size. */
async function changedInContent(git: Git, changed: readonly ChangedPath[]): Promise<string[]> {
  const isUncertain = ({ staged, unstaged, unmerged }: ChangedPath) => unstaged && !staged && !unmerged;
  const all = changed.map(({ path }) => path);
  if (!changed.some(isUncertain)) return all;
  try {
    const output = await git.run('diff', '--name-only', '-z', '--no-renames', '--no-relative', '--ignore-submodules=none');
    const differing = new Set(output.split('\0'));
    return changed.flatMap((one) => (isUncertain(one) && !differing.has(one.path) ? [] : [one.path]));
  } catch (error) {
    if (error instanceof GitError && error.reason === 'failed') return all; // A filter refuses one of them.
    throw error;
  }
}

/** Changed files that git was told not to look at (`git update-index --assume-unchanged`, `--skip-worktree`), and that no status shows. */
async function hiddenChanges(git: Git, gitFolder: string): Promise<string[]> {
  const flagged = (await git.run('ls-files', '-v', '-z')).split('\0').flatMap((line) => {
    const path = line.slice(2);
    return /^[a-zS] /.test(line) && lstatSync(join(git.folder, path), { throwIfNoEntry: false }) ? [path] : [];
  });
  if (flagged.length === 0) return [];
  return withIndex(git, gitFolder, 'copy', async (own) => {
    for (const flag of ['--no-assume-unchanged', '--no-skip-worktree'])
      await own.feed(nulled(flagged), 'update-index', flag, '-z', '--stdin');
    await own.answer('update-index', '-q', '--refresh'); // It says no where something differs.
    const changed = new Set((await own.run('diff-files', '--name-only', '-z', '--ignore-submodules=all')).split('\0'));
    return flagged.filter((path) => changed.has(path));
  });
}

/** Commits of a revision that are in none of the others; 0 when there is no such revision. */
async function countNot(git: Git, revision: string, not: readonly string[]): Promise<number> {
  if ((await git.commit(revision)) === undefined) return 0;
  return Number((await git.run('rev-list', '--count', revision, '--not', ...not, '--')).trim());
}

/**
 * Submodules, and folders that are repositories of their own, also in ignored folders. `known`: a revision whose recorded commits came
 * from elsewhere. One that the branch itself records may be in this worktree alone.
 */
async function innerRisks(
  git: Git,
  state: WorktreeState,
  ignored: readonly string[],
  known: string | undefined,
  ignoredInside: string[],
): Promise<InnerRisk[]> {
  const lines = (await git.run('ls-files', '--stage', '-z')).split('\0');
  const pathOf = (line: string) => line.slice(line.indexOf('\t') + 1);
  const recorded = lines.flatMap((line) => (line.startsWith('160000 ') ? [pathOf(line)] : []));
  // A folder of tracked files may have become a repository besides: no status shows that.
  const folders = new Set<string>();
  for (const line of lines)
    for (let folder = dirname(pathOf(line)); folder !== '.' && !folders.has(folder); folder = dirname(folder))
      folders.add(folder);
  const within = [...folders].filter((folder) => existsSync(join(git.folder, folder, '.git')));
  const hidden: string[] = [];
  for (const path of ignored) if (path.endsWith('/')) hidden.push(...(await repositoriesBelow(git.folder, path.slice(0, -1))));
  const risks: InnerRisk[] = [];
  for (const path of new Set([...recorded, ...within, ...state.embedded, ...hidden])) {
    risks.push(...(await innerRisk(git, path, known, ignoredInside)));
  }
  return risks;
}

async function innerRisk(outer: Git, path: string, known: string | undefined, ignoredInside: string[]): Promise<InnerRisk[]> {
  const folder = join(outer.folder, path);
  const gitFolder = gitFolderOf(folder);
  if (!gitFolder) return []; // Not checked out.
  // A worktree of a repository that lies elsewhere has its commits there.
  const livesElsewhere = commonFolderOf(gitFolder) !== gitFolder;
  const git = new Git(folder);
  const state = await worktreeState(git);
  const all = livesElsewhere ? ['HEAD'] : ['--all', 'HEAD'];
  const revisions = state.head === undefined ? (livesElsewhere ? [] : ['--all']) : all;
  const elsewhere = livesElsewhere ? ['--branches', '--tags', '--remotes'] : ['--remotes'];
  const recorded = known === undefined ? undefined : await outer.ask('rev-parse', '--verify', '--quiet', `${known}:${path}`);
  const isHere = recorded !== undefined && (await git.commit(recorded)) !== undefined;
  const cameWith = livesElsewhere ? [] : await cameWithIt(git, gitFolder, state);
  const commits =
    revisions.length === 0
      ? 0
      : Number(
          (
            await git.feed(
              cameWith.map((sha) => `^${sha}\n`).join(''),
              ...['rev-list', '--count', '--stdin', ...revisions, '--not', ...elsewhere, ...(isHere ? [recorded] : []), '--'],
            )
          ).trim(),
        );
  const own: InnerRisk = { path, uncommitted: state.changed.length + state.embedded.length, commits };
  const deeper: InnerRisk[] = [];
  const ignored = await ignoredIn(git, []);
  const ignoredDeeper: string[] = [];
  for (const inner of await innerRisks(git, state, ignored, commits === 0 ? 'HEAD' : undefined, ignoredDeeper))
    deeper.push({ ...inner, path: `${path}/${inner.path}` });
  ignoredInside.push(...[...ignored, ...ignoredDeeper].map((one) => `${path}/${one}`));
  return [...(own.uncommitted > 0 || own.commits > 0 ? [own] : []), ...deeper];
}

/**
 * What a cloned repository has from its remote without a branch of the remote's: tags of releases, and what is checked out by a tag or an
 * id. git does not write down where those came from; a commit that is older than the repository was not made in it.
 */
async function cameWithIt(git: Git, gitFolder: string, { head, branch }: WorktreeState): Promise<string[]> {
  if ((await git.run('remote')).trim() === '') return [];
  const made = await madeAt(gitFolder);
  if (made === undefined) return [];
  // Of a tag that is an object of its own, the second time is that of its commit, and the first is none.
  const tags = await git.run('for-each-ref', '--format=%(objectname) %(committerdate:unix)%(*committerdate:unix)', 'refs/tags');
  const times = tags.split('\n').map((line): (string | undefined)[] => line.split(' '));
  if (head !== undefined && branch === undefined) {
    const [time] = (await git.run('rev-list', '--no-walk', '--timestamp', 'HEAD')).split(' ');
    times.push([head, time]);
  }
  return times.flatMap(([sha = '', time = '']) => (time !== '' && Number(time) < made ? [sha] : []));
}

/** Seconds since 1970 when a repository was made in this place: the earliest of what tells. */
async function madeAt(gitFolder: string): Promise<number | undefined> {
  const log = await readFile(join(gitFolder, 'logs', 'HEAD'), 'utf8').catch(() => '');
  const first = / (\d+) [-+]\d{4}\t/.exec(log)?.[1];
  // Written once, by `git init`; the log loses its oldest lines with the time.
  const description = await stat(join(gitFolder, 'description')).catch(() => undefined);
  const times = [...(first ? [Number(first)] : []), ...(description ? [Math.floor(description.mtimeMs / 1_000)] : [])];
  return times.length > 0 ? Math.min(...times) : undefined;
}

/** Submodules that this worktree has fetched or made and that are not checked out any more (`git submodule deinit`): they go with git's entry. */
async function checkedOutNowhere(outer: Git, gitFolder: string, known: string | undefined): Promise<InnerRisk[]> {
  const risks: InnerRisk[] = [];
  const recorded: string[] = [];
  for (const folder of await moduleFolders(join(gitFolder, 'modules'))) {
    const git = new Git(folder, { environment: { GIT_DIR: '.', GIT_WORK_TREE: '.' } });
    const named = await git.ask('config', '--get', 'core.worktree');
    if (named !== undefined && gitFolderOf(join(folder, named)) === folder) continue; // Counted where it is checked out.
    if (known !== undefined && recorded.length === 0)
      for (const line of (await outer.run('ls-tree', '-r', '-z', known)).split('\0'))
        if (line.startsWith('160000 ')) recorded.push(line.split(/[ \t]/)[2] as string);
    const here: string[] = [];
    for (const sha of recorded) if ((await git.commit(sha)) !== undefined) here.push(sha);
    const head = (await git.commit('HEAD')) === undefined ? [] : ['HEAD'];
    const commits = Number((await git.run('rev-list', '--count', '--all', ...head, '--not', '--remotes', ...here, '--')).trim());
    if (commits > 0)
      risks.push({
        path: named === undefined ? basename(folder) : relative(outer.folder, join(folder, named)),
        uncommitted: 0,
        commits,
      });
  }
  return risks;
}

/** Git directories at or below a folder of a git directory's `modules`, whose names may have slashes. */
async function moduleFolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const names = entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  if (names.includes('objects') && names.includes('refs')) return [folder, ...(await moduleFolders(join(folder, 'modules')))];
  const found: string[] = [];
  for (const name of names) found.push(...(await moduleFolders(join(folder, name))));
  return found;
}

/** Ignored files and folders, folders with a slash at their end; links of ours are none. */
export async function ignoredIn(git: Git, links: readonly string[]): Promise<string[]> {
  const output = await git.run('ls-files', '--others', '--ignored', '--exclude-standard', '--directory', '-z');
  return output.split('\0').filter((path) => path !== '' && !links.includes(path.replace(/\/$/, '')));
}

/** Like `ignoredIn`, with those in submodules that are checked out. */
export async function ignoredWithSubmodules(git: Git, links: readonly string[]): Promise<string[]> {
  const found = await ignoredIn(git, links);
  if (!existsSync(join(git.folder, '.gitmodules'))) return found;
  for (const path of await submodulePaths(git))
    if (gitFolderOf(join(git.folder, path)))
      found.push(...(await ignoredWithSubmodules(new Git(join(git.folder, path)), [])).map((one) => `${path}/${one}`));
  return found;
}

/** Most entries that are looked at; what is beyond them is told as "at least". */
const mostEntries = 50_000;
/** Files up to this many bytes are compared by content; larger ones by size. */
const compared = 16 * 1024 * 1024;
const shownFirst = 5;

async function ignoredRisk(
  git: Git,
  paths: readonly string[],
  { prepared, mainCheckout }: RiskOrder,
  inner: readonly InnerRisk[],
): Promise<IgnoredRisk | null> {
  const known = new Set(prepared);
  const risk: IgnoredRisk = { files: 0, atLeast: false, size: 0, first: [] };
  const budget = { left: mostEntries };
  for (const path of paths) {
    if (path.endsWith('/') && known.has(path)) continue; // Made by setup, or copied.
    // Of a folder that the main checkout has, too, only what that one lacks is counted: its content is made again.
    const isShared = path.endsWith('/') && mainCheckout !== null && existsSync(join(mainCheckout, path));
    const isInner = (one: string) => inner.some((other) => one === other.path || one.startsWith(`${other.path}/`));
    await countFiles(git.folder, path.replace(/\/$/, ''), budget, async (file, stat) => {
      if (isInner(file) || (known.has(file) && mainCheckout === null)) return;
      if (isShared && existsSync(join(mainCheckout, file))) return;
      if (mainCheckout !== null && (await isSame(join(git.folder, file), stat, join(mainCheckout, file)))) return;
      if (known.has(file) && mainCheckout !== null && !existsSync(join(mainCheckout, file))) return; // Made by setup.
      risk.files += 1;
      risk.size += stat.size;
      if (risk.first.length < shownFirst) risk.first.push(file);
    });
  }
  risk.atLeast = budget.left <= 0;
  return risk.files > 0 ? risk : null;
}

/** Calls `each` for all files at or below a path; links are not followed. */
async function countFiles(
  root: string,
  path: string,
  budget: { left: number },
  each: (path: string, stat: Stats) => Promise<void>,
): Promise<void> {
  if (budget.left <= 0) return;
  budget.left -= 1;
  const stat = await lstat(join(root, path)).catch(() => undefined);
  if (!stat) return;
  if (!stat.isDirectory()) return each(path, stat);
  for (const name of await readdir(join(root, path)).catch(() => [])) await countFiles(root, `${path}/${name}`, budget, each);
}

/** Repositories at or below an ignored folder. */
async function repositoriesBelow(root: string, path: string): Promise<string[]> {
  const found: string[] = [];
  const budget = { left: mostEntries };
  const look = async (here: string): Promise<void> => {
    budget.left -= 1;
    const entries = budget.left > 0 ? await readdir(join(root, here), { withFileTypes: true }).catch(() => []) : [];
    if (entries.some(({ name }) => name === '.git') && gitFolderOf(join(root, here))) {
      found.push(here);
      return;
    }
    for (const entry of entries) if (entry.isDirectory()) await look(`${here}/${entry.name}`);
  };
  await look(path);
  return found;
}

async function isSame(path: string, stat: Stats, other: string): Promise<boolean> {
  const there = await lstat(other).catch(() => undefined);
  if (!there || there.isFile() !== stat.isFile() || there.size !== stat.size) return false;
  if (!stat.isFile() || stat.size > compared) return true;
  return (await digestOf(path)) === (await digestOf(other));
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const part of createReadStream(path)) hash.update(part as Buffer);
  } catch {
    return `unreadable ${path}`;
  }
  return hash.digest('hex');
}
