// What is not written down, and how the documents do, as those who keep them see it and decide about it.

import { api, type ApiError, type Gap, type GapList, type GapState, type KnowledgeHealth } from './api';
import { every } from './every';
import { reasonOf } from './names';
import { session } from './session.svelte';

const ASK_EVERY_MS = 10_000;

export class Gaps {
  /** Those in this state are listed. */
  shown: GapState = $state.raw('open');
  /** Absent until it is fetched. */
  list: GapList | null = $state.raw(null);
  health: KnowledgeHealth | null = $state.raw(null);
  /** Why they could not be fetched just now. */
  failed: ApiError | null = $state.raw(null);
  /** Why something was not decided. */
  problem = $state.raw('');
  /** Something is being decided. */
  deciding = $state.raw(false);

  /** Keeps them true while they are looked at; gives the way to stop. */
  watch(): () => void {
    return every(ASK_EVERY_MS, (gone) => {
      if (!document.hidden) void this.ask(gone);
    });
  }

  show(state: GapState): void {
    this.shown = state;
    void this.ask();
  }

  async ask(signal?: AbortSignal): Promise<void> {
    const state = this.shown;
    try {
      const [list, health] = await Promise.all([api.gaps(state, signal), api.knowledgeHealth(signal)]);
      // Others may have been chosen meanwhile.
      if (state !== this.shown || signal?.aborted) return;
      this.list = list;
      this.health = health;
      this.failed = null;
    } catch (error) {
      if (signal?.aborted) return;
      this.failed = session.refused(error);
    }
  }

  /** True if it is so from now on. */
  async decide({ id }: Gap, state: GapState, document?: string): Promise<boolean> {
    if (this.deciding) return false;
    this.deciding = true;
    this.problem = '';
    try {
      await api.decideGap(id, state, document);
    } catch (error) {
      const refused = session.refused(error);
      // It went with the last call that asked it.
      if (refused.status !== 404) this.problem = reasonOf(refused);
    } finally {
      this.deciding = false;
    }
    await this.ask();
    return this.problem === '';
  }
}
