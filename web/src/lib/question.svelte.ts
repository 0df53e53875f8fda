// A question that is asked of what is written down, and its answer.

import { api, type ApiError, type AssistAnswer } from './api';
import type { CallId } from './generated/call';
import { session } from './session.svelte';

export class Question {
  /** Absent until there is one. */
  answer: AssistAnswer | null = $state.raw(null);
  /** It is being answered. */
  asking = $state.raw(false);
  /** Why it could not be asked. */
  failed: ApiError | null = $state.raw(null);

  #going: AbortController | null = null;

  /** Asks in place of what was asked before. On a call it may lean on what was said there. */
  async ask(text: string, call: CallId | null = null): Promise<void> {
    this.stop();
    const going = new AbortController();
    this.#going = going;
    this.answer = null;
    this.failed = null;
    this.asking = true;
    try {
      const answer = await api.answer(text, call, going.signal);
      if (!going.signal.aborted) this.answer = answer;
    } catch (error) {
      if (going.signal.aborted) return;
      this.failed = session.refused(error);
    }
    if (!going.signal.aborted) this.asking = false;
  }

  /** Nobody waits for the answer any more. */
  stop(): void {
    this.#going?.abort();
  }
}
