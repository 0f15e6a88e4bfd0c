import { kinds } from './kinds.ts';
import { defineRows } from './table.ts';

defineRows(kinds.filter((_, index) => index % 2 === 1));
