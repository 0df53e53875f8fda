// How calls go, as the page shows it: figures of the server, made ready to be drawn.

import type { Dashboard } from './api';

const DAY_MS = 86_400_000;

/** Every day from the first to the last that has calls: those without any are told as well. */
export function everyDay<T>(
  days: readonly Dashboard['days'][number][],
  figure: (figures: Dashboard['total']) => T,
  none: T,
): { at: number; value: T }[] {
  const known = new Map(days.map(({ begins_unix_ms, figures }) => [begins_unix_ms, figures] as const));
  const [first, last] = [days[0]?.begins_unix_ms, days.at(-1)?.begins_unix_ms];
  if (first === undefined || last === undefined) return [];
  const all = [];
  for (let at = first; at <= last; at += DAY_MS) {
    const figures = known.get(at);
    // In the middle of the day, whatever time zone the reader is in.
    all.push({ at: at + DAY_MS / 2, value: figures ? figure(figures) : none });
  }
  return all;
}

/** The shares of parts in all of them; of nothing, none. */
export function sharesOf<K extends string>(parts: readonly (readonly [K, number])[]): Record<K, number> {
  const all = parts.reduce((sum, [, part]) => sum + part, 0);
  return Object.fromEntries(parts.map(([name, part]) => [name, all > 0 ? part / all : 0])) as Record<K, number>;
}
