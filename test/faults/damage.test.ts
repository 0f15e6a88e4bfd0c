import assert from 'node:assert/strict';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { readTranscript, TranscriptWriter, transcriptPath } from '../../src/store/transcripts.ts';
import { Drafts } from '../../src/webview/drafts.ts';
import { startEngine, stopEngine, testAgent, turnState, untilEnded } from '../support/engines.ts';
import { Harms } from '../support/report.ts';
import { makeRepository } from '../support/repositories.ts';
import { randomFrom } from '../support/simulatedDisk.ts';
import { branchRow, openStore } from '../support/stores.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporaryFolder.ts';
import { rounds, seed } from './rounds.ts';

const total = 30;

/** A storage with two generations and a journal after them, as a crash would leave it. */
async function storageIn(folder: string): Promise<void> {
  const { store } = await openStore(folder);
  for (let n = 0; n < total; n += 1) {
    await store.commit((tx) => tx.insert('branch', branchRow(`b${n}`)));
    if (n === 8 || n === 16) await store.checkpoint();
  }
}

const files = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => statSync(join(folder, name)).isFile() && name !== 'reserve')
    .sort();

function copyOf(folder: string): string {
  const copy = temporaryFolder();
  mkdirSync(copy, { recursive: true });
  for (const name of files(folder)) copyFileSync(join(folder, name), join(copy, name));
  return copy;
}

