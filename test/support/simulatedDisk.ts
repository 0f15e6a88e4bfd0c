/**
 * A disk under the store that forgets what was not synced: at a cut of the power each write since the last sync of its file
 * is there, torn, or not, in any combination; each change of a folder since its last sync is there or not.
 */
import { createHash } from 'node:crypto';
import type { StoreFile, StoreFileSystem } from '../../src/store/fileSystem.ts';

export class PowerCut extends Error {
  override message = 'The power was cut.';
}

export type Random = () => number;

/** A seeded generator (mulberry32): the same seed, the same run. */
export function randomFrom(seed: number): Random {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Inode {
  id: number;
  durable: Buffer<ArrayBuffer>;
  /** As the system shows it. */
  now: Buffer<ArrayBuffer>;
  pending: { offset: number; data: Buffer<ArrayBuffer> }[];
}

type FolderChange =
  | { kind: 'link'; name: string; inode: Inode }
  | { kind: 'rename'; from: string; to: string }
  | { kind: 'unlink'; name: string };

const sector = 512;

/** What a cut of the power leaves of what was not synced. */
export interface Fate {
  keepsChange(kind: FolderChange['kind']): boolean;
  /** How much of a write is kept, from its beginning: 0 to 1. */
  keepsOfWrite(): number;
}

function anyFate(random: Random): Fate {
  return {
    keepsChange: () => random() >= 0.5,
    keepsOfWrite: () => {
      const kept = random();
      return kept < 0.3 ? 0 : kept < 0.6 ? random() : 1;
    },
  };
}

/** Every combination of keeping and forgetting, each kind of change treated alike. */
export const allFates: { name: string; fate: Fate }[] = Array.from({ length: 16 }, (_, bits) => {
  const kept = (['link', 'rename', 'unlink'] as const).filter((_, bit) => bits & (1 << bit));
  const writes = bits & 8 ? 1 : 0;
  return {
    name: `keeps ${[...kept, ...(writes ? ['writes'] : [])].join(', ') || 'nothing'}`,
    fate: { keepsChange: (kind) => kept.some((one) => one === kind), keepsOfWrite: () => writes },
  };
});

export interface Breakage {
  /** Syncs of files do nothing. */
  noSync?: boolean;
  /** Syncs of folders do nothing. */
  noFolderSync?: boolean;
}

export class SimulatedDisk implements StoreFileSystem {
  readonly #random: Random;
  readonly #breakage: Breakage;
  #durable = new Map<string, Inode>();
  #names = new Map<string, Inode>();
  #pending: FolderChange[] = [];
  #nextInode = 1;
  /** Operations until the power is cut. */
  #left: number;
  operations = 0;
  /** Called before each operation: what a cut at this moment leaves can be had by `afterCut`. */
  onStep: () => void = () => undefined;

  constructor(random: Random, cutAfter = Number.POSITIVE_INFINITY, breakage: Breakage = {}) {
    this.#random = random;
    this.#left = cutAfter;
    this.#breakage = breakage;
  }

  /** Cuts the power: what is left is another disk. */
  afterCut(cutAfter = Number.POSITIVE_INFINITY, fate = anyFate(this.#random)): SimulatedDisk {
    const next = new SimulatedDisk(this.#random, cutAfter, this.#breakage);
    const names = new Map(this.#durable);
    for (const change of this.#pending) {
      if (!fate.keepsChange(change.kind)) continue;
      if (change.kind === 'link') names.set(change.name, change.inode);
      else if (change.kind === 'unlink') names.delete(change.name);
      else {
        const inode = names.get(change.from);
        if (!inode) continue;
        names.delete(change.from);
        names.set(change.to, inode);
      }
    }
    for (const [name, inode] of names) {
      const content = survivor(inode, fate);
      next.#durable.set(name, { id: inode.id, durable: content, now: Buffer.from(content), pending: [] });
    }
    next.#names = new Map(next.#durable);
    next.#nextInode = this.#nextInode;
    return next;
  }

  /** Puts a file there, durably, as if it had been there always. */
  put(path: string, content: Uint8Array): void {
    const inode = { id: this.#nextInode, durable: Buffer.from(content), now: Buffer.from(content), pending: [] };
    this.#nextInode += 1;
    this.#durable.set(path, inode);
    this.#names.set(path, inode);
  }

  /** Two disks with the same content have the same. */
  get fingerprint(): string {
    const hash = createHash('sha256');
    for (const name of [...this.#names.keys()].sort())
      hash
        .update(`${name}\0`)
        .update(this.#names.get(name)?.now ?? '')
        .update('\0');
    return hash.digest('hex');
  }

  get hasPower(): boolean {
    return this.#left >= 0;
  }

  #step(): void {
    this.onStep();
    this.operations += 1;
    this.#left -= 1;
    if (this.#left < 0) throw new PowerCut();
  }

  async makeFolder(): Promise<void> {
    // Folders are there from the beginning.
  }
  async list(path: string): Promise<string[]> {
    return [...this.#names.keys()].flatMap((name) =>
      name.startsWith(`${path}/`) && !name.slice(path.length + 1).includes('/') ? [name.slice(path.length + 1)] : [],
    );
  }
  async read(path: string): Promise<Uint8Array | undefined> {
    const inode = this.#names.get(path);
    return inode && Buffer.from(inode.now);
  }
  async open(path: string, mode: 'create' | 'existing'): Promise<StoreFile> {
    this.#step();
    let inode = this.#names.get(path);
    if (mode === 'create') {
      inode = { id: this.#nextInode, durable: Buffer.alloc(0), now: Buffer.alloc(0), pending: [] };
      this.#nextInode += 1;
      this.#names.set(path, inode);
      this.#pending.push({ kind: 'link', name: path, inode });
    }
    if (!inode) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
    const file = inode;
    return {
      write: async (data, position) => {
        this.#step();
        const length = this.#random() < 0.1 ? Math.max(1, Math.floor(data.length / 2)) : data.length;
        const part = Buffer.from(data.subarray(0, length));
        file.now = put(file.now, position, part);
        file.pending.push({ offset: position, data: part });
        return length;
      },
      datasync: async () => {
        this.#step();
        await new Promise((resolve) => setImmediate(resolve));
        if (this.#breakage.noSync) return;
        file.durable = Buffer.from(file.now);
        file.pending = [];
      },
      close: async () => undefined,
    };
  }
  async rename(from: string, to: string): Promise<void> {
    this.#step();
    const inode = this.#names.get(from);
    if (!inode) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
    this.#names.delete(from);
    this.#names.set(to, inode);
    this.#pending.push({ kind: 'rename', from, to });
  }
  async remove(path: string): Promise<void> {
    this.#step();
    if (this.#names.delete(path)) this.#pending.push({ kind: 'unlink', name: path });
  }
  async syncFolder(): Promise<void> {
    this.#step();
    if (this.#breakage.noFolderSync) return;
    this.#durable = new Map(this.#names);
    this.#pending = [];
  }
  identity(path: string): string | undefined {
    const inode = this.#names.get(path);
    return inode && String(inode.id);
  }
}

function put(content: Buffer<ArrayBuffer>, offset: number, data: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
  const next = Buffer.alloc(Math.max(content.length, offset + data.length));
  content.copy(next);
  data.copy(next, offset);
  return next;
}

function survivor(inode: Inode, fate: Fate): Buffer<ArrayBuffer> {
  let content = Buffer.from(inode.durable);
  for (const { offset, data } of inode.pending) {
    const kept = Math.min(data.length, Math.ceil((fate.keepsOfWrite() * data.length) / sector) * sector);
    if (kept > 0) content = put(content, offset, data.subarray(0, kept));
  }
  return content;
}

/** A disk that one process can be cut off from, as if it had been killed: the next operations of that process never happen. */
export class SeveredDisk implements StoreFileSystem {
  readonly #disk: SimulatedDisk;
  #left = Number.POSITIVE_INFINITY;

  constructor(disk: SimulatedDisk) {
    this.#disk = disk;
  }

  sever(): void {
    this.#left = 0;
  }
  severAfter(operations: number): void {
    this.#left = Math.min(this.#left, operations);
  }
  get isSevered(): boolean {
    return this.#left <= 0;
  }

  async #step<T>(operation: () => Promise<T>): Promise<T> {
    if (this.isSevered) throw Object.assign(new Error('This process is no more.'), { code: 'EIO' });
    this.#left -= 1;
    return operation();
  }

  makeFolder(): Promise<void> {
    return this.#step(() => this.#disk.makeFolder());
  }
  list(path: string): Promise<string[]> {
    return this.#step(() => this.#disk.list(path));
  }
  read(path: string): Promise<Uint8Array | undefined> {
    return this.#step(() => this.#disk.read(path));
  }
  open(path: string, mode: 'create' | 'existing'): Promise<StoreFile> {
    return this.#step(async () => {
      const file = await this.#disk.open(path, mode);
      return {
        write: (data, position) => this.#step(() => file.write(data, position)),
        datasync: () => this.#step(() => file.datasync()),
        close: () => file.close(),
      };
    });
  }
  rename(from: string, to: string): Promise<void> {
    return this.#step(() => this.#disk.rename(from, to));
  }
  remove(path: string): Promise<void> {
    return this.#step(() => this.#disk.remove(path));
  }
  syncFolder(): Promise<void> {
    return this.#step(() => this.#disk.syncFolder());
  }
  identity(path: string): string | undefined {
    return this.#disk.identity(path);
  }
}
