/** What is being written, for each branch and session: texts in one file, attachments in one for each, so that no crash or reload takes them. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { messageOf } from '../model/errors.ts';
import { nodeFileSystem, replaceFile } from '../store/fileSystem.ts';
import { type NewImage, newAttachmentSchema } from './protocol.ts';

const fileSchema = z.record(z.string(), z.string());
const attachmentsSchema = z.array(newAttachmentSchema);

export class Drafts {
  readonly #folder: string;
  readonly #log: (message: string) => void;
  readonly #isOwner: () => boolean;
  #texts: Record<string, string> = {};
  /** Who the texts were read as: what another window wrote meanwhile is read when this one becomes the owner. */
  #readAsOwner: boolean | undefined;
  #writing: Promise<void> = Promise.resolve();
  /** The write that will take in what is set now. */
  #next: Promise<void> | undefined;

  /** Only the window that owns the storage writes. */
  constructor(folder: string, log: (message: string) => void, isOwner: () => boolean) {
    this.#folder = folder;
    this.#log = log;
    this.#isOwner = isOwner;
  }

  #look(): void {
    if (this.#readAsOwner === this.#isOwner()) return;
    this.#readAsOwner = this.#isOwner();
    this.#texts = this.#read();
  }

  get all(): Readonly<Record<string, string>> {
    this.#look();
    return this.#texts;
  }

  /** Resolves when the text is on disk; rejects when it could not be written, and is kept in memory then. */
  set(key: string, text: string): Promise<void> {
    this.#look();
    if (!this.#isOwner()) return Promise.resolve();
    if (text === '') delete this.#texts[key];
    else this.#texts[key] = text;
    this.#next ??= this.#after(() => this.#write());
    return this.#next;
  }

  setFiles(key: string, files: readonly NewImage[]): void {
    if (!this.#isOwner()) return;
    void this.#after(async () => {
      if (files.length === 0) return rm(this.#filesPath(key), { force: true });
      const folder = join(this.#folder, 'drafts');
      await nodeFileSystem.makeFolder(folder);
      return replaceFile(nodeFileSystem, folder, this.#filesPath(key), Buffer.from(JSON.stringify(files)));
    }).catch(() => undefined); // It was logged.
  }

  async filesOf(key: string): Promise<NewImage[]> {
    await this.#writing;
    try {
      return attachmentsSchema.safeParse(JSON.parse(await readFile(this.#filesPath(key), 'utf8'))).data ?? [];
    } catch {
      return []; // There are none.
    }
  }

  #filesPath(key: string): string {
    return join(this.#folder, 'drafts', `${createHash('sha256').update(key).digest('hex').slice(0, 32)}.json`);
  }

  #read(): Record<string, string> {
    try {
      return fileSchema.safeParse(JSON.parse(readFileSync(join(this.#folder, 'drafts.json'), 'utf8'))).data ?? {};
    } catch {
      return {}; // There is none yet.
    }
  }

  async #write(): Promise<void> {
    this.#next = undefined;
    await nodeFileSystem.makeFolder(this.#folder);
    await replaceFile(nodeFileSystem, this.#folder, join(this.#folder, 'drafts.json'), Buffer.from(JSON.stringify(this.#texts)));
  }

  /** One write after the other; each tells its own caller how it went. */
  #after(write: () => Promise<void>): Promise<void> {
    const done = this.#writing.then(write);
    this.#writing = done.catch((error: unknown) => this.#log(`Keeping a draft: ${messageOf(error)}`));
    return done;
  }
}
