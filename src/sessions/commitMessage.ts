/** The message of a turn's commit, from the template of the setting `branchline.commit.message`. Pure. */
import type { Branch, Session, Turn } from '../model/types.ts';

export const defaultCommitTemplate = '${title}';

interface Parts {
  turn: Pick<Turn, 'prompt'>;
  session: Pick<Session, 'title' | 'agent' | 'kind'>;
  branch: Pick<Branch, 'name'>;
}

/** `${title}`, `${prompt}`, `${branch}`, `${agent}` and `${kind}` are put in; anything else stays as it is. A template that gives nothing gives the title. */
export function commitMessage(template: string, { turn, session, branch }: Parts): string {
  const values: Record<string, string> = {
    title: session.title,
    prompt: turn.prompt,
    branch: branch.name,
    agent: session.agent,
    kind: session.kind,
  };
  const message = template.replace(/\$\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
  return message.trim() === '' ? session.title : message;
}
