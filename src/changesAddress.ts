/**
 * Addresses of files as they are in a commit: `branchline-git:/PATH?{"repository", "sha"}`. Anyone can write one (a link, another
 * extension, a settings file), so nothing of it reaches git unless all of it is what we would have written. Pure.
 */
import * as z from 'zod';

export const changesScheme = 'branchline-git';

export interface CommittedFile {
  repository: string;
  sha: string;
  /** From the repository's root, with slashes. */
  path: string;
}

const longestPath = 4_096;
const querySchema = z.strictObject({
  repository: z.string().min(1),
  sha: z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/),
});
const pathSchema = z
  .string()
  .max(longestPath)
  .refine((path) => !path.includes('\0'))
  .refine((path) => path.split('/').every((part) => part !== '' && part !== '.' && part !== '..'));

/** The parts of an address, for `Uri.from`. */
export const addressOf = ({ repository, sha, path }: CommittedFile) => ({
  scheme: changesScheme,
  path: `/${path}`,
  query: JSON.stringify({ repository, sha }),
});

/** The file that an address names, or undefined for what is no address of ours or of a repository that nobody has queued on. */
export function committedFileAt(
  address: { scheme: string; authority?: string; path: string; query: string; fragment?: string },
  isKnown: (repository: string) => boolean,
): CommittedFile | undefined {
  if (address.scheme !== changesScheme || address.authority || address.fragment || !address.path.startsWith('/'))
    return undefined;
  let query: unknown;
  try {
    query = JSON.parse(address.query);
  } catch {
    return undefined;
  }
  const asked = querySchema.safeParse(query);
  const path = pathSchema.safeParse(address.path.slice(1));
  if (!asked.success || !path.success || !isKnown(asked.data.repository)) return undefined;
  return { ...asked.data, path: path.data };
}
