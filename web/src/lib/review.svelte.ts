// What a call came to, once that is known.

import { api, type CallInsight, type CallQuality } from './api';
import { session } from './session.svelte';

/** How long until it is asked for again: where it is being made, where a language model writes, and where the server cannot say. */
const BEING_MADE_MS = 1_000;
const BEING_WRITTEN_MS = 3_000;
const AWAY_MS = 4_000;

export class Review {
  insight: CallInsight | null = $state.raw(null);
  quality: CallQuality | null = $state.raw(null);
  /** It may still come. */
  coming = $state.raw(true);

  /** Fetches it, and asks again until it is there; gives the way to stop. */
  watch(id: string): () => void {
    const gone = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (): Promise<void> => {
      try {
        const [insight, quality] = await Promise.all([
          api.insight(id, gone.signal),
          api.quality(id, gone.signal),
        ]);
        this.insight = insight;
        this.quality = quality;
        this.coming = false;
        if (insight.being_written) timer = setTimeout(() => void ask(), BEING_WRITTEN_MS);
      } catch (error) {
        if (gone.signal.aborted) return;
        const refused = session.refused(error);
        const away = refused.unreachable || refused.storeless ? AWAY_MS : null;
        const again = refused.code === 'not_yet' ? BEING_MADE_MS : away;
        this.coming = again !== null;
        if (again !== null) timer = setTimeout(() => void ask(), again);
      }
    };
    void ask();
    return () => {
      clearTimeout(timer);
      gone.abort();
    };
  }
}
