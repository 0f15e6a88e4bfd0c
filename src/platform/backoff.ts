/** Tries again after a failure, soon at first, then ever later: what fails on a full disk must not be asked in a loop. */
const first = 250;
const longest = 30_000;

export class Backoff {
  readonly #action: () => void;
  #wait = first;
  #timer: NodeJS.Timeout | undefined;

  constructor(action: () => void) {
    this.#action = action;
  }

  /** Calls the action after a while; a call that is under way already stays as it is. */
  failed(): void {
    if (this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#action();
    }, this.#wait);
    this.#timer.unref();
    this.#wait = Math.min(this.#wait * 2, longest);
  }

  succeeded(): void {
    this.#wait = first;
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
