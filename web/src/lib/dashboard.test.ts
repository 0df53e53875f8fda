import { describe, expect, it } from 'vitest';
import type { CallFigures } from './api';
import { everyDay, sharesOf } from './dashboard';

const DAY = 86_400_000;
const figures = (calls: number, score: number | null): CallFigures => ({
  calls,
  length_ms: null,
  score,
  reviewed: 0,
  moods: null,
  agent_ms: 0,
  customer_ms: 0,
  silence_ms: 0,
  latency_ms: null,
  certainty: null,
  lost_ms: 0,
});

describe('days', () => {
  it('are all there, also those on which nobody called', () => {
    const days = [
      { begins_unix_ms: 10 * DAY, figures: figures(2, 0.5) },
      { begins_unix_ms: 12 * DAY, figures: figures(1, null) },
    ];
    const noon = DAY / 2;
    expect(everyDay(days, ({ calls }) => calls, 0)).toEqual([
      { at: 10 * DAY + noon, value: 2 },
      { at: 11 * DAY + noon, value: 0 },
      { at: 12 * DAY + noon, value: 1 },
    ]);
    expect(everyDay<number | null>(days, ({ score }) => score, null).map(({ value }) => value)).toEqual([
      0.5,
      null,
      null,
    ]);
    expect(everyDay([], ({ calls }) => calls, 0)).toEqual([]);
  });
});

describe('shares', () => {
  it('are of all parts together', () => {
    expect(sharesOf([['agent', 3], ['customer', 1]])).toEqual({ agent: 0.75, customer: 0.25 });
    expect(sharesOf([['agent', 0]])).toEqual({ agent: 0 });
  });
});
