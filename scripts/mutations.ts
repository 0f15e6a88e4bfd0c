/**
 * Breaks one thing at a time in a copy of the project and says which test notices. One that nothing notices needs a test.
 * Usage: npm run test:mutations [-- NAME ...], where NAME is a part of a mutation's name.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './vscodeHost.ts';

interface Mutation {
  name: string;
  file: string;
  find: string;
  replace: string;
  /** Files of `test` that are run until one fails. */
  tests: string[];
  rounds?: number;
}

const store = ['unit/store/store', 'faults/powerCuts'];
const work = ['unit/work/turnWork', 'git/faults', 'git/likeFaults'];
const mutations: Mutation[] = [
  {
    name: 'a commit without its sync',
    file: 'store/journal.ts',
    find: 'await this.#file.datasync();\n    this.#length = end;',
    replace: 'this.#length = end;',
    tests: ['faults/powerCuts'],
  },
  {
    name: 'a journal whose name is not synced',
    file: 'store/journal.ts',
    find: 'await files.syncFolder(folder);',
    replace: '',
    tests: ['faults/powerCuts'],
  },
  {
    name: 'files put in place without a sync of the folder',
    file: 'store/fileSystem.ts',
    find: 'await files.rename(temporary, path);\n  } catch',
    replace: 'await files.rename(temporary, path);\n    return;\n  } catch',
    tests: ['faults/powerCuts'],
  },
  {
    name: 'files put in place without a sync of their content',
    file: 'store/fileSystem.ts',
    find: 'await writeFully(file, data, 0);\n      await file.datasync();',
    replace: 'await writeFully(file, data, 0);',
    tests: ['faults/powerCuts'],
  },
  {
    name: 'a tail that only the cache holds is built on',
    file: 'store/store.ts',
    find: 'await syncFiles(\n        files,\n        found.unsynced.map',
    replace: 'await syncFiles(\n        files,\n        [].map',
    tests: ['faults/powerCuts', 'faults/model'],
  },
  {
    name: 'a generation whose checksum is not looked at',
    file: 'store/generations.ts',
    find: 'image && checksum(image) === generation.crc ? image : undefined',
    replace: 'image',
    tests: [...store, 'faults/damage'],
  },
  {
    name: 'lines of the journal whose checksum is not looked at',
    file: 'store/record.ts',
    find: 'if (hex(crc32(body)) !== crc) return undefined;',
    replace: '',
    tests: [...store, 'faults/damage'],
  },
  {
    name: 'a failed append that is not taken back',
    file: 'store/journal.ts',
    find: 'if (written > start) await writeFully(this.#file, Buffer.alloc(written - start), start);',
    replace: '',
    tests: store,
  },
  {
    name: 'told before it is durable',
    file: 'store/store.ts',
    find: 'const failure = await this.#makeDurable(',
    replace: 'for (const { one, result } of applied) one.resolve(result);\n    const failure = await this.#makeDurable(',
    tests: store,
  },
  {
    name: 'shown before it is durable',
    file: 'store/store.ts',
    find: 'const failure = await this.#makeDurable(',
    replace:
      'for (const { mutations } of applied) this.state.apply(mutations, emptyChange());\n    const failure = await this.#makeDurable(',
    tests: store,
  },
  {
    name: 'no fence',
    file: 'store/store.ts',
    find: 'if (identity === this.#identity) return false;',
    replace: 'if (identity) return false;',
    tests: ['unit/store/store', 'faults/windows'],
  },
  {
    name: 'a replay that may differ',
    file: 'store/recovery.ts',
    find: "if (changes !== record.changes) throw new Error('A replay changed other rows than the first run.');",
    replace: '',
    tests: store,
  },
  {
    name: 'commits that the dispatcher does not look at',
    file: 'sessions/engine.ts',
    find: '      dispatcher.reconcile();\n      this.#emit(change);',
    replace: '      this.#emit(change);',
    tests: ['integration/mainJob'],
  },
  {
    name: 'commits that the provisioner does not look at',
    file: 'sessions/engine.ts',
    find: '      provisioner.reconcile();\n      dispatcher',
    replace: '      dispatcher',
    tests: ['integration/mainJob'],
  },
  {
    name: "a host's word that is lost is not asked for",
    file: 'sessions/dispatcher.ts',
    find: 'if (isNews(status, turn) || ',
    replace: 'if (',
    tests: ['faults/model', 'faults/disk'],
    rounds: 2,
  },
  {
    name: 'a prompt that may have been handed over is sent again',
    file: 'sessions/recovery.ts',
    find: "found.kind === 'handedOver' || row.state === 'running'",
    replace: 'false as boolean',
    tests: ['faults/model', 'faults/agents'],
  },
  {
    name: 'the hand-over written after the prompt was sent',
    file: 'agentHost/turnRunner.ts',
    find: "      type: 'handover',\n",
    replace: "      type: 'notice',\n      text: '',\n",
    tests: ['faults/agents', 'faults/kills'],
  },
  {
    name: 'a turn that was passed starts all the same',
    file: 'sessions/dispatcher.ts',
    find: 'if (headOf(tx, turn.branchId)?.id !== turn.id) return undefined;',
    replace: '',
    tests: ['unit/sessions/dispatcher'],
  },
  {
    name: 'a start beyond a limit that was lowered',
    file: 'sessions/dispatcher.ts',
    find: 'if (!trusted() || !this.#hasPlace()) return undefined;',
    replace: '',
    tests: ['unit/sessions/dispatcher'],
  },
  {
    name: 'two turns on one branch',
    file: 'sessions/nextTurn.ts',
    find: 'if (head && !isActive(head.state) && ',
    replace: 'if (head && ',
    tests: ['unit/sessions/nextTurn'],
  },
  {
    name: 'turns accepted on a branch that is being removed',
    file: 'sessions/queue.ts',
    find: "if (!branch || branch.worktreeState === 'removing' || branch.worktreeState === 'removed') {\n    throw",
    replace: 'if (!branch) {\n    throw',
    tests: ['integration/worktrees'],
  },
  {
    name: 'the claim on a worktree ignored',
    file: 'agentHost/turnRunner.ts',
    find: 'held = await this.#claim(job);',
    replace: '',
    tests: ['faults/windows'],
  },
  {
    name: 'worktrees of one repository made by two windows at once',
    file: 'worktrees/provisioner.ts',
    find: 'claim(repositoryClaim(repository), signal)',
    replace: 'claim(`none:${Math.random()}`, signal)',
    tests: ['faults/windows'],
    rounds: 3,
  },
  {
    name: "an agent in another checkout than its branch's",
    file: 'work/turnWork.ts',
    find: 'if (!isOnBranch(state, branch)) throw new WorktreeError(',
    replace: 'if (title === branch) throw new WorktreeError(',
    tests: ['faults/git'],
  },
  {
    name: "a process with a host's old pid taken for the host",
    file: 'platform/processTable.ts',
    find: 'entry?.startTime === identity.startTime;',
    replace: 'entry?.pid === identity.pid;',
    tests: ['unit/platform/processes', 'faults/windows'],
  },
  {
    name: 'what an agent started left behind',
    file: 'agents/hosts.ts',
    find: 'await endMarked(hostId, { grace: this.#options.endGrace ?? 500, ...(keeper ? { keeper } : {}) });',
    replace: "[] as ProcessIdentity[];\n    if (keeper) process.kill(keeper.pid, 'SIGKILL');",
    tests: ['faults/agents'],
  },
  {
    name: 'a lock taken on a file that is about to vanish',
    file: 'platform/fileLock.ts',
    find: 'if (await isAt(path, held)) return',
    replace: 'if (held) return',
    tests: ['unit/platform/exclusive'],
  },
  {
    name: 'a stopped process never woken to hear that it should end',
    file: 'platform/processes.ts',
    find: "system.signal(entry.pid, 'SIGCONT');",
    replace: '',
    tests: ['unit/platform/processes'],
  },
  {
    name: 'a frozen host waited for',
    file: 'agents/hosts.ts',
    find: "const isFrozen = answer === 'silent' ||",
    replace: "const isFrozen = answer === 'there' ||",
    tests: ['faults/frozen'],
  },
  {
    name: 'a host that never looks whether it can still be found',
    file: 'agentHost/main.ts',
    find: 'stayReachable(), capFile',
    replace: 'Promise.resolve(), capFile',
    tests: ['faults/frozen'],
  },
  {
    name: 'hooks that outlive their git',
    file: 'git/git.ts',
    find: 'if (abort.aborted) await endMarked(mark, { grace: hookGrace });',
    replace: '',
    tests: ['faults/git'],
  },
  {
    name: 'lines of a transcript cut where a block ends',
    file: 'store/transcriptLines.ts',
    find: 'bytes: pieces.take(read.subarray(from, feed), false)',
    replace: 'bytes: read.subarray(from, feed)',
    tests: ['unit/store/transcripts', 'unit/webview/transcriptReaders'],
  },
  {
    name: 'the end announced before the transcript is durable',
    file: 'agentHost/turnRunner.ts',
    find: 'await this.#writeEnd(job, end);\n',
    replace: 'void this.#writeEnd(job, end);\n',
    tests: ['integration/agents', 'integration/mainJob', 'faults/agents', 'faults/kills', 'faults/disk'],
  },
  // The work of turns.
  {
    name: 'no tree before a turn',
    file: 'work/turnWork.ts',
    find: 'const before = await snapshot(git, state, links);\n  await removeOldIndexes',
    replace: 'const before = { head: state.head, tree: state.head as string };\n  await removeOldIndexes',
    tests: work,
  },
  {
    name: 'everything that is dirty committed',
    file: 'work/turnWork.ts',
    find: 'const candidates = changed.filter(({ path }) => (own.has(path) || solved.has(path)) && (order.only?.has(path) ?? true));',
    replace: 'const candidates = changed;',
    tests: work,
  },
  {
    name: 'what others staged committed, too',
    file: 'git/commits.ts',
    find: 'else if (others) await onlyThese(git, state.gitFolder, wanted, (own) => own.run(...usual));',
    replace: '',
    tests: work,
  },
  {
    name: 'work that is in no commit not kept',
    file: 'work/turnWork.ts',
    find: 'if (isOff || (isLeft && files.length > 0)) work.ref = turnRef(turnId);',
    replace: '',
    tests: work,
  },
  {
    name: 'work named by a ref that is not written',
    file: 'git/trees.ts',
    find: "await git.run('update-ref', ref, sha);",
    replace: '',
    tests: work,
  },
  {
    name: 'what was there before a turn not kept',
    file: 'work/turnWork.ts',
    find: 'if (before.tree !== before.head) await keep(',
    replace: 'if (before.tree === null) await keep(',
    tests: work,
  },
  {
    name: 'marks of a conflict committed',
    file: 'git/conflicts.ts',
    find: 'return middle !== null && /^>{7,}',
    replace: 'return middle === null && /^>{7,}',
    tests: work,
  },
  {
    name: 'an unfinished merge committed',
    file: 'work/turnWork.ts',
    find: "if (operation && operation.kind !== 'bisect') {",
    replace: 'if (operation === null) {',
    tests: work,
  },
  {
    name: 'a merge of somebody else concluded by a turn',
    file: 'work/turnWork.ts',
    find: 'if (!operation.endsWithCommit || !isSolved || !(wasThere || order.byPerson)) {',
    replace: 'if (!operation.endsWithCommit || !isSolved) {',
    tests: work,
  },
  {
    name: 'committed to another branch',
    file: 'work/turnWork.ts',
    find: 'if (!isOnBranch(state, branch))\n    return own.size > 0',
    replace: 'if (order.message === branch)\n    return own.size > 0',
    tests: work,
  },
  {
    name: 'what a hook reformats not taken in',
    file: 'work/turnWork.ts',
    find: "if (commit?.state !== 'held' || commit.why !== 'refused' || !hookMayMend) break;\n      // A hook",
    replace: 'if (commit?.state !== undefined) break;\n      // A hook',
    tests: ['unit/work/turnWork', 'git/faults', 'git/likeFaults'],
  },
  {
    name: 'links of ours taken for changes',
    file: 'git/trees.ts',
    find: 'return changed.filter(({ path }) => !links.some((link) => path === link || path.startsWith(`${link}/`)));',
    replace: 'return [...changed];',
    tests: work,
  },
  {
    name: 'repositories inside committed without their content',
    file: 'git/commits.ts',
    find: 'if (hulls.length === 0) return;',
    replace: 'if (hulls.length >= 0) return;',
    tests: work,
  },
  {
    name: 'a folder that took the place of a worktree made one',
    file: 'work/turnWork.ts',
    find: 'if (beginning.folder !== undefined && beginning.folder === folderIdentity(git.folder))',
    replace: 'if (order.repository !== undefined)',
    tests: ['unit/work/turnWork', 'git/likeFaults', 'integration/worktrees'],
  },
  {
    name: 'entries of worktrees of others pruned',
    file: 'worktrees/steps/createWorktree.ts',
    find: 'await refuseLostBranch(git, context);',
    replace: "await git.run('worktree', 'prune', '--expire=now');\n  await refuseLostBranch(git, context);",
    tests: ['git/faults', 'integration/worktrees'],
  },
  {
    name: 'commits of a detached HEAD not counted',
    file: 'git/risk.ts',
    find: "state.head === undefined ? 0 : await countNot(git, state.head, ['--branches', '--tags', '--remotes'])",
    replace: '0',
    tests: ['git/faults', 'git/likeFaults'],
  },
  {
    name: 'ignored files not counted',
    file: 'git/risk.ts',
    find: 'return risk.files > 0 ? risk : null;',
    replace: 'return null;',
    tests: ['git/faults', 'git/likeFaults'],
  },
  {
    name: 'repositories inside not counted',
    file: 'git/risk.ts',
    find: '...(own.uncommitted > 0 || own.commits > 0 ? [own] : [])',
    replace: '',
    tests: ['git/faults', 'git/likeFaults'],
  },
  {
    name: 'a link followed by a removal',
    file: 'worktrees/removal.ts',
    find: 'for (const link of linksOf(branch)) unlinkLink(path, link);',
    replace: 'for (const link of linksOf(branch)) rmSync(`${path}/${link}/`, { recursive: true, force: true });',
    tests: ['git/faults', 'git/likeFaults'],
  },
  {
    name: 'a removal beside an agent at work',
    file: 'sessions/branchRemoval.ts',
    find: 'if (worktreePath === null || isOurs) return;',
    replace: 'if (worktreePath !== null || isOurs) return;',
    tests: ['git/faults', 'faults/windows', 'integration/worktrees'],
  },
  {
    name: 'git pointed elsewhere by the environment',
    file: 'platform/environment.ts',
    find: 'if (gitLocal.has(nameOf(name)) ||',
    replace: 'if (',
    tests: ['unit/platform/environment', 'git/faults'],
  },
  {
    name: 'a commit made a second time after a kill',
    file: 'work/turnWork.ts',
    find: 'if (candidates.length > 0) return commitNow(git, order, state, candidates, false);\n',
    replace: 'if (candidates.length > 0 || files.length > 0) return commitNow(git, order, state, candidates, false);\n',
    tests: ['unit/work/turnWork', 'faults/work', 'git/faults'],
  },
  {
    name: 'the answer of an agent not written before the commit',
    file: 'agentHost/turnRunner.ts',
    find: "    this.#write({ type: 'answered', attempt: job.attempt, ...given });\n",
    replace: '',
    tests: ['unit/agentHost/turnRunner', 'faults/work', 'integration/agents'],
  },
  // What waits.
  {
    name: 'a limit that is reached taken for a failure',
    file: 'sessions/turnEnd.ts',
    find: 'const isToWait = end.unavailable && ',
    replace: "const isToWait = end.message === '' && end.unavailable && ",
    tests: ['integration/waits'],
  },
  {
    name: 'several turns that try an agent at once',
    file: 'sessions/nextTurn.ts',
    find: 'if (agent === undefined) return true;',
    replace: 'return true;',
    tests: ['unit/sessions/agentWaits', 'integration/waits'],
  },
  {
    name: 'a question that keeps its place',
    file: 'sessions/nextTurn.ts',
    find: '.filter(({ permission }) => permission === null)',
    replace: '',
    tests: ['integration/waits'],
  },
  {
    name: 'a conversation ended by what passes',
    file: 'agentHost/agentProcess.ts',
    find: 'if (this.hasExited || !isConversationGone((error as Error).cause ?? error)) throw error;',
    replace: 'if (this.hasExited) throw error;',
    tests: ['integration/waits'],
  },
  {
    name: 'a prompt sent again for which work was done',
    file: 'agentHost/doings.ts',
    find: 'return this.#acted || ',
    replace: 'return ',
    tests: ['integration/waits'],
  },
  {
    name: 'an owner that nobody sees keeps the queue',
    file: 'sessions/handover.ts',
    find: ' || !(await this.#options.isSeen())',
    replace: '',
    tests: ['faults/windows'],
  },
  {
    name: 'edits of any file allowed',
    file: 'agentHost/permissionChoice.ts',
    find: 'if (!paths.every(isOwn)) return false;',
    replace: '',
    tests: ['unit/agentHost/permissionChoice'],
  },
];

