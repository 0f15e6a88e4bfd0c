/** What an agent has done for a turn so far, as far as it tells whether the agent can work. Pure. */
import { longestLastText, unavailableByLastText } from '../agents/availability/unavailable.ts';
import type { TranscriptDraft } from '../model/transcript.ts';

/** Where it does not matter when: nothing is asked but whether. */
const anyTime = { now: 0, zone: 'UTC' };

export class Doings {
  /** Its last message, without what it said before its tools ran; what is over this is cut. */
  lastText = '';
  #acted = false;
  #works = false;

  /** Takes what is written of it; true when it first shows that the agent can work. */
  take(draft: TranscriptDraft): boolean {
    if (draft.type === 'tool' || draft.type === 'plan' || draft.type === 'output') {
      this.#acted = true;
      this.lastText = '';
    } else if (draft.type === 'text' && draft.role === 'agent' && this.lastText.length <= longestLastText)
      this.lastText += draft.text;
    if (this.#works || !(this.#acted || this.lastText.length > longestLastText)) return false;
    this.#works = true;
    return true;
  }

  /** True when it has done something for the turn, other than to say that it can't. */
  get begun(): boolean {
    return this.#acted || (this.lastText.trim() !== '' && unavailableByLastText(this.lastText, anyTime) === undefined);
  }
}
