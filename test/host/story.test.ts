import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as vscode from 'vscode';
import type { BranchlineApi, QueuedIds } from '../../src/apiTypes.ts';
import { activated, branchIn, folder, git, turnIn, until } from './support.ts';

describe(`The story in VS Code ${vscode.version}`, () => {
  let api: BranchlineApi;
  before(async () => {
    api = await activated();
  });

  it('has every command of the contract', async () => {
    const commands = await vscode.commands.getCommands(true);
    for (const name of [
      'queueSession',
      'queueFollowUp',
      'sendNow',
      'editQueued',
      'removeQueued',
      'moveUp',
      'moveDown',
      'moveToTop',
      'cancelTurn',
      'retryTurn',
      'pauseQueue',
      'resumeQueue',
      'retryProvisioning',
      'respondToPermission',
      'openTimeline',
      'openTranscript',
      'openWorktree',
      'openTerminal',
      'openChanges',
      'removeBranch',
      'showLog',
    ])
      assert.ok(commands.includes(`branchline.${name}`), name);
  });

  it('runs three sessions in order on a branch that does not exist, behind a setup of some seconds (requirements 1, 3, 20)', async () => {
    const settings = vscode.workspace.getConfiguration('branchline');
    await settings.update('worktrees.setup', ['sleep 5'], vscode.ConfigurationTarget.Global);
    const repository = folder();
    const before = [
      git(repository, 'rev-parse', 'HEAD'),
      git(repository, 'status', '--porcelain'),
      git(repository, 'symbolic-ref', 'HEAD'),
    ];
    const seen = new Map<string, string[]>();
    const steps: string[] = [];
    const listener = api.onDidChange(() => {
      for (const branch of api.snapshot().branches) {
        const at = branch.worktree.state === 'provisioning' ? `provisioning ${branch.worktree.step}` : branch.worktree.state;
        if (branch.name === 'story/one' && steps.at(-1) !== at) steps.push(at);
        for (const turn of branch.sessions.flatMap((session) => session.turns)) {
          const states = seen.get(turn.id) ?? [];
          if (states.at(-1) !== turn.state) seen.set(turn.id, [...states, turn.state]);
        }
      }
    });
    const ids: QueuedIds[] = [];
    for (const n of [1, 2, 3]) {
      ids.push(
        await vscode.commands.executeCommand<QueuedIds>('branchline.queueSession', {
          branch: 'story/one',
          title: `Step ${n}`,
          prompt: `echo said ${n}\necho ${n} >> file.txt`,
        }),
      );
    }
    const worktree = join(`${repository}.worktrees`, 'story/one');
    assert.ok(!existsSync(worktree), 'the calls return before there is a worktree');
    const [first] = ids as [QueuedIds];
    await until(api, () => branchIn(api, first.branchId)?.worktree.step === 'runSetup', 'setup runs');
    const waiting = turnIn(api, first.turnId);
    assert.deepEqual([waiting?.state, waiting?.waitingFor], ['queued', 'worktree']);
    assert.equal(branchIn(api, first.branchId)?.sessions[0]?.state, 'pendingProvision');
    await until(api, () => ids.every(({ turnId }) => turnIn(api, turnId)?.state === 'completed'), 'all three have completed');
    listener.dispose();
    assert.deepEqual(steps, [
      'queued',
      'provisioning resolveBase',
      'provisioning createWorktree',
      'provisioning copyFiles',
      'provisioning runSetup',
      'ready',
    ]);
    for (const { turnId } of ids) assert.deepEqual(seen.get(turnId), ['queued', 'starting', 'running', 'completed']);
    assert.deepEqual(git(repository, 'log', '--reverse', '--format=%s', 'main..story/one').split('\n'), [
      'Step 1',
      'Step 2',
      'Step 3',
    ]);
    assert.equal(readFileSync(join(worktree, 'file.txt'), 'utf8'), '1\n2\n3\n');
    assert.deepEqual(
      [git(repository, 'rev-parse', 'HEAD'), git(repository, 'status', '--porcelain'), git(repository, 'symbolic-ref', 'HEAD')],
      before,
    );
    for (const [index, { sessionId }] of ids.entries()) {
      const output = (await api.transcript(sessionId))
        .map((entry) => (entry.type === 'output' ? String(entry.text) : ''))
        .join('');
      assert.equal(output, `said ${index + 1}\n`);
    }
    await settings.update('worktrees.setup', undefined, vscode.ConfigurationTarget.Global);
  });

  it('cancels, fails with a pause, retries and skips (requirements 4, 9)', async () => {
    const queue = (prompt: string) => api.queueSession({ branch: 'story/two', kind: 'note', prompt });
    const long = await queue('echo begun; sleep 300');
    const failing = await queue('exit 3');
    const skipped = await queue('exit 4');
    const last = await queue('echo the end');
    await until(api, () => turnIn(api, long.turnId)?.state === 'running', 'the first runs');
    assert.equal(turnIn(api, last.turnId)?.waitingFor, 'turn');
    await vscode.commands.executeCommand('branchline.cancelTurn', long.turnId);
    await until(api, () => turnIn(api, failing.turnId)?.state === 'failed', 'the second fails');
    assert.equal(turnIn(api, long.turnId)?.state, 'cancelled');
    assert.match(turnIn(api, failing.turnId)?.error?.message ?? '', /exit code 3/);
    assert.equal(branchIn(api, long.branchId)?.paused, true);
    assert.equal(turnIn(api, last.turnId)?.waitingFor, 'paused');
    await vscode.commands.executeCommand('branchline.removeQueued', skipped.turnId);
    await vscode.commands.executeCommand('branchline.resumeQueue', long.branchId);
    await until(api, () => turnIn(api, last.turnId)?.state === 'completed', 'the last completes');
    assert.equal(turnIn(api, skipped.turnId), undefined);
  });

  it('reorders and edits what is queued, and follows up in the same session', async () => {
    const {
      branchId,
      sessionId,
      turnId: first,
    } = await api.queueSession({ branch: 'story/three', kind: 'note', prompt: 'while ! test -e go; do sleep 0.05; done; rm go' });
    const a = (await api.queueTurn(sessionId, { prompt: 'echo a' })).turnId;
    const b = (await api.queueSession({ branch: 'story/three', kind: 'note', prompt: 'echo b' })).turnId;
    const c = (await api.queueSession({ branch: 'story/three', kind: 'note', prompt: 'echo c' })).turnId;
    await vscode.commands.executeCommand('branchline.moveToTop', c);
    await vscode.commands.executeCommand('branchline.moveUp', b);
    await vscode.commands.executeCommand('branchline.editQueued', { turnId: a, prompt: 'echo edited' });
    await until(api, () => turnIn(api, first)?.state === 'running', 'the first runs');
    git(branchIn(api, branchId)?.worktree.path as string, 'status');
    await api.queueSession({
      branch: 'story/other',
      kind: 'note',
      prompt: `touch '${branchIn(api, branchId)?.worktree.path}/go'`,
    });
    await until(api, () => [a, b, c].every((id) => turnIn(api, id)?.state === 'completed'), 'all have completed');
    const order = [a, b, c].sort((x, y) => (turnIn(api, x)?.startedAt ?? 0) - (turnIn(api, y)?.startedAt ?? 0));
    assert.deepEqual(order, [c, b, a]);
    const output = (await api.transcript(sessionId)).map((entry) => (entry.type === 'output' ? String(entry.text) : '')).join('');
    assert.equal(output, 'edited\n');
  });

  it('refuses what cannot be done with a message to act on, and changes nothing', async () => {
    const before = JSON.stringify(api.snapshot());
    const refusals: [() => Promise<unknown>, RegExp][] = [
      [() => api.queueSession({ branch: '', prompt: 'x' }), /empty/],
      [() => api.queueSession({ branch: '-b', prompt: 'x' }), /dash/],
      [() => api.queueSession({ branch: 'a..b', prompt: 'x' }), /"\.\."/],
      [() => api.queueSession({ branch: 'a', prompt: '  ' }), /prompt is empty/],
      [() => api.queueSession({ branch: 'a', prompt: 'x', kind: 'other' as 'note' }), /kind/],
      [() => api.queueSession({ repository: '/nowhere', branch: 'a', prompt: 'x' }), /not a folder in a git repository/],
      [() => api.cancelTurn('nothing'), /not in the queue/],
      [() => Promise.resolve(vscode.commands.executeCommand('branchline.cancelTurn', 'nothing')), /not in the queue/],
    ];
    for (const [call, message] of refusals) await assert.rejects(call, message);
    assert.equal(JSON.stringify(api.snapshot()), before);
  });

  it('shows the changes of a turn and the transcript of a session', async () => {
    const branch = api.snapshot().branches.find(({ name }) => name === 'story/one');
    const session = branch?.sessions[1];
    const changes = await vscode.commands.executeCommand<{ files: string[] }>('branchline.openChanges', {
      turnId: session?.turns[0]?.id,
    });
    assert.deepEqual(changes.files, ['file.txt']);
    await vscode.commands.executeCommand('branchline.openTranscript', session?.id);
    assert.match(vscode.window.activeTextEditor?.document.getText() ?? '', /# Step 2[\s\S]*said 2/);
    await vscode.commands.executeCommand('workbench.action.closeAllEditors');
  });

  it('removes a branch with its worktree, and keeps the git branch', async () => {
    const branch = api.snapshot().branches.find(({ name }) => name === 'story/two');
    await vscode.commands.executeCommand('branchline.removeBranch', branch?.id);
    assert.ok(!existsSync(branch?.worktree.path as string));
    assert.equal(branchIn(api, branch?.id as string), undefined);
    assert.ok(git(folder(), 'branch', '--list', 'story/two'));
  });
});
