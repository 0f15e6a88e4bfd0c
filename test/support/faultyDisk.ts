import { nodeFileSystem, type StoreFile, type StoreFileSystem } from '../../src/store/fileSystem.ts';

/** The real file system under the store, with a trouble that can come and go, and syncs that can be held up. */
export class FaultyDisk {
  /** System error code of what takes space; undefined: the disk is well. Writing zeros over what is there works on. */
  trouble: string | undefined;
  /** Every change fails, also what takes back a write that failed. */
  isDead = false;
  /** What a sync waits for. */
  hold: Promise<void> | undefined;
  syncs = 0;

  #check(takesSpace = true): void {
    if (this.trouble && (takesSpace || this.isDead))
      throw Object.assign(new Error(`${this.trouble}: trouble with the disk`), { code: this.trouble });
  }

  get files(): StoreFileSystem {
    const failing =
      <A extends unknown[], R>(operation: (...args: A) => Promise<R>, takesSpace: (...args: A) => boolean = () => false) =>
      async (...args: A): Promise<R> => {
        this.#check(takesSpace(...args));
        return operation(...args);
      };
    return {
      ...nodeFileSystem,
      makeFolder: failing(nodeFileSystem.makeFolder, () => true),
      rename: failing(nodeFileSystem.rename, () => true),
      remove: failing(nodeFileSystem.remove),
      syncFolder: failing(nodeFileSystem.syncFolder),
      open: failing(
        async (path: string, mode: 'create' | 'existing'): Promise<StoreFile> => {
          const file = await nodeFileSystem.open(path, mode);
          return {
            write: failing(
              (data: Uint8Array, position: number) => file.write(data, position),
              (data) => data.some((byte) => byte !== 0),
            ),
            datasync: async () => {
              this.syncs += 1;
              await this.hold;
              this.#check(false);
              await file.datasync();
            },
            close: () => file.close(),
          };
        },
        (_, mode) => mode === 'create',
      ),
    };
  }
}
