import assert from 'node:assert/strict';
import fc from 'fast-check';
import { addressOf, committedFileAt } from '../../src/changesAddress.ts';

const sha = '0123456789abcdef0123456789abcdef01234567';
const file = { repository: '/r', sha, path: 'a/b.txt' };
const isKnown = (repository: string) => repository === '/r';
const read = (change: Partial<Parameters<typeof committedFileAt>[0]>) =>
  committedFileAt({ ...addressOf(file), ...change }, isKnown);
const withQuery = (change: object) => read({ query: JSON.stringify({ repository: '/r', sha, ...change }) });

describe('An address of a file in a commit (fault U19)', () => {
  it('is read as it was written, whatever the path is called', () => {
    assert.deepEqual(committedFileAt(addressOf(file), isKnown), file);
    assert.deepEqual(withQuery({ sha: sha + sha.slice(0, 24) })?.sha.length, 64);
    for (const path of ['-x', '--output=x', ':(glob)**', 'a b', 'ä/日本', '..a', 'a..b', '...', 'a\\..\\b', '$(x)', 'x\ny'])
      assert.deepEqual(committedFileAt(addressOf({ ...file, path }), isKnown), { ...file, path });
  });

  const refused: [what: string, read: () => unknown][] = [
    ['an option as its sha', () => withQuery({ sha: '--output=/tmp/x' })],
    ['an option behind a sha', () => withQuery({ sha: `${sha}\n--output=x` })],
    ['a ref', () => withQuery({ sha: 'HEAD' })],
    ['a sha that is short', () => withQuery({ sha: sha.slice(0, 10) })],
    ['a sha that is neither of the lengths', () => withQuery({ sha: `${sha}ab` })],
    ['a sha in capitals, which git never writes', () => withQuery({ sha: sha.toUpperCase() })],
    ['a revision with a path', () => withQuery({ sha: `${sha}:x` })],
    ['a repository that nobody has queued on', () => withQuery({ repository: '/other' })],
    ['a repository by another spelling', () => withQuery({ repository: '/r/../r' })],
    ['no repository', () => withQuery({ repository: undefined })],
    ['a repository that is no text', () => withQuery({ repository: ['/r'] })],
    ['more than it should have', () => withQuery({ env: { GIT_DIR: '/x' } })],
    ['a query that is no JSON', () => read({ query: '{' })],
    ['a query that is no object', () => read({ query: '"/r"' })],
    ['no query', () => read({ query: '' })],
    ['another scheme', () => read({ scheme: 'file' })],
    ['another machine', () => read({ authority: 'example.invalid' })],
    ['a path that goes up', () => read({ path: '/a/../../x' })],
    ['a path that goes nowhere', () => read({ path: '/./a' })],
    ['an empty path', () => read({ path: '/' })],
    ['a path with an empty part', () => read({ path: '//etc/passwd' })],
    ['a path with a nul', () => read({ path: '/a\0b' })],
    ['a path without an end', () => read({ path: `/${'x'.repeat(10_000)}` })],
  ];
  for (const [what, reading] of refused) it(`is refused with ${what}`, () => assert.equal(reading(), undefined));

  it('never gives anything but a sha and a known repository, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.oneof(fc.string(), fc.json()), (path, query) => {
        const found = read({ path, query });
        assert.ok(found === undefined || (/^[0-9a-f]{40,64}$/.test(found.sha) && found.repository === '/r'));
      }),
    );
  });
});
