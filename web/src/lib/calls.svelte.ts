// The lists of calls: live ones pushed by the server, ended ones fetched page by page.

import { api, ApiError, type CallSummary, type CallsMessage } from './api';
import { isTalk } from './format';

/** How long a call that has just ended stays where it was, so that the eye can follow it. */
export const LINGER_MS = 6_000;
/** How long at most it stays because somebody is among the rows. */
export const HELD_MS = 30_000;
export const PAGE = 30;

export class Calls {
  /** Oldest first: a new call is added at the end and moves nothing. */
  live: CallSummary[] = $state.raw([]);
  /** Newest first. */
  ended: CallSummary[] = $state.raw([]);
  /** The live list has been received. */
  known = $state.raw(false);
  loading = $state.raw(false);
  /** Why the last page of ended calls did not come. */
  failed: ApiError | null = $state.raw(null);
  /** There are no older calls. */
  complete = $state.raw(false);
  /** Rows do not move while a pointer or the keyboard is among them. */
  held = false;

  #lingering = new Map<string, number>();
  #fetch: (limit: number, before?: string) => Promise<CallSummary[]>;

  constructor(fetch = (limit: number, before?: string) => api.calls('ended', limit, before)) {
    this.#fetch = fetch;
  }

  receive(message: CallsMessage, now: number): void {
    if (message.type === 'calls') {
      const live = message.calls.filter((call) => call.state === 'live' && isTalk(call));
      const seen = new Set(live.map((call) => call.id));
      // A call that ended while the link was away is not in the new list; the list of ended calls has it.
      if (this.known && this.live.some((call) => call.state === 'live' && !seen.has(call.id)))
        void this.refresh();
      this.#lingering.clear();
      this.live = live.sort(byStart);
      this.known = true;
    } else if (message.type === 'call') this.#one(message.call, now);
  }

  /** Moves calls that ended a while ago from one list to the other. */
  settle(now: number): void {
    if (this.#lingering.size === 0) return;
    const wait = this.held ? HELD_MS : LINGER_MS;
    const done = new Set([...this.#lingering].filter(([, at]) => now - at >= wait).map(([id]) => id));
    if (done.size === 0) return;
    for (const id of done) this.#lingering.delete(id);
    this.#addEnded(this.live.filter((call) => done.has(call.id)));
    this.live = this.live.filter((call) => !done.has(call.id));
  }

  /** The next page of older calls. */
  async more(): Promise<void> {
    if (this.loading || this.complete) return;
    await this.#load(this.ended.at(-1)?.id);
  }

  /** The newest page again, kept together with what is there. */
  async refresh(): Promise<void> {
    if (!this.loading) await this.#load(undefined);
  }

  async #load(before: string | undefined): Promise<void> {
    this.loading = true;
    try {
      const page = await this.#fetch(PAGE, before);
      this.failed = null;
      if (page.length < PAGE && (before !== undefined || this.ended.length === 0)) this.complete = true;
      this.#addEnded(page.filter((call) => !this.#lingering.has(call.id)));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.failed = error;
    } finally {
      this.loading = false;
    }
  }

  #one(call: CallSummary, now: number): void {
    const place = this.live.findIndex((other) => other.id === call.id);
    if (place >= 0) {
      this.live = this.live.with(place, call);
      if (call.state === 'ended' && !this.#lingering.has(call.id)) this.#lingering.set(call.id, now);
    } else if (call.state === 'ended') this.#addEnded([call]);
    else if (isTalk(call)) this.live = [...this.live, call].sort(byStart);
  }

  #addEnded(calls: CallSummary[]): void {
    const all = new Map([...this.ended, ...calls].map((call) => [call.id, call]));
    // Ids are UUIDs of version 7: their order is the order in which calls began.
    this.ended = [...all.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
  }
}

function byStart(a: CallSummary, b: CallSummary): number {
  return a.started_at_unix_ms - b.started_at_unix_ms || (a.id < b.id ? -1 : 1);
}

/** What a filter looks at: names, addresses, the last words, the outside name. */
export function matches(call: CallSummary, wanted: string): boolean {
  const words = fold(wanted).split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const text = fold(
    [call.external_id, call.last?.text, ...call.participants.flatMap(({ name, aor }) => [name, aor])]
      .filter(Boolean)
      .join(' '),
  );
  return words.every((word) => text.includes(word));
}

/** Folds what a reader takes for the same: case, Arabic and Persian letter forms and digits, the half-space. */
export function fold(text: string): string {
  return text
    .toLowerCase()
    .replace(/[يى]/g, 'ی')
    .replace(/ك/g, 'ک')
    .replace(/[۰-۹]/g, (d) => String(d.charCodeAt(0) - 0x06f0))
    .replace(/[٠-٩]/g, (d) => String(d.charCodeAt(0) - 0x0660))
    .replace(/[\u064b-\u0652\u0640]/g, '')
    .replace(/\u200c/g, ' ');
}
