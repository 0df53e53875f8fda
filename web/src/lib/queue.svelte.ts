// What waits for its turn on the server, is done by itself, and waits for somebody where it has failed too often.

import type { ApiError, JobState } from './api';
import { every } from './every';
import { reasonOf } from './names';
import { session } from './session.svelte';

const ASK_EVERY_MS = 3_000;

export class Queue<List> {
  /** Those in this state are listed. */
  shown: JobState = $state.raw('dead');
  /** Absent until it is fetched. */
  list: List | null = $state.raw(null);
  /** Why it could not be fetched just now. */
  failed: ApiError | null = $state.raw(null);
  /** Why something is not done. */
  problem = $state.raw('');
  /** Something is being asked for. */
  asking = $state.raw(false);

  readonly #fetch: (state: JobState, signal?: AbortSignal) => Promise<List>;
  readonly #again: (id: string) => Promise<void>;

  /** What is shown at first, how that is fetched, and how one of it is done again. */
  constructor(
    shown: JobState,
    fetch: (state: JobState, signal?: AbortSignal) => Promise<List>,
    again: (id: string) => Promise<void>,
  ) {
    this.shown = shown;
    this.#fetch = fetch;
    this.#again = again;
  }

  /** Keeps the list true while it is looked at; gives the way to stop. */
  watch(): () => void {
    return every(ASK_EVERY_MS, (gone) => {
      if (!document.hidden) void this.ask(gone);
    });
  }

  show(state: JobState): void {
    this.shown = state;
    void this.ask();
  }

  async ask(signal?: AbortSignal): Promise<void> {
    const state = this.shown;
    try {
      const list = await this.#fetch(state, signal);
      // Others may have been chosen meanwhile.
      if (state !== this.shown || signal?.aborted) return;
      this.list = list;
      this.failed = null;
    } catch (error) {
      if (signal?.aborted) return;
      this.failed = session.refused(error);
    }
  }

  /** Has them done again, one after the other, until one is refused. */
  run(items: readonly { id: string }[]): Promise<void> {
    return this.each(items, this.#again);
  }

  /** Does something with them, one after the other, until one is refused. */
  async each(items: readonly { id: string }[], what: (id: string) => Promise<void>): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    this.problem = '';
    for (const { id } of items) {
      try {
        await what(id);
      } catch (error) {
        const refused = session.refused(error);
        // It has gone meanwhile.
        if (refused.status === 404) continue;
        this.problem = reasonOf(refused);
        break;
      }
    }
    this.asking = false;
    await this.ask();
  }
}
