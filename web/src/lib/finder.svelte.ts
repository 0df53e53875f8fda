// Calls that are over, looked for by what was said in them, what they came to, and what people say of them.

import { api, type ApiError, type FoundCall } from './api';
import { session } from './session.svelte';

/** Calls on a page; on the only one where they are looked for by their meaning. */
export const FOUND_PAGE = 30;
const MEANT_PAGE = 50;

/** What is looked for, as a form has it: empty where it does not matter. */
export interface Wanted {
  said: string;
  /** What means the same, too. */
  meaning: boolean;
  agent: string;
  intent: string;
  sentiment: string;
  outcome: string;
  score: '' | 'low' | 'middle' | 'high';
  reviewed: '' | 'true' | 'false';
  flagged: boolean;
  /** Days, as `2027-03-04`; the last one counts. */
  since: string;
  until: string;
}

export const NOTHING_WANTED: Readonly<Wanted> = {
  said: '',
  meaning: true,
  agent: '',
  intent: '',
  sentiment: '',
  outcome: '',
  score: '',
  reviewed: '',
  flagged: false,
  since: '',
  until: '',
};

/** From which quality on, and below which. */
const SCORES: Record<Exclude<Wanted['score'], ''>, Record<string, string>> = {
  low: { score_below: '0.5' },
  middle: { score_from: '0.5', score_below: '0.8' },
  high: { score_from: '0.8' },
};

/** Midnight of a day in the reader's time zone, so many days later; empty where it is no day. */
function midnight(day: string, later = 0): string {
  const [year, month, date] = day.split('-').map(Number);
  if (year === undefined || month === undefined || date === undefined) return '';
  const at = new Date(year, month - 1, date + later).getTime();
  return Number.isFinite(at) && at >= 0 ? String(at) : '';
}

/** What the server is asked for. */
export function queryOf(wanted: Wanted): Record<string, string> {
  const { said, meaning, agent, intent, sentiment, outcome, score, reviewed, flagged } = wanted;
  const all = {
    said: said.trim(),
    meaning: meaning && said.trim() !== '' ? 'true' : '',
    agent: agent.trim(),
    intent,
    sentiment,
    outcome,
    reviewed,
    flagged: flagged ? 'true' : '',
    since_unix_ms: midnight(wanted.since),
    until_unix_ms: midnight(wanted.until, 1),
    ...(score === '' ? {} : SCORES[score]),
  };
  return Object.fromEntries(Object.entries(all).filter(([, text]) => text !== ''));
}

export class Finder {
  /** Absent until they are fetched. */
  calls: FoundCall[] | null = $state.raw(null);
  /** Why there may be more that means the same: there is no model for that, or older ones were not compared. */
  lacks: 'meaning' | 'older' | null = $state.raw(null);
  /** There are no older ones. */
  complete = $state.raw(false);
  /** Why they could not be fetched just now. */
  failed: ApiError | null = $state.raw(null);
  looking = $state.raw(false);

  #query: Record<string, string> = {};
  #going = new AbortController();

  /** Looks for other calls. What was asked before is old news. */
  find(wanted: Wanted): Promise<void> {
    this.#query = queryOf(wanted);
    return this.#fetch([]);
  }

  /** The same once more. */
  again(): Promise<void> {
    return this.#fetch([]);
  }

  async more(): Promise<void> {
    if (!this.looking && !this.complete) await this.#fetch(this.calls ?? []);
  }

  stop(): void {
    this.#going.abort();
  }

  async #fetch(before: FoundCall[]): Promise<void> {
    this.#going.abort();
    const going = new AbortController();
    this.#going = going;
    this.looking = true;
    const last = before.at(-1)?.call.id;
    const asked = this.#query['meaning'] !== undefined;
    const limit = asked ? MEANT_PAGE : FOUND_PAGE;
    const query: Record<string, string> = { ...this.#query, limit: String(limit) };
    if (last !== undefined) query['before'] = last;
    try {
      const page = await api.findCalls(query, going.signal);
      if (going.signal.aborted) return;
      // The one page that there is, where the model has come since the page before.
      this.calls = page.by_meaning ? page.calls : [...before, ...page.calls];
      this.complete = page.by_meaning || page.calls.length < limit;
      this.lacks = asked && !page.by_meaning ? 'meaning' : page.older_by_words ? 'older' : null;
      this.failed = null;
    } catch (error) {
      if (going.signal.aborted) return;
      this.failed = session.refused(error);
    }
    this.looking = false;
  }
}
