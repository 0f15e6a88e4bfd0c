/**
 * Kinds of repository times operations: each cell is a test of its own on a repository of its own. `npm test` has one in ten,
 * along the diagonals, so that each kind and each operation is in it; `npm run test:git` has all and prints them as a table.
 */
import { removeTemporaryFolders } from '../support/temporaryFolder.ts';
import { inCell } from './cell.ts';
import { type Kind, kinds } from './kinds.ts';
import { type Operation, operations } from './operations.ts';

/** One of so many cells is in the short round. */
export const shortShare = 10;

/** `npm run test:git` runs all there is. */
export const isWhole = process.env.BRANCHLINE_WHOLE_TABLE === '1';

/** Whether a cell is in the short round. */
export const isInShortRound = (kind: Kind, operation: Operation): boolean =>
  (kinds.indexOf(kind) + operations.indexOf(operation)) % shortShare === 0;

/** Why there can't be such a cell on this machine; undefined where there can. */
export const whyAbsent = (kind: Kind, operation: Operation): string | undefined =>
  kind.absent?.() ?? operation.absent?.[kind.name];

export const suiteOf = (kind: Kind): string => `git: ${kind.name}`;

/** The rows of the table from one kind up to another one. */
export function defineRows(of: readonly Kind[]): void {
  for (const kind of of) {
    describe(suiteOf(kind), function () {
      this.timeout(120_000);
      afterEach(removeTemporaryFolders);
      for (const operation of operations) {
        if (whyAbsent(kind, operation) !== undefined || !(isWhole || isInShortRound(kind, operation))) continue;
        it(operation.name, () => inCell(kind, operation.run));
      }
    });
  }
}
