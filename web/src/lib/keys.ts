// Keys, by what is printed on them: on a German layout Z is where Y is elsewhere, and is Z. Where a letter of another
// script is printed they go by their place: on a Persian layout the J key types ت, and still moves.

const LETTER = /^[a-z]$/;
/** Whether a letter of another script is printed on it; a comma where M is elsewhere is still a comma. */
const isOther = (key: string) => /\p{L}/u.test(key) && !/\p{Script=Latin}/u.test(key);

/** Whether `event` is `key` (as in `KeyboardEvent.key`). */
export function pressed(event: KeyboardEvent, key: string): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (key === '?') return event.key === '?' || event.key === '؟';
  if (LETTER.test(key) && isOther(event.key))
    return !event.shiftKey && event.code === `Key${key.toUpperCase()}`;
  if (LETTER.test(key)) return !event.shiftKey && event.key.toLowerCase() === key;
  return event.key === key;
}

/** The key of a telephone that was pressed, in whatever figures the keyboard writes them. */
export function figure(event: KeyboardEvent): string | null {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  if (/^[۰-۹٠-٩]$/.test(event.key)) return String(event.key.charCodeAt(0) & 15);
  return /^[0-9*#]$/.test(event.key) ? event.key : null;
}

/** The reader is writing, or a control of its own wants the key. */
export function writing(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null;
  if (!target?.closest) return false;
  return target.closest('input, textarea, select, [contenteditable], [role="menu"], dialog') !== null;
}

/** Space and Enter belong to the control that has the focus. */
export function onControl(event: KeyboardEvent): boolean {
  return (event.target as HTMLElement | null)?.closest?.('button, a, summary') != null;
}
