/** What a turn did, in numbers: commits, files, lines, tokens, cost. Found out in the background, once for each turn. */
import { Git } from '../git/git.ts';
import type { Turn } from '../model/types.ts';
import { lastOfTurn, transcriptPath } from '../store/transcripts.ts';
import type { RowStats } from './protocol.ts';

const most = 2;

export class RowStatsCache {
  readonly #folder: string;
  readonly #repositoryOf: (turn: Turn) => string | undefined;
  readonly #onFound: () => void;
  readonly #known = new Map<string, RowStats | 'wanted'>();
  readonly #waiting: Turn[] = [];
  #working = 0;

  constructor(folder: string, repositoryOf: (turn: Turn) => string | undefined, onFound: () => void) {
    this.#folder = folder;
    this.#repositoryOf = repositoryOf;
    this.#onFound = onFound;
  }

  /** What is known of a turn that has ended; what is not is found out, and `onFound` called. */
  of(turn: Turn): RowStats | undefined {
    if (turn.endedAt === null || turn.startSha === null) return undefined;
    const key = `${turn.id}:${turn.attempt}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known === 'wanted' ? undefined : known;
    this.#known.set(key, 'wanted');
    this.#waiting.push(turn);
    void this.#work();
    return undefined;
  }

  async #work(): Promise<void> {
    if (this.#working >= most) return;
    this.#working += 1;
    try {
      for (let turn = this.#waiting.pop(); turn; turn = this.#waiting.pop()) {
        this.#known.set(`${turn.id}:${turn.attempt}`, await this.#find(turn));
        this.#onFound();
      }
    } finally {
      this.#working -= 1;
    }
  }

  async #find(turn: Turn): Promise<RowStats> {
    const stats: RowStats = { commits: 0, files: 0, insertions: 0, deletions: 0 };
    try {
      const repository = this.#repositoryOf(turn);
      if (repository && turn.startSha && turn.endSha && turn.startSha !== turn.endSha) {
        const git = new Git(repository);
        const range = `${turn.startSha}..${turn.endSha}`;
        stats.commits = Number((await git.run('rev-list', '--count', range)).trim());
        const line = (await git.run('diff', '--shortstat', range)).trim();
        const number = (pattern: RegExp) => Number(pattern.exec(line)?.[1] ?? 0);
        Object.assign(stats, {
          files: number(/(\d+) file/),
          insertions: number(/(\d+) insertion/),
          deletions: number(/(\d+) deletion/),
        });
      }
      const usage = await lastOfTurn(transcriptPath(this.#folder, turn.sessionId), turn.id, 'usage');
      if (usage) {
        stats.tokens = usage.used;
        if (usage.cost) stats.cost = `${usage.cost.amount.toFixed(2)} ${usage.cost.currency}`;
      }
    } catch {
      // Numbers are an extra: without git or transcript the row does without them.
    }
    return stats;
  }
}
