import { describe, expect, it } from 'vitest';
import type { Word } from './generated/call';
import { changes, cut, divided, lastAt, pieces } from './words';

const words = (...all: string[]): Word[] => all.map((w, i) => ({ w, start_ms: i, end_ms: i + 1, p: 1 }));
const whole = (text: string, given: Word[]) =>
  pieces(text, given)
    .map((piece) => piece.text)
    .join('');

describe('divided', () => {
  it('counts as the server does', () => {
    expect(divided('a 😀 b. Yes.', { start: 2, end: 6 })).toEqual(['a ', '😀 b.', ' Yes.']);
    expect(divided('all', undefined)).toEqual(['all', '', '']);
    expect(divided('all', { start: 0, end: 9 })).toEqual(['', 'all', '']);
  });
});

describe('pieces', () => {
  it('finds each word at its place and leaves the spaces between', () => {
    expect(pieces('to be to do', words('to', 'be', 'to', 'do'))).toEqual([
      { text: 'to', word: 0 },
      { text: ' ', word: null },
      { text: 'be', word: 1 },
      { text: ' ', word: null },
      { text: 'to', word: 2 },
      { text: ' ', word: null },
      { text: 'do', word: 3 },
    ]);
  });

  it.each([
    ['words that the text does not have', 'Good morning.', words('Good', 'mourning.', 'morning.')],
    ['no words', 'Hello there', []],
    ['empty words', 'Hello', words('', ' ', 'Hello')],
    ['words with spaces', ' I am  here', words(' I', ' am', ' here')],
    ['a language without spaces', '今日は天気', words('今日', 'は', '天気')],
    ['half-spaces', 'می‌خواهم بروم', words('می‌خواهم', 'بروم')],
    ['no text', '', words('a')],
  ])('gives the text again with %s', (_, text, given) => {
    expect(whole(text, given)).toBe(text);
  });
});

describe('cut', () => {
  it('counts Unicode scalar values, not UTF-16 units', () => {
    expect(cut('a😀b', 2)).toEqual(['a😀', 'b']);
  });
  it('leaves the space with the first half, so that nothing uncertain is drawn under it', () => {
    expect(cut('good day', 4)).toEqual(['good ', 'day']);
  });
  it('takes any number', () => {
    expect(cut('abc', 99)).toEqual(['abc', '']);
    expect(cut('abc', 0)).toEqual(['', 'abc']);
  });
});

describe('changes', () => {
  const marked = (list: { text: string; changed: boolean }[]) =>
    list.filter((part) => part.changed).map((part) => part.text.trim());

  it('marks the words that differ on both sides', () => {
    const { from, to } = changes('now the side says so', 'now the site says so too');
    expect(marked(from)).toEqual(['side']);
    expect(marked(to)).toEqual(['site', 'too']);
  });
  it('takes capitals and punctuation for no change', () => {
    expect(marked(changes('well yes', 'Well, yes.').to)).toEqual([]);
  });
  it('gives both texts again', () => {
    const { from, to } = changes('a b  c', 'a x c ');
    expect(from.map((part) => part.text).join('')).toBe('a b  c');
    expect(to.map((part) => part.text).join('')).toBe('a x c ');
  });
  it('does not grind over a monstrous text', () => {
    const text = 'word '.repeat(2000);
    expect(changes(text, `${text}x`).to).toHaveLength(1);
  });
});

describe('lastAt', () => {
  it('finds the last that has begun', () => {
    const starts = [0, 10, 10, 20];
    expect([-1, 0, 5, 10, 19, 20, 99].map((at) => lastAt(starts, at))).toEqual([-1, 0, 0, 2, 2, 3, 3]);
    expect(lastAt([], 5)).toBe(-1);
  });
});
