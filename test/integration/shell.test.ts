import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { startTimeOf } from '../../src/platform/processes.ts';
import { temporaryRoot } from '../../src/platform/temporaryFolders.ts';
import { readTranscript, transcriptPath } from '../../src/store/transcripts.ts';
import { startEngine, stoppedAfterEach, turnState, until, untilEnded } from '../support/engines.ts';
import { makeRepository } from '../support/repositories.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

describe('Scripts in the shell agent', () => {
  let folder: string;
  const running = stoppedAfterEach();
  const temporaryBefore = process.env.TMPDIR;
  beforeEach(() => {
    folder = temporaryFolder();
    process.env.TMPDIR = folder;
  });
  afterEach(() => {
    if (temporaryBefore === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = temporaryBefore;
  });
  const start = (files?: Record<string, string>) => {
    const one = startEngine(folder, makeRepository(folder, 'repo', files));
    running.push(one);
    return one;
  };
  const said = async (sessionId: string) =>
    (await readTranscript(transcriptPath(join(folder, 'storage'), sessionId)))
      .map((entry) =>
        'text' in entry && (entry.type === 'output' || (entry.type === 'text' && entry.role === 'agent')) ? entry.text : '',
      )
      .join('');
  const scripts = () => readdirSync(temporaryRoot(folder)).filter((name) => name.startsWith('script-'));

  it('run whole, whatever their length, and leave no file (W20)', async () => {
    const { engine } = start();
    const { queue } = await engine.owner();
    const prompt = `x='${'a'.repeat(200_000)}'\necho \${#x} && \\\n  echo second line\n# the end`;
    const { turnId, sessionId } = await queue.enqueue({ branch: 'b', kind: 'note', agent: 'shell', prompt });
    await untilEnded(engine, turnId);
    assert.equal(turnState(engine, turnId), 'completed', engine.state.turn(turnId)?.error?.message);
    assert.match(await said(sessionId), /^200000\nsecond line\n$/);
    assert.deepEqual(scripts(), []);
  });

  it('that print without end leave a transcript of some megabytes: its beginning, its end, and how much is left out (W13)', async () => {
    const { engine } = start();
    const { queue } = await engine.owner();
    const prompt = 'echo the beginning; yes 0123456789abcdef | head -c 40000000; echo; echo the end';
    const { turnId, sessionId } = await queue.enqueue({ branch: 'b', kind: 'note', agent: 'shell', prompt });
    await untilEnded(engine, turnId);
    assert.equal(turnState(engine, turnId), 'completed', engine.state.turn(turnId)?.error?.message);
    const path = transcriptPath(join(folder, 'storage'), sessionId);
    const text = await said(sessionId);
    assert.ok(text.startsWith('the beginning\n') && text.endsWith('\nthe end\n'));
    assert.ok(statSync(path).size < 16_000_000, `${statSync(path).size} bytes`);
    const told = (await readTranscript(path)).find(
      (entry) => entry.type === 'notice' && /^Left out here.* 3\d MB/.test(entry.text),
    );
    assert.ok(told, 'it is told');
  });

  it('that are cancelled end with all that they started, stopped or not, in a group of its own or not (W7)', async () => {
    const { engine } = start({
      'leave.cjs':
        "require('node:child_process').spawn('sh', ['-c', 'echo $$ > pid; kill -STOP $$; sleep 1000'], { detached: true, stdio: 'ignore' })",
    });
    const { queue } = await engine.owner();
    const inWorktree = (name: string) => join(folder, 'repo.worktrees', 'b', name);
    const prompt = `'${process.execPath}' leave.cjs; sleep 1000`;
    const { turnId } = await queue.enqueue({ branch: 'b', kind: 'note', agent: 'shell', prompt });
    await until(engine, () => existsSync(inWorktree('pid')) && readFileSync(inWorktree('pid'), 'utf8') !== '', 'it runs');
    const pid = Number(readFileSync(inWorktree('pid'), 'utf8'));
    await queue.cancel(turnId);
    await untilEnded(engine, turnId);
    assert.equal(turnState(engine, turnId), 'cancelled');
    await until(engine, () => startTimeOf(pid) === undefined, 'what it started has ended');
    assert.deepEqual(scripts(), []);
  });
});
