// What intents are called.

/** A name for programs, made of a title for people. */
export function nameFor(title: string): string {
  const words = title.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  return words.join('_').slice(0, 60);
}

/** Titles by language, of which some may be empty. */
export function titles(en: string, fa: string, others: Record<string, string> = {}): Record<string, string> {
  const all = { ...others, en: en.trim(), fa: fa.trim() };
  return Object.fromEntries(Object.entries(all).filter(([, title]) => title !== ''));
}
