import assert from 'node:assert/strict';
import { makeCatalog } from '../../../src/agents/catalog.ts';
import { ProgramLookup, programsHere } from '../../../src/agents/programLookup.ts';

describe('Which agents are installed', () => {
  const world = (there: Set<string>) => {
    const asked: string[] = [];
    let now = 0;
    const lookup = new ProgramLookup({
      find: async (command, { PATH }) => {
        asked.push(`${command} ${PATH ?? ''}`.trim());
        return there.has(command);
      },
      environment: {},
      now: () => now,
    });
    return { lookup, asked, pass: (time: number) => (now += time) };
  };
  /** Until the look-up under way has been told of. */
  const changed = (lookup: ProgramLookup) =>
    new Promise<void>((resolve) => {
      const told = lookup.onDidChange(() => {
        told.dispose();
        resolve();
      });
    });

  it('is looked for once, not at each question, and told when it is known (W22)', async () => {
    const { lookup, asked } = world(new Set(['agent']));
    const catalog = makeCatalog({ a: { command: 'agent' }, b: { command: 'absent' } }, 'shellAgent.js', lookup);
    const known = changed(lookup);
    for (let n = 0; n < 100; n += 1) assert.deepEqual([catalog.isInstalled('a'), catalog.isInstalled('b')], [false, false]);
    await known;
    for (let n = 0; n < 100; n += 1) assert.deepEqual([catalog.isInstalled('a'), catalog.isInstalled('b')], [true, false]);
    assert.deepEqual(asked, ['agent', 'absent']);
    assert.equal(catalog.isInstalled('nobody'), false);
    assert.equal(catalog.isInstalled('shell'), true, 'the built-in one needs no look');
  });

  it('is kept over changes of the settings, for each PATH', async () => {
    const { lookup, asked } = world(new Set(['agent']));
    await makeCatalog({ a: { command: 'agent' } }, 'shellAgent.js', lookup).refresh();
    const settings = { a: { command: 'agent', name: 'A' }, b: { command: 'agent', env: { PATH: '/opt' } } };
    const catalog = makeCatalog(settings, 'shellAgent.js', lookup);
    assert.deepEqual([catalog.isInstalled('a'), catalog.isInstalled('b')], [true, false]);
    assert.deepEqual(asked, ['agent', 'agent /opt']);
  });

  it('is looked for again when the answer is old, while that is still given; and at once when asked to', async () => {
    const there = new Set(['agent']);
    const { lookup, asked, pass } = world(there);
    const catalog = makeCatalog({ a: { command: 'agent' } }, 'shellAgent.js', lookup);
    assert.equal(await catalog.refresh(), true);
    assert.equal(await catalog.refresh(), false);
    there.delete('agent');
    assert.equal(catalog.isInstalled('a'), true);
    assert.equal(asked.length, 2);
    pass(31_000);
    const known = changed(lookup);
    assert.equal(catalog.isInstalled('a'), true);
    await known;
    assert.equal(catalog.isInstalled('a'), false);
    there.add('agent');
    assert.equal(await catalog.refresh(), true);
    assert.equal(catalog.isInstalled('a'), true);
  });

  it('is true of a program that is there', async () => {
    await programsHere.look(process.execPath);
    assert.equal(programsHere.isThere(process.execPath), true);
    await programsHere.look(`${process.execPath}-absent`);
    assert.equal(programsHere.isThere(`${process.execPath}-absent`), false);
  });
});
