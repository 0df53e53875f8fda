// What is asked of what is written down, and what comes of it: an answer to a question, a draft.

import { api, type ApiError, type AssistAnswer, type Draft, type DraftWish } from './api';
import type { CallId } from './generated/call';
import { t } from './i18n/index.svelte';
import { reasonOf } from './names';
import { session } from './session.svelte';

class Asked<T> {
  /** Absent until there is one. */
  answer: T | null = $state.raw(null);
  /** It is being answered. */
  asking = $state.raw(false);
  /** Why it could not be asked. */
  failed: ApiError | null = $state.raw(null);

  #going: AbortController | null = null;

  /** Why it could not be asked, as a reader understands it; empty where it could. */
  get problem(): string {
    if (this.failed?.code === 'too_many_attempts') return t('knowledge.problem.too_many_attempts');
    return reasonOf(this.failed);
  }

  /** Asks in place of what was asked before. */
  protected async of(answer: (gone: AbortSignal) => Promise<T>): Promise<void> {
    this.stop();
    const going = new AbortController();
    this.#going = going;
    this.answer = null;
    this.failed = null;
    this.asking = true;
    try {
      const given = await answer(going.signal);
      if (!going.signal.aborted) this.answer = given;
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

export class Question extends Asked<AssistAnswer> {
  /** On a call it may lean on what was said there. */
  ask(text: string, call: CallId | null = null): Promise<void> {
    return this.of((gone) => api.answer(text, call, gone));
  }
}

export class Drafting extends Asked<Draft> {
  ask(call: CallId, wish: DraftWish): Promise<void> {
    return this.of((gone) => api.draft(call, wish, gone));
  }
}
