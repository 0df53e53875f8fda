// What is kept of one contact besides their timeline and tasks, page by page.

import { Book } from './contacts.svelte';

interface Page<T> {
  rows: T[];
  next?: string | undefined;
}

export class Records<T> extends Book {
  /** Absent until they are fetched. */
  rows: T[] | null = $state.raw(null);
  /** There is more of them. */
  hasMore = $state.raw(false);
  /** Pages that are shown. */
  #pages = 1;

  constructor(page: (before: string | null, signal: AbortSignal) => Promise<Page<T>>) {
    super();
    this.fetch = async (signal) => {
      const rows: T[] = [];
      let next: string | null = null;
      for (let n = 0; n < this.#pages; n++) {
        const found: Page<T> = await page(next, signal);
        rows.push(...found.rows);
        next = found.next ?? null;
        if (next === null) break;
      }
      if (signal.aborted) return;
      this.rows = rows;
      this.hasMore = next !== null;
    };
  }

  more(): Promise<void> {
    this.#pages++;
    return this.ask();
  }
}
