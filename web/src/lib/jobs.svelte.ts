// What is done after calls, as admins see it and have it done again.

import { api, ApiError, type Job, type JobList, type JobState } from './api';
import { reasonOf } from './names';
import { session } from './session.svelte';

const ASK_EVERY_MS = 3_000;

export class Jobs {
  /** Those in this state are listed: at first what waits for a person. */
  shown: JobState = $state.raw('dead');
  /** Absent until it is fetched. */
  list: JobList | null = $state.raw(null);
  /** Why it could not be fetched just now. */
  failed: ApiError | null = $state.raw(null);
  /** Why something is not done again. */
  problem = $state.raw('');
  /** Something is being asked for. */
  asking = $state.raw(false);

  /** Keeps the list true while it is looked at; gives the way to stop. */
  watch(): () => void {
    const gone = new AbortController();
    const ask = () => {
      if (!document.hidden) void this.ask(gone.signal);
    };
    ask();
    const timer = setInterval(ask, ASK_EVERY_MS);
    return () => {
      clearInterval(timer);
      gone.abort();
    };
  }

  show(state: JobState): void {
    this.shown = state;
    void this.ask();
  }

  async ask(signal?: AbortSignal): Promise<void> {
    const state = this.shown;
    try {
      const list = await api.jobs(state, signal);
      // Others may have been chosen meanwhile.
      if (state !== this.shown || signal?.aborted) return;
      this.list = list;
      this.failed = null;
    } catch (error) {
      if (signal?.aborted) return;
      session.noticed(error);
      if (!(error instanceof ApiError)) throw error;
      this.failed = error;
    }
  }

  /** Has them done again, one after the other, until one is refused. */
  async run(jobs: readonly Job[]): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    this.problem = '';
    for (const { id } of jobs) {
      try {
        await api.runJob(id);
      } catch (error) {
        session.noticed(error);
        if (!(error instanceof ApiError)) throw error;
        // It went with its call.
        if (error.status === 404) continue;
        this.problem = reasonOf(error);
        break;
      }
    }
    this.asking = false;
    await this.ask();
  }
}
