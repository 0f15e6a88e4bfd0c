/**
 * How long tests wait. A wait is on a condition and ends with it; this is only when to give up, for a machine that is slow and busy.
 * Mocha's limit for a test (`.mocharc.json`) is above it, so that it is the wait that speaks, with words on what was there instead.
 */

import settings from '../../.mocharc.json' with { type: 'json' };

/** Milliseconds without anything that moves, for a state, a file, a row, an answer of the workbench. */
export const patience = 120_000;

/** Milliseconds for a whole test, where mocha is started by other means than its own program. */
export const testLimit: number = settings.timeout;

/** Milliseconds between two looks at what nobody tells of. */
export const lookAgain = 25;

/** Resolves when it holds, looking again and again. Rejects after `patience`, saying what was waited for. */
export async function untilSeen(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (
    const deadline = Date.now() + patience;
    !(await condition());
    await new Promise((resolve) => setTimeout(resolve, lookAgain))
  ) {
    if (Date.now() > deadline) throw new Error(`Waited in vain until ${what}.`);
  }
}
