import { initial } from './001_initial.ts';
import { order } from './002_order.ts';
import { work } from './003_work.ts';

/**
 * SQL that brings the schema from version `index` to `index + 1`. A released one is never changed; a new one goes at the
 * end, with a fixture of the version before it in the tests.
 */
export const migrations: readonly string[] = [initial, order, work];
export const schemaVersion = migrations.length;
