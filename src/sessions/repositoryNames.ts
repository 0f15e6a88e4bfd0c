/**
 * Version 0.1.0 knew some repositories by their checkout (a submodule, `--separate-git-dir`), so that two folders of one of them had two
 * queues. They are known by their common git directory now; rows that bear the old name get the new one, once.
 */
import { findRepository } from '../git/repository.ts';
import type { Store } from '../store/store.ts';

export async function renameRepositories(store: Store, find: typeof findRepository = findRepository): Promise<void> {
  const names = new Map<string, string>();
  for (const { repository } of store.state.branches()) {
    const found = names.has(repository) ? undefined : find(repository);
    if (found && found.repository !== repository && found.checkout === repository) names.set(repository, found.repository);
  }
  if (names.size === 0) return;
  await store.commit((tx) => {
    for (const branch of store.state.branches()) {
      const name = names.get(branch.repository);
      // A queue of the new name is there already: two branches can't be made one, and both are shown.
      if (name === undefined || tx.select('branch', 'repository = ? AND name = ?', [name, branch.name]).length > 0) continue;
      tx.update('branch', branch.id, { repository: name, checkout: branch.checkout ?? branch.repository });
    }
  });
}
