// Where something can be put that is being written: a note, a draft. Cards put what they say there.

import { untrack } from 'svelte';

/** Something that is open for writing. */
export interface Place {
  /** What it is called. */
  readonly name: string;
  /** Takes a text in, and shows it; false where there is no room for it. */
  take(text: string): boolean;
}

class Places {
  /** The one that was opened, or written in, last comes last. */
  #open: readonly Place[] = $state.raw([]);

  /** Where a text would go now. */
  get last(): Place | undefined {
    return this.#open.at(-1);
  }

  /** Opens one; gives the way to close it. */
  open(place: Place): () => void {
    this.first(place);
    return () => untrack(() => (this.#open = this.#without(place)));
  }

  /** Has this one come before all others. */
  first(place: Place): void {
    untrack(() => (this.#open = [...this.#without(place), place]));
  }

  #without(place: Place): Place[] {
    return this.#open.filter((one) => one !== place);
  }
}

export const places = new Places();

/** Makes a field a place of this name for as long as it is there. */
export function takesText(name: string) {
  return (field: HTMLTextAreaElement): (() => void) => {
    const place: Place = { name, take: (text) => put(field, text) };
    const first = () => places.first(place);
    const close = places.open(place);
    field.addEventListener('focus', first);
    return () => {
      field.removeEventListener('focus', first);
      close();
    };
  };
}

/** Puts a text where the caret is, in the place of what is marked. */
function put(field: HTMLTextAreaElement, text: string): boolean {
  const { value, selectionStart, selectionEnd, maxLength } = field;
  const added = parted(value.slice(0, selectionStart), text, value.slice(selectionEnd));
  if (maxLength >= 0 && value.length - (selectionEnd - selectionStart) + added.length > maxLength) return false;
  field.setRangeText(added, selectionStart, selectionEnd, 'end');
  field.dispatchEvent(new Event('input', { bubbles: true }));
  // What was put there is seen, also where the field had been folded away.
  for (let box = field.closest('details'); box; box = box.parentElement?.closest('details') ?? null) box.open = true;
  field.scrollIntoView({ block: 'nearest' });
  return true;
}

/** A text with the space that it needs between what stands before and behind it. */
export function parted(before: string, text: string, after: string): string {
  const begins = before === '' || /\s$/.test(before) ? '' : ' ';
  const ends = after === '' || /^[\s.,;:!?،؛؟]/.test(after) ? '' : ' ';
  return begins + text + ends;
}
