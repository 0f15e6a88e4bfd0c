/** How long something has been going on, counted by the second: it draws itself alone, not the list around it. */
import { LitElement } from 'lit';
import { duration } from '../../sessions/words.ts';

export class SinceElement extends LitElement {
  static override properties = { since: { attribute: false } };
  /** Milliseconds since 1970. */
  declare since: number;
  #timer: number | undefined;

  protected override createRenderRoot(): this {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#timer = window.setInterval(() => this.requestUpdate(), 1_000);
  }
  override disconnectedCallback(): void {
    clearInterval(this.#timer);
    super.disconnectedCallback();
  }

  protected override render(): string {
    return duration(Date.now() - this.since);
  }
}
customElements.define('branchline-since', SinceElement);
