// What people say of how good a call was, and what the reader is about to say of it.

import { api, type CallQuality, type QualityReview, type QualityReviews } from './api';
import { t } from './i18n/index.svelte';
import { begun, corrections, type Draft } from './judgement';
import { reasonOf } from './names';
import { session } from './session.svelte';

export class Judging {
  /** Absent until it is fetched, and where it is none of the reader's business. */
  kept: QualityReviews | null = $state.raw(null);
  /** The reader is correcting; what they have chosen so far, by question. */
  drafts: Record<string, Draft> | null = $state(null);
  comment = $state('');
  /** Something is being kept. */
  busy = $state.raw(false);
  /** Why something is not. */
  problem = $state.raw('');

  readonly own: QualityReview | null = $derived(
    this.kept?.reviews.find(({ reviewer }) => reviewer === session.user?.name) ?? null,
  );

  readonly #id: string;

  constructor(id: string) {
    this.#id = id;
  }

  async ask(signal?: AbortSignal): Promise<void> {
    try {
      this.kept = await api.qualityReviews(this.#id, signal);
    } catch (error) {
      if (signal?.aborted) return;
      const refused = session.refused(error);
      // Somebody else's call: what is said of it is not for this reader.
      if (refused.status !== 403 && refused.status !== 404) this.problem = reasonOf(refused);
    }
  }

  /** Begins to correct, from what the reader has said before. */
  correct(quality: CallQuality): void {
    this.drafts = begun(quality.questions, this.own);
    this.comment = this.own?.comment ?? '';
  }

  cancel(): void {
    this.drafts = null;
  }

  async accept(): Promise<boolean> {
    // Said once is enough.
    if (this.own?.verdict === 'accepted') return true;
    return this.#change(() => api.reviewQuality(this.#id, this.own?.version ?? 0, [], ''));
  }

  async keep(quality: CallQuality): Promise<boolean> {
    const scores = corrections(quality.questions, this.drafts ?? {});
    const kept = await this.#change(() =>
      api.reviewQuality(this.#id, this.own?.version ?? 0, scores, this.comment.trim()),
    );
    if (kept) this.drafts = null;
    return kept;
  }

  reply(text: string): Promise<boolean> {
    return this.#change(() => api.replyToReviews(this.#id, text));
  }

  flag(flagged: boolean): Promise<boolean> {
    return this.#change(() => api.flagCall(this.#id, flagged));
  }

  /** True if it is so from now on. */
  async #change(change: () => Promise<unknown>): Promise<boolean> {
    if (this.busy) return false;
    this.busy = true;
    this.problem = '';
    try {
      await change();
    } catch (error) {
      const refused = session.refused(error);
      this.problem = refused.code === 'changed_meanwhile' ? t('judge.stale') : reasonOf(refused);
    } finally {
      this.busy = false;
    }
    const done = this.problem === '';
    await this.ask();
    return done;
  }
}
