/** What git says of a worktree: its branch, what is changed, in conflict, or a repository of its own; one process, one format made for programs. */
import type { Git } from './git.ts';

export interface ChangedPath {
  path: string;
  /** Differs between HEAD and the index. */
  staged: boolean;
  /** Differs between the index and the folder. */
  unstaged: boolean;
  untracked: boolean;
  /** Tracked, and not in the folder any more. */
  gone?: boolean;
  /** Three versions stand against each other. */
  unmerged: boolean;
  /** The kinds of the sides of an unmerged path: `UU`, `AA`, `DU`, ... (git-status(1)). */
  sides: string | undefined;
}

/** A repository inside the worktree that has something of its own. */
export interface InnerChange {
  path: string;
  /** Its HEAD is another commit than the one that is recorded. */
  commit: boolean;
  /** Changed or untracked files in it. */
  content: boolean;
}

export interface Status {
  /** Full sha; undefined for an unborn branch. */
  head: string | undefined;
  /** Short name; undefined when HEAD is detached. */
  branch: string | undefined;
  changed: ChangedPath[];
  /** Submodules with changes of their own. */
  submodules: InnerChange[];
  /** Folders that are repositories of their own and known to nobody (git shows them as one untracked folder). */
  embedded: string[];
  /** Repositories inside that are staged and not in HEAD: new submodules, or hulls (a commit is recorded and its content is nowhere). */
  newRepositories: ChangedPath[];
}

/** What `git status` says. Ignored files are not in it. */
export async function statusOf(git: Git): Promise<Status> {
  return parseStatus(
    await git.run(
      'status',
      '--porcelain=v2',
      '--branch',
      '-z',
      '--untracked-files=all',
      '--no-renames',
      '--ignore-submodules=none',
    ),
  );
}

/** Parses `git status --porcelain=v2 --branch -z` (git-status(1)). */
export function parseStatus(output: string): Status {
  const status: Status = { head: undefined, branch: undefined, changed: [], submodules: [], embedded: [], newRepositories: [] };
  const fields = output.split('\0');
  for (let index = 0; index < fields.length; index += 1) {
    const field = fields[index] as string;
    switch (field[0]) {
      case '#': {
        const [, name, value = ''] = field.split(' ');
        if (name === 'branch.oid' && value !== '(initial)') status.head = value;
        if (name === 'branch.head') status.branch = headName(field);
        break;
      }
      case '1':
        changedPath(status, field, 8);
        break;
      case '2':
        changedPath(status, field, 9);
        index += 1; // Followed by the path it came from.
        break;
      case 'u':
        status.changed.push({
          path: rest(field, 10),
          staged: false,
          unstaged: false,
          untracked: false,
          unmerged: true,
          sides: field.slice(2, 4),
        });
        break;
      case '?': {
        const path = field.slice(2);
        // With --untracked-files=all only a repository of its own is shown as a folder.
        if (path.endsWith('/')) status.embedded.push(path.slice(0, -1));
        else status.changed.push({ path, staged: false, unstaged: false, untracked: true, unmerged: false, sides: undefined });
        break;
      }
      default:
        break;
    }
  }
  return status;
}

/** `# branch.head NAME`; a branch may be called `(detached)`, which git itself can't tell apart either. */
function headName(field: string): string | undefined {
  const name = field.slice('# branch.head '.length);
  return name === '(detached)' ? undefined : name;
}

function changedPath(status: Status, field: string, before: number): void {
  const path = rest(field, before);
  const x = field[2] as string;
  const y = field[3] as string;
  const submodule = field.slice(5, 9);
  if (submodule[0] === 'S') {
    const inner = { path, commit: submodule[1] === 'C', content: submodule[2] === 'M' || submodule[3] === 'U' };
    if (inner.commit || inner.content) status.submodules.push(inner);
    if (x === '.' && !inner.commit && y === 'M') return; // Nothing that this repository could record.
  }
  const isNewRepository = field.slice(10, 16) !== gitlink && field.slice(17, 23) === gitlink;
  (isNewRepository ? status.newRepositories : status.changed).push({
    path,
    staged: x !== '.',
    unstaged: y !== '.',
    untracked: false,
    ...(y === 'D' ? { gone: true } : {}),
    unmerged: false,
    sides: undefined,
  });
}

/** Mode of a repository inside (git-fast-import(1)). */
const gitlink = '160000';

/** What stands behind the first `count` fields. A path may hold spaces. */
function rest(field: string, count: number): string {
  let at = 0;
  for (let n = 0; n < count; n += 1) at = field.indexOf(' ', at) + 1;
  return field.slice(at);
}
