// Who is at the desk, and who waits in line: asked now and then, while somebody looks at it.

import { api, type Desk } from './api';
import { every } from './every';
import { now } from './now.svelte';
import { session } from './session.svelte';
import type { Caller } from './wall.svelte';

const ASK_EVERY_MS = 2_000;

export class DeskNow {
  agents: (Desk['agents'][number] & { since: number })[] = $state.raw([]);
  waiting: Caller[] = $state.raw([]);

  /** Asks until the way to stop, which this gives, is taken. */
  watch(): () => void {
    const ask = async (gone: AbortSignal) => {
      if (document.hidden) return;
      try {
        const desk = await api.desk(gone);
        const dated = <T extends { since_ms: number }>(one: T) => ({ ...one, since: now.ms - one.since_ms });
        this.agents = desk.agents.map(dated);
        this.waiting = desk.waiting.map(dated);
      } catch (error) {
        // What is known stays; the page says elsewhere that the server does not answer.
        if (!gone.aborted) session.noticed(error);
      }
    };
    return every(ASK_EVERY_MS, (gone) => void ask(gone));
  }
}
