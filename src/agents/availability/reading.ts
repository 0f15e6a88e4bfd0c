/** What an error holds, however it is wrapped: causes, data, JSON in words. Bounded, for its text is anybody's. Pure. */

export interface ErrorWords {
  /** Sentences in it, the outermost first, in order of depth. */
  texts: string[];
  /** The text of each field that may be a code, made alike. */
  codes: string[];
  statuses: number[];
  /** Values by their field's name, made alike; the outermost first. */
  fields: [string, unknown][];
}

const mostParts = 2_000;
const deepest = 10;
/** Characters that are looked at of one text. */
export const longestText = 4_000;
const longestJson = 64 * 1024;
const longestCode = 80;
const statusFields = new Set(['code', 'status', 'statuscode', 'httpstatus', 'httpstatuscode', 'errorcode']);
/** What was asked, or where: words that are not the error's. */
const others = new Set(['stack', 'prompt', 'input', 'rawinput', 'messages', 'request', 'requestbody', 'body', 'config']);
const ofErrors = ['message', 'code', 'data', 'cause', 'errors', 'status', 'statusCode', 'name'];

/** A name without what programs write differently: `retry-after`, `retryAfter`, `retry_after`. */
export const alike = (name: string): string => name.toLowerCase().replace(/[-_ ]/g, '');

/** Words without what differs between terminals, agents and locales. */
export function plain(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken away
      .replace(/\u001b\[[0-9;?]{0,20}[A-Za-z]/g, '')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken away
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, '')
      .replace(/[\u2018\u2019\u02bc]/g, "'")
      .replace(/[\u00a0\u2000-\u200a\u202f]/g, ' ')
  );
}

/** The beginning and the end of a text that is too long to be looked at. */
const clipped = (text: string): string =>
  text.length <= longestText ? text : `${text.slice(0, longestText - 1_000)} … ${text.slice(-1_000)}`;

/** Reads an error: JSON-RPC's, a system's, a string, anything. Throws only what a getter of it throws. */
export function readError(error: unknown): ErrorWords {
  const found: ErrorWords = { texts: [], codes: [], statuses: [], fields: [] };
  const seen = new Set<object>();
  const queue: { name: string; value: unknown; depth: number }[] = [{ name: '', value: error, depth: 0 }];
  for (let next = 0; next < queue.length && next < mostParts; next += 1) {
    const { name, value, depth } = queue[next] as (typeof queue)[number];
    if (typeof value === 'number') {
      if (statusFields.has(name)) found.statuses.push(value);
    } else if (typeof value === 'string') {
      if (value.length <= longestCode) found.codes.push(alike(value));
      if (statusFields.has(name) && /^-?\d{1,6}$/.test(value)) found.statuses.push(Number(value));
      found.texts.push(clipped(value));
      const inside = depth < deepest ? jsonIn(value) : undefined;
      if (inside) queue.push({ name: '', value: inside, depth: depth + 1 });
    }
    if (typeof value !== 'object' || value === null) continue;
    if (seen.has(value) || depth >= deepest) continue;
    seen.add(value);
    if (Array.isArray(value)) {
      for (const one of value.slice(0, 100)) queue.push({ name, value: one, depth: depth + 1 });
      continue;
    }
    const keys = new Set([...ofErrors.filter((key) => key in value), ...Object.keys(value).slice(0, 200)]);
    for (const key of keys) {
      const part = (value as Record<string, unknown>)[key];
      const field = alike(key.slice(0, longestCode));
      if (others.has(field) || part === undefined || typeof part === 'function') continue;
      found.fields.push([field, part]);
      // Codex names its codes as keys where more is said of them.
      if (typeof part === 'object' && part !== null) found.codes.push(field);
      queue.push({ name: field, value: part, depth: depth + 1 });
    }
  }
  return found;
}

/** The JSON object that stands in a text, as agents pass on what a provider answered. */
function jsonIn(text: string): unknown {
  if (text.length > longestJson) return undefined;
  const start = text.indexOf('{');
  if (start < 0) return undefined;
  const end = text.lastIndexOf('}');
  if (end < start) return undefined;
  try {
    return JSON.parse(text.slice(start, end + 1));
  } catch {
    return undefined;
  }
}
