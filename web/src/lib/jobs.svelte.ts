// What is done after calls, as admins see it and have it done again.

import { api, type ApiError, type Job, type JobList, type JobState } from './api';
import { every } from './every';
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
      const list = await api.jobs(state, signal);
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
  async run(jobs: readonly Job[]): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    this.problem = '';
    for (const { id } of jobs) {
      try {
        await api.runJob(id);
      } catch (error) {
        const refused = session.refused(error);
        // It went with its call.
        if (refused.status === 404) continue;
        this.problem = reasonOf(refused);
        break;
      }
    }
    this.asking = false;
    await this.ask();
  }
}
