// A list of which Tab reaches one row and within which the arrows move (ARIA calls it a roving tabindex).

import { pressed, writing } from './keys';

export class Rows {
  /** The row that had the focus last. */
  current: string | null = $state.raw(null);
  /** The row that Tab reaches, and from which the arrows move. */
  readonly reachable: string | null = $derived.by(() => {
    const ids = this.#ids();
    return this.current !== null && ids.includes(this.current) ? this.current : (ids[0] ?? null);
  });

  readonly #attribute: string;
  readonly #ids: () => readonly string[];

  /** Rows in the order of `ids`, which they carry in an `attribute`. */
  constructor(attribute: string, ids: () => readonly string[], current: string | null = null) {
    this.#attribute = attribute;
    this.#ids = ids;
    this.current = current;
  }

  /** The row that has the focus. */
  get focused(): string | null {
    return document.activeElement?.getAttribute(this.#attribute) ?? null;
  }

  focus(id: string | undefined, block: ScrollLogicalPosition = 'nearest'): void {
    if (id === undefined) return;
    const row = document.querySelector<HTMLElement>(`[${this.#attribute}="${CSS.escape(id)}"]`);
    row?.focus({ preventScroll: true });
    row?.closest('li')?.scrollIntoView({ block });
  }

  /** Moves by so many rows, or first of all into the list. */
  move(by: number): void {
    const ids = this.#ids();
    const from = this.reachable === null ? 0 : ids.indexOf(this.reachable);
    const to = this.focused === null ? from : from + by;
    this.focus(ids[Math.min(ids.length - 1, Math.max(0, to))]);
  }

  /** Moves, if that is what the key is for. */
  moved(event: KeyboardEvent): boolean {
    if (pressed(event, 'j') || pressed(event, 'ArrowDown')) this.move(1);
    else if (pressed(event, 'k') || pressed(event, 'ArrowUp')) this.move(-1);
    else return false;
    return true;
  }

  /** The same where what is listed was looked for in `field`: `/` leads there, and the arrow down back to the first row. */
  lookedThrough(event: KeyboardEvent, field: HTMLElement | undefined): boolean {
    if (event.target === field) {
      const [first] = this.#ids();
      if (event.key !== 'ArrowDown' || first === undefined) return false;
      this.focus(first);
    } else if (writing(event)) return false;
    else if (pressed(event, '/')) field?.focus();
    else return this.moved(event);
    return true;
  }
}
