/** Does something once for many calls that come close together. */
export class Batch {
  readonly #time: number;
  readonly #action: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** `time`: milliseconds from the first call until it is done. */
  constructor(time: number, action: () => void) {
    this.#time = time;
    this.#action = action;
  }

  schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#action();
    }, this.#time);
  }

  /** What was scheduled is left undone. */
  dispose(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
