import { kinds } from './kinds.ts';
import { defineRows } from './table.ts';

// The other half is in a file of its own, so that both run beside each other.
defineRows(kinds.filter((_, index) => index % 2 === 0));
