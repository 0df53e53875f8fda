// Who is told of what happens, what became of it, and having it sent again, for admins.

import { api, type ApiError, type Delivery, type DeliveryState, type Endpoint, type WebhookList } from './api';
import { every } from './every';
import { reasonOf } from './names';
import { session } from './session.svelte';

const ASK_EVERY_MS = 3_000;

export class Webhooks {
  /** Deliveries in this state are listed: at first what waits for a person. */
  shown: DeliveryState = $state.raw('dead');
  /** Absent until it is fetched. */
  list: WebhookList | null = $state.raw(null);
  /** Why it could not be fetched just now. */
  failed: ApiError | null = $state.raw(null);
  /** Why something is not sent. */
  problem = $state.raw('');
  /** Something is being asked for. */
  asking = $state.raw(false);

  /** Keeps the list true while it is looked at; gives the way to stop. */
  watch(): () => void {
    return every(ASK_EVERY_MS, (gone) => {
      if (!document.hidden) void this.ask(gone);
    });
  }

  show(state: DeliveryState): void {
    this.shown = state;
    void this.ask();
  }

  async ask(signal?: AbortSignal): Promise<void> {
    const state = this.shown;
    try {
      const list = await api.webhooks(state, signal);
      // Others may have been chosen meanwhile.
      if (state !== this.shown || signal?.aborted) return;
      this.list = list;
      this.failed = null;
    } catch (error) {
      if (signal?.aborted) return;
      this.failed = session.refused(error);
    }
  }

  send({ id }: Delivery): Promise<void> {
    return this.#run(() => api.sendAgain(id));
  }

  test({ name }: Endpoint): Promise<void> {
    return this.#run(() => api.testWebhook(name));
  }

  async #run(what: () => Promise<void>): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    this.problem = '';
    try {
      await what();
    } catch (error) {
      const refused = session.refused(error);
      // It went with its call.
      if (refused.status !== 404) this.problem = reasonOf(refused);
    }
    this.asking = false;
    await this.ask();
  }
}
