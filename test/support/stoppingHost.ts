/**
 * Loaded before the program of an agent host: ends the host, as the kernel or a person would, at a chosen point after its agent has
 * answered. Points are what others can see of it: each write to the transcript, and each git before, while and after it runs.
 *
 * TEST_STOPS names a folder. In it, `BRANCH.stop` holds a part of the name of the point at which the host of that branch is killed,
 * or its number; `BRANCH.points` takes the names of the points it comes to; `BRANCH.stopped` is there once it was killed.
 */
import childProcess, { type ChildProcess } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, join } from 'node:path';

const folder = process.env.TEST_STOPS as string;
let branch: string | undefined;
let hasAnswered = false;
let points = 0;

function point(name: string): void {
  if (!hasAnswered || branch === undefined) return;
  appendFileSync(join(folder, `${branch}.points`), `${name}\n`);
  const wanted = existsSync(join(folder, `${branch}.stop`)) ? readFileSync(join(folder, `${branch}.stop`), 'utf8') : undefined;
  const isHere = wanted !== undefined && (/^\d+$/.test(wanted) ? Number(wanted) === points : name.includes(wanted));
  points += 1;
  if (!isHere || existsSync(join(folder, `${branch}.stopped`))) return;
  writeFileSync(join(folder, `${branch}.stopped`), name);
  process.kill(process.pid, 'SIGKILL');
}

const { spawn } = childProcess;
childProcess.spawn = ((...given: Parameters<typeof spawn>) => {
  const [program, args, options] = given as unknown as [string, string[], { cwd?: string } | undefined];
  if (basename(program) !== 'git') return spawn(...given);
  branch ??= options?.cwd === undefined ? undefined : basename(options.cwd);
  const name = `git ${args.find((one, at) => !one.startsWith('-') && args[at - 1] !== '-c') ?? ''}`;
  point(`before ${name}`);
  const child: ChildProcess = spawn(...given);
  point(`during ${name}`);
  child.once('exit', () => point(`after ${name}`));
  return child;
}) as typeof spawn;

/** The types of the entries that a piece of a transcript holds. */
const typesIn = (data: unknown): string[] =>
  data instanceof Uint8Array
    ? Array.from(
        Buffer.from(data)
          .toString('utf8')
          .matchAll(/^\{"type":"(\w+)"/gm),
        ([, type]) => type as string,
      )
    : [];

void open(process.execPath, 'r').then(async (file) => {
  const handles = Object.getPrototypeOf(file) as { write: (...args: unknown[]) => Promise<unknown> };
  await file.close();
  const { write } = handles;
  handles.write = async function (...args) {
    const types = typesIn(args[0]);
    hasAnswered ||= types.includes('answered');
    if (types.length > 0) point(`before the entry ${types.join()}`);
    const result = await write.apply(this, args);
    if (types.length > 0) point(`after the entry ${types.join()}`);
    return result;
  };
});
