/** Texts that are being written, for each branch and session: a file of their own, so that no crash or reload takes them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { nodeFileSystem, replaceFile } from '../store/fileSystem.ts';

const fileSchema = z.record(z.string(), z.string());

export class Drafts {
  readonly #folder: string;
  readonly #log: (message: string) => void;
  readonly #texts: Record<string, string>;
  #writing: Promise<void> = Promise.resolve();
  #scheduled = false;

  constructor(folder: string, log: (message: string) => void) {
    this.#folder = folder;
    this.#log = log;
    this.#texts = this.#read();
  }

  get all(): Readonly<Record<string, string>> {
    return this.#texts;
  }

  set(key: string, text: string): void {
    if ((this.#texts[key] ?? '') === text) return;
    if (text === '') delete this.#texts[key];
    else this.#texts[key] = text;
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#writing = this.#writing.then(() => this.#write());
  }

  #read(): Record<string, string> {
    try {
      return fileSchema.safeParse(JSON.parse(readFileSync(join(this.#folder, 'drafts.json'), 'utf8'))).data ?? {};
    } catch {
      return {}; // There is none yet.
    }
  }

  async #write(): Promise<void> {
    this.#scheduled = false;
    try {
      await nodeFileSystem.makeFolder(this.#folder);
      await replaceFile(nodeFileSystem, this.#folder, join(this.#folder, 'drafts.json'), Buffer.from(JSON.stringify(this.#texts)));
    } catch (error) {
      this.#log(`Keeping a draft: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
