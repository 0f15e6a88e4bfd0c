import assert from 'node:assert/strict';
import type { TranscriptDraft, TranscriptEntry } from '../../../src/model/transcript.ts';
import type { Turn } from '../../../src/model/types.ts';
import type { Engine } from '../../../src/sessions/engine.ts';
import { TranscriptWriter, transcriptPath } from '../../../src/store/transcripts.ts';
import { ConversationFeed } from '../../../src/webview/conversationFeed.ts';
import type { ToView } from '../../../src/webview/protocol.ts';
import { RowStatsCache } from '../../../src/webview/rowStats.ts';
import { searchTranscripts } from '../../../src/webview/search.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

async function write(folder: string, sessionId: string, drafts: readonly TranscriptDraft[]): Promise<void> {
  const writer = await TranscriptWriter.open(transcriptPath(folder, sessionId), () => 1);
  for (const draft of drafts) writer.append('t', draft);
  await writer.close();
}

const notices = (count: number, length = 10): TranscriptDraft[] =>
  Array.from({ length: count }, (_, n) => ({ type: 'notice', text: `${n} `.padEnd(length, '.') }));

/** An engine, as far as a conversation needs one. */
function engineIn(folder: string, isOwner: boolean) {
  let written: (told: { sessionId: string; entries: readonly TranscriptEntry[] }) => void = () => undefined;
  const engine = {
    folder,
    isOwner,
    onDidWrite: (listener: typeof written) => {
      written = listener;
      return { dispose: () => undefined };
    },
  };
  return {
    engine: engine as unknown as Engine,
    tell: (entries: readonly TranscriptEntry[]) => written({ sessionId: 's', entries }),
  };
}

const conversationOf = (sent: readonly ToView[]) => {
  const found = sent.findLast(({ type }) => type === 'conversation');
  assert.ok(found?.type === 'conversation');
  return found;
};

async function until(condition: () => boolean): Promise<void> {
  for (const deadline = performance.now() + 20_000; !condition(); ) {
    assert.ok(performance.now() < deadline, 'in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('What the timeline reads of transcripts', () => {
  afterEach(removeTemporaryFolders);

  it('a conversation is its last entries, and as many earlier ones as are asked for', async () => {
    const folder = temporaryFolder();
    await write(folder, 's', notices(2_000));
    const sent: ToView[] = [];
    const feed = new ConversationFeed(engineIn(folder, true).engine, (message) => sent.push(message));
    await feed.open('s', 0);
    assert.deepEqual([conversationOf(sent).entries.length, conversationOf(sent).left], [400, 1_600]);
    assert.equal(conversationOf(sent).entries.at(-1)?.seq, 2_000);
    await feed.open('s', 1_000);
    assert.deepEqual([conversationOf(sent).entries.length, conversationOf(sent).left], [1_400, 600]);
    await feed.open('s', 100_000);
    assert.deepEqual([conversationOf(sent).entries.length, conversationOf(sent).left], [2_000, 0]);
    await feed.open('none', 0);
    assert.deepEqual([conversationOf(sent).entries.length, conversationOf(sent).left], [0, 0]);
    feed.dispose();
  });

  it('of large entries it is fewer at first, and more each time', async () => {
    const folder = temporaryFolder();
    await write(folder, 's', notices(300, 60_000));
    const sent: ToView[] = [];
    const feed = new ConversationFeed(engineIn(folder, true).engine, (message) => sent.push(message));
    let before = 0;
    for (const earlier of [0, 1_000, 2_000]) {
      await feed.open('s', earlier);
      const { entries, left } = conversationOf(sent);
      assert.ok(entries.length > before && entries.length <= 70 * (1 + earlier / 1_000));
      assert.equal(entries.length + left, 300);
      before = entries.length;
    }
    feed.dispose();
  });

  it('a window that looks on follows the file from there, however much is written at once', async () => {
    const folder = temporaryFolder();
    await write(folder, 's', notices(500));
    const sent: ToView[] = [];
    const feed = new ConversationFeed(engineIn(folder, false).engine, (message) => sent.push(message));
    await feed.open('s', 0);
    await write(folder, 's', notices(200, 60_000));
    feed.refresh();
    const seen = () => sent.flatMap((message) => (message.type === 'entries' ? message.entries.map(({ seq }) => seq) : []));
    await until(() => seen().at(-1) === 700);
    assert.deepEqual(
      seen(),
      Array.from({ length: 200 }, (_, n) => 501 + n),
    );
    assert.ok(sent.filter(({ type }) => type === 'entries').length > 1);
    feed.dispose();
  });

  it('the numbers of a row are those of its own turn', async () => {
    const folder = temporaryFolder();
    const writer = await TranscriptWriter.open(transcriptPath(folder, 's'), () => 1);
    for (const [turnId, used] of [
      ['a', 1],
      ['a', 2],
      ['b', 3],
    ] as const)
      writer.append(turnId, { type: 'usage', used, size: 9, cost: { amount: used, currency: 'USD' } });
    await writer.close();
    let found = 0;
    const stats = new RowStatsCache(
      folder,
      () => undefined,
      () => {
        found += 1;
      },
    );
    const turn = (id: string) => ({ id, attempt: 1, sessionId: 's', endedAt: 1, startSha: 'x', endSha: 'x' }) as Turn;
    for (const id of ['a', 'b', 'c']) assert.equal(stats.of(turn(id)), undefined);
    await until(() => found === 3);
    assert.deepEqual([stats.of(turn('a'))?.tokens, stats.of(turn('a'))?.cost], [2, '2.00 USD']);
    assert.equal(stats.of(turn('b'))?.tokens, 3);
    assert.equal(stats.of(turn('c'))?.tokens, undefined);
  });

  it('a text is found in transcripts of any size, whatever its case', async () => {
    const folder = temporaryFolder();
    await write(folder, 'one', [
      ...notices(50, 60_000),
      { type: 'text', role: 'agent', text: 'Der ÄRGER mit "Anführung"\nund Zeilen' },
    ]);
    await write(folder, 'two', notices(3));
    const search = async (query: string, signal = new AbortController().signal) => {
      let found: ReadonlySet<string> = new Set();
      await searchTranscripts(folder, ['none', 'two', 'one'], query, signal, (sessions) => {
        found = sessions;
      });
      return [...found];
    };
    assert.deepEqual(await search(' ärger mit "anführung" '), ['one']);
    assert.deepEqual(await search('"anführung"\nund'), ['one']);
    assert.deepEqual(await search('2 ...'), ['one', 'two']);
    assert.deepEqual(await search('never said'), []);
    assert.deepEqual(await search('ärger', AbortSignal.abort()), []);
  });
});
