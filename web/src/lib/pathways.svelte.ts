// Written procedures that come up on a call, looked up once each.

import { SvelteMap } from 'svelte/reactivity';
import { api, ApiError, type Pathway } from './api';
import { session } from './session.svelte';

/** A passage that may be a procedure, or a part of one. */
export interface Place {
  document: string;
  passage: number;
}

const keyOf = ({ document, passage }: Place) => `${passage} ${document}`;

export class Pathways {
  /** By what was looked up; null while it is, and where it is gone or not the reader's to see. */
  #known = new SvelteMap<string, Pathway | null>();
  #gone = new AbortController();

  /** Looks up what is not known yet. What fails on the way is looked up again the next time. */
  look(places: Place[]): void {
    for (const place of places) {
      if (this.#known.has(keyOf(place))) continue;
      this.#known.set(keyOf(place), null);
      void this.#fetch(place);
    }
  }

  /** The same, for those of a document that has changed. */
  again(document: string): void {
    for (const [key, found] of this.#known) {
      if (found?.document !== document) continue;
      void this.#fetch({ document, passage: Number(key.split(' ')[0]) });
    }
  }

  /** Those among these places, each once, in their order. */
  of(places: Place[]): Pathway[] {
    const found = new Map<string, Pathway>();
    for (const place of places) {
      const pathway = this.#known.get(keyOf(place));
      if (pathway && pathway.steps.length > 0) found.set(keyOf(pathway), pathway);
    }
    return [...found.values()];
  }

  stop(): void {
    this.#gone.abort();
  }

  async #fetch(place: Place): Promise<void> {
    try {
      const found = await api.pathway(place.document, place.passage, this.#gone.signal);
      this.#known.set(keyOf(place), found);
    } catch (error) {
      if (this.#gone.signal.aborted) return;
      session.noticed(error);
      if (error instanceof ApiError && error.status === 404) this.#known.set(keyOf(place), null);
      else if (!this.#known.get(keyOf(place))) this.#known.delete(keyOf(place));
    }
  }
}
