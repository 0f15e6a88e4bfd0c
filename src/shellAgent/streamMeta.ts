/** Key in an update's `_meta` that says which stream the shell agent's text came from: `stdout` or `stderr`. */
export const streamMeta = 'branchline/stream';
