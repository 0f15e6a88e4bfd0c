import assert from 'node:assert/strict';
import fc from 'fast-check';
import { branchNameFromPrompt, branchNameProblem, titleFromPrompt } from '../../../src/model/branchNames.ts';
import { IllegalTransitionError } from '../../../src/model/errors.ts';
import { compareRows, compareTurns, positionBetween } from '../../../src/model/order.ts';
import type { TranscriptEntry } from '../../../src/model/transcript.ts';
import { transcriptMarkdown } from '../../../src/model/transcriptMarkdown.ts';
import { canTurnBecome, isEnded, turnTransition, worktreeTransition } from '../../../src/model/transitions.ts';
import { turnStates, worktreeStates } from '../../../src/model/types.ts';
import { execFileSync } from 'node:child_process';

describe('States', () => {
  it('change only as the tables say (requirement 35)', () => {
    const allowed = new Set([
      'queued>starting',
      'queued>cancelled',
      'queued>failed',
      'starting>running',
      'starting>queued',
      'starting>failed',
      'starting>cancelled',
      'starting>interrupted',
      'starting>completed',
      'running>queued',
      'running>completed',
      'running>failed',
      'running>cancelled',
      'running>interrupted',
      'failed>queued',
      'cancelled>queued',
      'interrupted>queued',
    ]);
    for (const from of turnStates) {
      for (const to of turnStates) {
        assert.equal(canTurnBecome(from, to), allowed.has(`${from}>${to}`), `${from} to ${to}`);
        if (!allowed.has(`${from}>${to}`)) assert.throws(() => turnTransition(from, to), IllegalTransitionError);
      }
    }
    for (const to of worktreeStates.filter((state) => state !== 'queued'))
      assert.throws(() => worktreeTransition('removed', to), IllegalTransitionError);
  });
});

const turn = fc.record({
  id: fc.string({ minLength: 1, maxLength: 3 }),
  position: fc.integer({ min: 0, max: 5 }),
  state: fc.constantFrom(...turnStates),
  endedAt: fc.option(fc.integer({ min: 0, max: 5 })),
  endedOrder: fc.option(fc.integer({ min: 0, max: 5 })),
});

describe('Order', () => {
  it('is total: the same line whatever order the turns come in', () => {
    fc.assert(
      fc.property(fc.uniqueArray(turn, { selector: ({ id }) => id }), fc.nat(), (turns, seed) => {
        const shuffled = turns.toSorted(
          (a, b) => ((a.id.charCodeAt(0) * 31 + seed) % 7) - ((b.id.charCodeAt(0) * 31 + seed) % 7),
        );
        assert.deepEqual(shuffled.toSorted(compareTurns), turns.toSorted(compareTurns));
        assert.deepEqual(shuffled.toSorted(compareRows), turns.toSorted(compareRows));
      }),
    );
  });

  it('shows what waits in the order it runs, below what has ended (requirement 12, invariant 7)', () => {
    fc.assert(
      fc.property(fc.uniqueArray(turn, { selector: ({ id }) => id }), (turns) => {
        const rows = turns.toSorted(compareRows);
        const line = rows.filter(({ state }) => !isEnded(state));
        assert.deepEqual(line, line.toSorted(compareTurns));
        assert.equal(rows.findLastIndex(({ state }) => isEnded(state)) + 1, rows.length - line.length);
      }),
    );
  });

  it('finds a position between any two until there is none', () => {
    let [low, high] = [1, 2];
    let halvings = 0;
    for (let middle = positionBetween(low, high); middle !== undefined; middle = positionBetween(low, high)) {
      assert.ok(middle > low && middle < high);
      if (halvings % 2 === 0) low = middle;
      else high = middle;
      halvings += 1;
    }
    assert.ok(halvings > 40);
  });
});

describe('Names of branches', () => {
  it('are judged as git judges them', () => {
    const names = fc.stringMatching(/^[a-zA-Z0-9 .@{}~^:?*\\/_[\]-]{1,12}$/);
    fc.assert(
      fc.property(names, (name) => {
        let git = true;
        try {
          execFileSync('git', ['check-ref-format', '--branch', name], { stdio: 'ignore' });
        } catch {
          git = false;
        }
        if (branchNameProblem(name) === undefined) assert.ok(git, `git refuses ${JSON.stringify(name)}`);
      }),
      { numRuns: 150 },
    );
  });

  it('are made from prompts: readable, valid, not taken (requirement 26)', () => {
    assert.equal(
      branchNameFromPrompt('Fix the login page!\nIt is broken', () => false),
      'fix-the-login-page',
    );
    assert.equal(
      branchNameFromPrompt('Fix it', (name) => name === 'fix-it'),
      'fix-it-2',
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (prompt) => {
        const taken = new Set<string>();
        for (let n = 0; n < 3; n += 1) {
          const name = branchNameFromPrompt(prompt, (one) => taken.has(one));
          assert.equal(branchNameProblem(name), undefined);
          assert.ok(!taken.has(name));
          taken.add(name);
        }
      }),
    );
  });

  it('come with a title of one line', () => {
    assert.equal(titleFromPrompt('\n  Fix   the login  \nmore'), 'Fix the login');
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (prompt) => {
        const title = titleFromPrompt(prompt);
        assert.ok(title !== '' && !title.includes('\n') && Array.from(title).length <= 61);
      }),
    );
  });
});

describe('A transcript as Markdown', () => {
  it('keeps what is said in its fence, whatever it holds', () => {
    const entries = [
      { seq: 1, at: 1, turnId: 't', type: 'prompt', text: 'Do it', attachments: [], attempt: 1 },
      { seq: 2, at: 1, turnId: 't', type: 'output', stream: 'stdout', text: '```\nnot the end\n' },
      { seq: 3, at: 1, turnId: 't', type: 'output', stream: 'stdout', text: '````\n' },
      { seq: 4, at: 1, turnId: 't', type: 'ended', outcome: 'failed', attempt: 1, message: 'Exit 1' },
    ] as TranscriptEntry[];
    const text = transcriptMarkdown('Title', entries);
    assert.match(text, /# Title\n\n## Prompt\n\nDo it\n\n`````\n```\nnot the end\n````\n`````\n\n> Turn failed: Exit 1\n/);
  });
});
