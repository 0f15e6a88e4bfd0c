/** Storages that an earlier version left, kept in `test/fixtures` with paths that are nobody's. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chainStart, decodeLine, encodeHeader, encodeRecord } from '../../src/store/record.ts';

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));

/** Puts a storage of journals and transcripts into `folder`, with the paths in it moved to where the repository is now. */
export function placeStorage(name: string, folder: string, repository: string): void {
  const moved = (text: string) => text.replaceAll('/repository', repository);
  for (const path of readdirSync(join(fixtures, name), { recursive: true, encoding: 'utf8' })) {
    const from = join(fixtures, name, path);
    if (statSync(from).isDirectory()) continue;
    const content = readFileSync(from);
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(
      join(folder, path),
      path.startsWith('journal-') ? movedJournal(content, moved) : moved(content.toString('utf8')),
    );
  }
}

/** Each line has a checksum, and names that of the line before it. */
function movedJournal(content: Buffer, moved: (text: string) => string): string {
  let written = '';
  let previous = chainStart;
  for (let line = decodeLine(content, 0); line; line = decodeLine(content, line.end)) {
    const { value } = line;
    const { line: text, crc } =
      value.kind === 'header'
        ? encodeHeader(value, previous)
        : encodeRecord({ ...value, mutations: JSON.parse(moved(JSON.stringify(value.mutations))) }, previous);
    written += text;
    previous = crc;
  }
  return written;
}
