import assert from 'node:assert/strict';
import { secretsOf, withoutSecrets } from '../../src/platform/log.ts';

describe('The log', () => {
  it('holds no secret, whatever shape it comes in', () => {
    const secrets = [
      `sk-${'a1'.repeat(15)}`,
      'ghp_0123456789abcdefghijABCDEFGHIJ',
      'github_pat_11ABCDEFG0123456789abcdef',
      'glpat-0123456789abcdefghij',
      'xoxb-123456789012-abcdefghijkl',
      'AKIAIOSFODNN7EXAMPLE',
      'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk',
    ];
    for (const secret of secrets) assert.ok(!withoutSecrets(`It said: ${secret} is wrong`).includes(secret), secret);
    assert.equal(withoutSecrets('Authorization: Bearer abcdefghijklmnop'), 'Authorization: Bearer ***');
    assert.equal(withoutSecrets('api_key=hunter22 and "password": "correct horse"'), 'api_key=*** and "password": "*** horse"');
    assert.equal(withoutSecrets('https://ada:hunter2@example.com/x'), 'https://ada:***@example.com/x');
    assert.equal(withoutSecrets('my own word', ['own word']), 'my ***');
  });

  it('keeps all else as it is', () => {
    for (const words of [
      'The worktree of "token-refresh" could not be made',
      'Waiting for skill-check',
      'a@b.c wrote https://example.com/a:b',
    ])
      assert.equal(withoutSecrets(words), words);
  });

  it('knows secrets by the names of their variables', () => {
    assert.deepEqual(
      secretsOf({
        PATH: '/usr/bin:/bin',
        ANTHROPIC_API_KEY: 'abcdefgh1',
        DB_PASSWORD: 'hunter2hunter2',
        SHORT_TOKEN: 'a',
        EMPTY_SECRET: undefined,
      }),
      ['abcdefgh1', 'hunter2hunter2'],
    );
  });
});
