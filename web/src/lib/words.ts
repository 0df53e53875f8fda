// Text and its words: where each timed word stands in the text, and what changed between two texts.

import type { Span, Word } from './generated/call';

/** A stretch of an utterance's text; `word` is the index of the timed word it shows, if it shows one. */
export interface Piece {
  text: string;
  word: number | null;
}

/**
 * Cuts `text` at its words. The pieces put together always give `text` again: a word that the text does not
 * contain (a revision may have rewritten it) is passed over, and languages without spaces need no special case.
 */
export function pieces(text: string, words: readonly Word[]): Piece[] {
  const out: Piece[] = [];
  let at = 0;
  words.forEach(({ w }, word) => {
    const wanted = w.trim();
    const found = wanted === '' ? -1 : text.indexOf(wanted, at);
    if (found < 0) return;
    if (found > at) out.push({ text: text.slice(at, found), word: null });
    out.push({ text: wanted, word });
    at = found + wanted.length;
  });
  if (at < text.length) out.push({ text: text.slice(at), word: null });
  return out;
}

/**
 * Cuts `text` after `chars` Unicode scalar values, the unit in which the server counts, and after the spaces that
 * follow.
 */
export function cut(text: string, chars: number): [string, string] {
  let at = 0;
  for (let n = 0; n < chars && at < text.length; n++) at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  while (/\s/.test(text.charAt(at))) at++;
  return [text.slice(0, at), text.slice(at)];
}

/** Cuts `text` before and behind a span of Unicode scalar values. Without one all of it is before. */
export function divided(text: string, span: Span | undefined): [string, string, string] {
  if (!span) return [text, '', ''];
  const chars = [...text];
  const part = (from: number, to?: number) => chars.slice(from, to).join('');
  return [part(0, span.start), part(span.start, span.end), part(span.end)];
}

/** A word (with the space after it) of a comparison. */
export interface Change {
  text: string;
  changed: boolean;
}

/** Marks the words of `to` that `from` does not have in the same order, and the other way round. */
export function changes(from: string, to: string): { from: Change[]; to: Change[] } {
  const split = (text: string) => text.match(/\S+\s*/gu) ?? [];
  const plain = (word: string) => word.toLocaleLowerCase().replace(/[\s\p{P}]+/gu, '');
  const a = split(from);
  const b = split(to);
  // Longest common subsequence. An utterance is a breath long; a monstrous one is shown as changed throughout.
  if (a.length * b.length > 250_000) {
    return { from: [{ text: from, changed: true }], to: [{ text: to, changed: true }] };
  }
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  const same = (i: number, j: number) => plain(a[i] ?? '') === plain(b[j] ?? '');
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      longest[i * width + j] = same(i, j)
        ? (longest[(i + 1) * width + j + 1] ?? 0) + 1
        : Math.max(longest[(i + 1) * width + j] ?? 0, longest[i * width + j + 1] ?? 0);
    }
  }
  const out = {
    from: a.map((text) => ({ text, changed: true })),
    to: b.map((text) => ({ text, changed: true })),
  };
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (same(i, j)) {
      const before = out.from[i++];
      const after = out.to[j++];
      if (before) before.changed = false;
      if (after) after.changed = false;
    } else if ((longest[(i + 1) * width + j] ?? 0) >= (longest[i * width + j + 1] ?? 0)) i++;
    else j++;
  }
  return out;
}

/** The index of the last of `starts` (ascending) that is not after `at`, -1 when all are. */
export function lastAt(starts: ArrayLike<number>, at: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((starts[middle] ?? Infinity) <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
