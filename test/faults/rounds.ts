/** How long the attacks go on: a short while inside `npm test`, as long as is asked for by `npm run test:faults`. */
export const seed = Number(process.env.BRANCHLINE_SEED ?? Math.floor(Math.random() * 1e9));

/** `short` rounds, or as many times that as `--rounds` says. */
export const rounds = (short: number): number => Math.ceil(short * Number(process.env.BRANCHLINE_ROUNDS ?? 1));
