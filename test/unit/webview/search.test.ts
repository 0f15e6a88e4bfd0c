import assert from 'node:assert/strict';
import { searchTranscripts } from '../../../src/webview/search.ts';
import { TranscriptWriter, transcriptPath } from '../../../src/store/transcripts.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

describe('The search of transcripts', () => {
  afterEach(removeTemporaryFolders);

  it('finds what was said and done, and no words of the file’s own form (fault U17)', async () => {
    const folder = temporaryFolder();
    const writer = await TranscriptWriter.open(transcriptPath(folder, 's'), () => 1);
    writer.append('t', { type: 'prompt', text: 'Mend the "Lögin"\nform', attachments: [], attempt: 1 });
    writer.append('t', { type: 'handover', attempt: 1, startSha: 'abcdef' });
    writer.append('t', { type: 'text', role: 'agent', text: 'I looked around.' });
    writer.append('t', {
      type: 'tool',
      toolCallId: 'c1',
      title: 'Edit',
      kind: 'edit',
      status: 'completed',
      content: [{ type: 'diff', path: 'src/form.ts', oldText: null, newText: 'const retries = 3;' }],
      rawInput: { command: 'npm test' },
    });
    writer.append('t', { type: 'ended', outcome: 'failed', attempt: 1, message: 'It gave up.' });
    await writer.close();
    const finds = async (query: string): Promise<boolean> => {
      let found = false;
      await searchTranscripts(folder, ['s', 'none'], query, new AbortController().signal, (sessions) => {
        found = sessions.has('s');
      });
      return found;
    };
    for (const said of [
      '"lögin"',
      'FORM',
      'looked',
      'retries = 3',
      'src/form',
      'npm test',
      'gave up',
      'login"\nform'.replace('o', 'ö'),
    ])
      assert.ok(await finds(said), said);
    for (const own of ['handover', 'attempt', 'toolCallId', 'completed', 'role', 'diff', 'abcdef', 'turnId', 'failed'])
      assert.ok(!(await finds(own)), own);
  });
});