const copy = join(root, 'out', 'mutations');
rmSync(copy, { recursive: true, force: true });
mkdirSync(copy, { recursive: true });
for (const name of ['src', 'test', 'scripts', 'media', 'package.json', 'tsconfig.json', '.mocharc.json'])
  cpSync(join(root, name), join(copy, name), { recursive: true });
symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'), 'junction');

const wanted = process.argv.slice(2);
const rows: { broken: string; 'noticed by': string }[] = [];
for (const { name, file, find, replace, tests, rounds = 1 } of mutations) {
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue;
  const path = join(copy, 'src', file);
  const sound = readFileSync(path, 'utf8');
  if (!sound.includes(find)) throw new Error(`"${name}": what it breaks is not in ${file} any more.`);
  writeFileSync(
    path,
    sound.replace(find, () => replace),
  );
  spawnSync(process.execPath, ['scripts/build.ts'], { cwd: copy, stdio: 'ignore' });
  let noticed = '';
  for (const test of tests) {
    const { status, stdout } = spawnSync('mocha', ['--bail', '--exit', `test/${test}.test.ts`], {
      cwd: copy,
      encoding: 'utf8',
      env: { ...process.env, BRANCHLINE_ROUNDS: String(rounds), BRANCHLINE_WHOLE_TABLE: '1' },
      timeout: 400_000,
      maxBuffer: 1 << 28,
    });
    if (status === 0 || status === null) continue; // It held, or its time ran out.
    noticed = `${test}: ${/^ {4,}1\) (.*)$/m.exec(stdout)?.[1] ?? 'it ended early'}`;
    break;
  }
  writeFileSync(path, sound);
  rows.push({ broken: name, 'noticed by': noticed || 'NOTHING' });
  console.log(`${name}: ${noticed || 'NOTHING'}`);
}
rmSync(copy, { recursive: true, force: true });
const missed = rows.filter((row) => row['noticed by'] === 'NOTHING').length;
console.log(`${rows.length} broken, ${rows.length - missed} noticed, ${missed} not`);
process.exit(missed === 0 ? 0 : 1);
