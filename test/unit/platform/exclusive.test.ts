import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  acquire,
  acquireWhenFree,
  type Exclusive,
  type ExclusiveKind,
  exclusiveKindOf,
  released,
} from '../../../src/platform/exclusive.ts';
import { FileLock } from '../../../src/platform/fileLock.ts';
import { PipeLock } from '../../../src/platform/pipeLock.ts';
import { fileLockIn } from '../../support/flock.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../support/temporaryFolder.ts';

const holder = fileURLToPath(new URL('../../support/lockHolder.ts', import.meta.url));

describe('A name that one process holds', () => {
  afterEach(removeTemporaryFolders);

  it('is an abstract socket on Linux, a pipe on Windows, a locked file elsewhere', () => {
    for (const platform of ['linux', 'android', 'win32'] as const) assert.ok(exclusiveKindOf(platform) instanceof PipeLock);
    for (const platform of ['darwin', 'freebsd'] as const) assert.ok(exclusiveKindOf(platform) instanceof FileLock);
  });

  for (const [how, kindIn] of [
    ['this platform', () => exclusiveKindOf(process.platform)],
    ['a locked file', fileLockIn],
  ] as const satisfies [string, (folder: string) => ExclusiveKind][]) {
    describe(`by ${how}`, () => {
      let folder: string;
      let kind: ExclusiveKind;
      let name: string;
      beforeEach(() => {
        folder = temporaryFolder();
        kind = kindIn(join(folder, 'locks'));
        name = `test:${folder}`;
      });

      it('is refused to others until it is let go, and then told', async () => {
        const first = await acquire(name, kind);
        assert.ok(first);
        assert.equal(await acquire(name, kind), undefined);
        let waits = false;
        const later = acquireWhenFree(
          name,
          AbortSignal.timeout(30_000),
          () => {
            waits = true;
            void first.release();
          },
          kind,
        );
        const second = await later;
        assert.ok(second && waits);
        await second.release();
        await released(name, undefined, kind); // Nobody holds it: at once.
      });

      it('is free as soon as its holder is killed, whatever that left behind', async () => {
        const child = spawn(process.execPath, [holder, how === 'a locked file' ? 'file' : 'own', name, join(folder, 'locks')], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        const [said] = (await once(child.stdout, 'data')) as [Buffer];
        assert.equal(String(said), 'held\n');
        assert.equal(await acquire(name, kind), undefined);
        const told = released(name, undefined, kind);
        child.kill('SIGKILL');
        await Promise.all([once(child, 'exit'), told]);
        const held = await acquireWhenFree(name, AbortSignal.timeout(30_000), undefined, kind);
        assert.ok(held);
        await held.release();
      });

      it('lets nobody wait longer than their signal', async () => {
        const held = await acquire(name, kind);
        const stop = new AbortController();
        const waiting = acquireWhenFree(name, stop.signal, () => stop.abort(), kind);
        assert.equal(await waiting, undefined);
        await released(name, AbortSignal.abort(), kind);
        await held?.release();
      });

      it('has one holder, ever, when several take it at once, over what dead holders left and while others let go', async () => {
        let holders = 0;
        let most = 0;
        const taken: number[] = [];
        const holding = async (held: Exclusive | undefined) => {
          if (!held) return 0;
          holders += 1;
          most = Math.max(most, holders);
          await new Promise((resolve) => setImmediate(resolve));
          holders -= 1;
          await held.release();
          return 1;
        };
        for (let round = 0; round < 40; round += 1) {
          if (how === 'a locked file' && round % 2 === 0) {
            mkdirSync(join(folder, 'locks'), { recursive: true });
            for (const left of readdirSync(join(folder, 'locks'))) writeFileSync(join(folder, 'locks', left), 'left behind');
          }
          const took = await Promise.all([1, 2, 3].map(async () => holding(await acquire(name, kind))));
          taken.push(took.reduce<number>((sum, one) => sum + one, 0));
        }
        assert.equal(most, 1);
        assert.ok(taken.filter((count) => count >= 1).length >= 35, 'and nearly always one got it');
      });
    });
  }

  it('by a locked file: one that was removed under its taker is not taken for the one that is there', async () => {
    const folder = join(temporaryFolder(), 'locks');
    const name = 'test';
    const first = await acquire(name, fileLockIn(folder));
    assert.ok(first);
    const path = join(folder, readdirSync(folder)[0] as string);
    let opened = 0;
    // Opens what the first holder is about to remove, and has its lock only after that.
    const slow = new FileLock(
      () => folder,
      async (asked) => {
        opened += 1;
        assert.equal(asked, path);
        if (opened > 1) return openPlainly(asked);
        const file = openPlainly(asked);
        rmSync(path);
        return file;
      },
    );
    const second = await acquire(name, slow);
    assert.ok(second);
    assert.equal(opened, 2);
    await second.release();
    await first.release();
  });

  it('by a locked file: a disk that can do no locks says so, and what to do', async () => {
    const failing = new FileLock(
      () => temporaryFolder(),
      async () => {
        throw Object.assign(new Error('ENOTSUP: operation not supported'), { code: 'ENOTSUP' });
      },
    );
    await assert.rejects(acquire('test', failing), /can't be locked: ENOTSUP.*on a local disk, then reload/);
  });
});

function openPlainly(path: string): number {
  return openSync(path, 'a+');
}
