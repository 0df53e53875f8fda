// What customers may want, as supervisors see and change it.

import { api, type ApiError, type IntentList } from './api';
import { every } from './every';
import { t } from './i18n/index.svelte';
import { reasonOf } from './names';
import { session } from './session.svelte';

/** How often it is asked whether a change is learned, or the server is back. */
const ASK_AGAIN_MS = 1_500;

const PROBLEMS = ['secret', 'long_number', 'name_taken', 'invalid', 'not_found'] as const;

export class Intents {
  /** Absent until it is fetched. */
  list: IntentList | null = $state.raw(null);
  /** Why it could not be fetched just now. */
  failed: ApiError | null = $state.raw(null);
  /** Why the last change was not made. */
  problem = $state.raw('');

  /** Keeps the list true while it is looked at; gives the way to stop. */
  watch(): () => void {
    const ask = (gone: AbortSignal) => void this.ask(gone);
    return every(ASK_AGAIN_MS, ask, (gone) => {
      if (!document.hidden && (this.failed || this.list?.learning === 'going')) ask(gone);
    });
  }

  async ask(signal?: AbortSignal): Promise<void> {
    try {
      this.list = await api.intents(signal);
      this.failed = null;
    } catch (error) {
      if (signal?.aborted) return;
      this.failed = session.refused(error);
    }
  }

  /** Makes a change, and fetches what is there then; whether it was made. */
  async change(make: () => Promise<void>): Promise<boolean> {
    this.problem = '';
    try {
      await make();
    } catch (error) {
      const refused = session.refused(error);
      const known = PROBLEMS.find((one) => one === refused.code);
      this.problem = known ? t(`intents.problem.${known}`) : reasonOf(refused);
    }
    await this.ask();
    return this.problem === '';
  }
}
