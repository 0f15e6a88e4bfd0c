/** The log: levels as VS Code has them, and nothing in it that somebody else must not read. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
/** `info` where no level is given. */
export type Log = (message: string, level?: LogLevel) => void;

const secretName = /token|secret|password|passwd|api_?key|credential|private_?key/i;
const shortestSecret = 8;

/** Values of the variables whose names say that they are secret. */
export function secretsOf(environment: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(environment).flatMap(([name, value]) =>
    secretName.test(name) && value !== undefined && value.length >= shortestSecret ? [value] : [],
  );
}

/** What services' tokens look like, and what stands behind a name that says so. The first group stays. */
const shapes = [
  /\b()(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}/g,
  /\b()(?:gh[opsur]|github_pat|glpat|npm|xox[abprs])[-_][A-Za-z0-9_-]{16,}/g,
  /\b()AKIA[A-Z0-9]{16}\b/g,
  /\b()eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g,
  /(\bBearer\s+)[^\s"']{8,}/gi,
  /(\b[\w-]*(?:token|secret|password|api[_-]?key)["']?\s*[=:]\s*["']?)[^\s"',;&]{4,}/gi,
  /(:\/\/[^\s/:@]*:)[^\s/@]+(?=@)/g,
];

/** The text with `***` in place of secrets: the given ones, and whatever has the shape of one. */
export function withoutSecrets(text: string, secrets: readonly string[] = []): string {
  let clean = text;
  for (const secret of secrets) clean = clean.replaceAll(secret, '***');
  for (const shape of shapes) clean = clean.replace(shape, '$1***');
  return clean;
}