describe('Damaged files', function () {
  this.timeout(0);
  afterEach(removeTemporaryFolders);

  it('open with all that can be had; what was broken is kept aside, and said', async () => {
    const original = temporaryFolder();
    await storageIn(original);
    const random = randomFrom(seed);
    const tally = { rounds: 0, whole: 0, told: 0 };
    const harms = new Harms('lost', 'unexplained');
    for (let n = 0; n < rounds(40); n += 1) {
      const folder = copyOf(original);
      const name = files(folder)[Math.floor(random() * files(folder).length)] as string;
      const path = join(folder, name);
      const content = readFileSync(path);
      const how = Math.floor(random() * 4);
      // The older of two files of its kind in its place, as a restored backup leaves it.
      const older = files(folder).find((other) => other !== name && other.slice(0, 5) === name.slice(0, 5));
      if (how === 3 && older) writeFileSync(path, readFileSync(join(folder, older)));
      else if (how === 0) writeFileSync(path, content.subarray(0, Math.floor(random() * content.length)));
      else if (how === 1) {
        const at = Math.floor(random() * content.length);
        content[at] = (content[at] ?? 0) ^ (1 << Math.floor(random() * 8));
        writeFileSync(path, content);
      } else rmSync(path);
      const why = `seed ${seed}, round ${n}: ${name} ${['cut', 'flipped', 'deleted', 'swapped'][how]}`;
      const { store, problems } = await openStore(folder);
      const found = Array.from(store.state.branches()).length;
      // One broken file never costs more than what only that file held.
      harms.expect('lost', found > 0, `${why}: everything is gone`);
      if (found === total) tally.whole += 1;
      else if (how < 2)
        harms.expect(
          'unexplained',
          problems.length > 0 || name.startsWith('journal-'),
          `${why}: ${total - found} are lost and nothing is said`,
        );
      if (problems.length > 0) tally.told += 1;
      await store.commit((tx) => tx.insert('branch', branchRow('after')));
      await store.close();
      const again = await openStore(folder);
      assert.ok(again.store.state.branch('after'), why);
      assert.deepEqual(again.problems, [], `${why}: it is told once`);
      await again.store.close();
      tally.rounds += 1;
    }
    harms.report('damage of the index', tally);
  });

  it('of any kind in the whole storage: it opens with every prompt, takes work, and runs it (requirements 37, 38)', async () => {
    const place = temporaryFolder();
    const repository = makeRepository(place);
    const settings = { agents: { test: testAgent }, defaultAgent: 'test' };
    const first = startEngine(place, repository, settings);
    const { queue } = await first.engine.owner();
    const done = await queue.enqueue({
      branch: 'b',
      kind: 'note',
      prompt: 'say hello',
      attachments: [{ name: 'a.txt', mimeType: 'text/plain', base64: 'YQ==' }],
    });
    await untilEnded(first.engine, done.turnId);
    await queue.pause(done.branchId);
    const waiting = await queue.enqueue({
      branch: 'b',
      kind: 'note',
      prompt: 'images',
      attachments: [{ name: 'b.txt', mimeType: 'text/plain', base64: 'Yg==' }],
    });
    await new Drafts(
      first.engine.folder,
      () => undefined,
      () => true,
    ).set('new', 'a draft');
    await stopEngine(first);
    const random = randomFrom(seed);
    const counts = { rounds: 0 };
    const harms = new Harms('lost', 'unexplained');
    for (let n = 0; n < rounds(8); n += 1) {
      const folder = temporaryFolder();
      cpSync(join(place, 'storage'), join(folder, 'storage'), { recursive: true });
      const all = readdirSync(join(folder, 'storage'), { recursive: true, withFileTypes: true }).filter(
        (entry) => entry.name !== 'reserve',
      );
      const target = all[Math.floor(random() * all.length)];
      if (!target) throw new Error('There is nothing to damage.');
      const path = join(target.parentPath, target.name);
      const why = `seed ${seed}, round ${n}: ${path.slice(folder.length)}`;
      if (target.isDirectory() || random() < 0.3) rmSync(path, { recursive: true });
      else if (random() < 0.5) truncateSync(path, Math.floor(random() * statSync(path).size));
      else writeFileSync(path, 'nonsense');
      const one = startEngine(folder, repository, settings);
      try {
        const owner = await one.engine.owner();
        // A deleted or broken journal costs what only it held; all else is there.
        if (!/journal-|index-/.test(target.name))
          harms.expect('lost', one.engine.state.turn(waiting.turnId)?.prompt === 'images', why);
        harms.expect('unexplained', one.problems.length <= 2, `${why}: ${one.problems.join(' ')}`);
        await readTranscript(transcriptPath(one.engine.folder, done.sessionId));
        assert.ok(
          ['a draft', undefined].includes(
            new Drafts(
              one.engine.folder,
              () => undefined,
              () => true,
            ).all.new,
          ),
          why,
        );
        const next = await owner.queue.enqueue({ branch: 'c', kind: 'note', prompt: 'say on' });
        await untilEnded(one.engine, next.turnId);
        assert.equal(
          turnState(one.engine, next.turnId),
          'completed',
          `${why}: ${one.engine.state.turn(next.turnId)?.error?.message}`,
        );
        if (one.engine.state.turn(waiting.turnId)) {
          await owner.queue.resume(done.branchId);
          await untilEnded(one.engine, waiting.turnId);
          const message = one.engine.state.turn(waiting.turnId)?.error?.message;
          assert.ok(
            message === undefined || /attachment "b.txt" is (damaged|gone).*Queue the prompt again/.test(message),
            `${why}: ${message}`,
          );
        }
      } finally {
        await stopEngine(one);
      }
      counts.rounds += 1;
    }
    harms.report('damage of any file', counts);
  });

  it('keep the index from before: a broken newest generation costs nothing', async () => {
    const original = temporaryFolder();
    await storageIn(original);
    const folder = copyOf(original);
    const newest = files(folder)
      .filter((name) => name.startsWith('index-'))
      .at(-1) as string;
    writeFileSync(join(folder, newest), 'not a database');
    const { store, problems } = await openStore(folder);
    assert.equal(Array.from(store.state.branches()).length, total);
    assert.equal(problems.length, 1);
    assert.ok(readdirSync(folder).some((name) => name.startsWith(`${newest}.damaged-`)));
    await store.close();
  });

  it('leave a transcript readable at every length', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 't.jsonl');
    const writer = await TranscriptWriter.open(path, () => 1);
    for (let n = 0; n < 10; n += 1) writer.append('t', { type: 'notice', text: `${n} ü` });
    await writer.sync();
    await writer.close();
    const whole = readFileSync(path);
    for (let length = 0; length <= whole.length; length += 7) {
      writeFileSync(path, whole.subarray(0, length));
      const kept = (await readTranscript(path)).length;
      const next = await TranscriptWriter.open(path, () => 1);
      next.append('t', { type: 'notice', text: 'after' });
      await next.sync();
      await next.close();
      const entries = await readTranscript(path);
      assert.deepEqual(
        entries.map(({ seq }) => seq),
        entries.map((_, index) => index + 1),
      );
      assert.ok(entries.length >= kept);
      const last = entries.at(-1);
      assert.equal(last?.type === 'notice' && last.text, 'after');
    }
    assert.ok(existsSync(path));
  });
});
