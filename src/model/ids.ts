import { randomBytes } from 'node:crypto';

/** Makes ids; a parameter wherever ids are made, so that tests are exact. */
export type IdSource = () => string;
/** Milliseconds since 1970; a parameter wherever time is read. */
export type Clock = () => number;

/** 16 characters that are safe in a file name, a URL and an argument (they never start with a dash). */
export const randomId: IdSource = () => {
  for (;;) {
    const id = randomBytes(12).toString('base64url');
    if (!id.startsWith('-')) return id;
  }
};
