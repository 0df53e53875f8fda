import { afterEach, describe, expect, it, vi } from 'vitest';
import { api, type FoundCall, type FoundCalls } from './api';
import { Finder, NOTHING_WANTED, queryOf } from './finder.svelte';

afterEach(() => vi.restoreAllMocks());

describe('what is looked for', () => {
  it('is what somebody has chosen, and nothing else', () => {
    expect(queryOf(NOTHING_WANTED)).toEqual({});
    const wanted = { ...NOTHING_WANTED, said: ' my card ', agent: ' ', intent: 'refund', flagged: true };
    expect(queryOf(wanted)).toEqual({
      said: 'my card',
      meaning: 'true',
      intent: 'refund',
      flagged: 'true',
    });
    expect(queryOf({ ...NOTHING_WANTED, said: 'card', meaning: false })).toEqual({ said: 'card' });
    expect(queryOf({ ...NOTHING_WANTED, reviewed: 'false', score: 'middle' })).toEqual({
      reviewed: 'false',
      score_from: '0.5',
      score_below: '0.8',
    });
  });

  it('is from midnight to midnight, with the last day', () => {
    const at = (year: number, month: number, day: number) => String(new Date(year, month - 1, day).getTime());
    expect(queryOf({ ...NOTHING_WANTED, since: '2027-03-04', until: '2027-03-31' })).toEqual({
      since_unix_ms: at(2027, 3, 4),
      until_unix_ms: at(2027, 4, 1),
    });
    expect(queryOf({ ...NOTHING_WANTED, since: '2027-03', until: 'soon' })).toEqual({});
  });
});

describe('what is found', () => {
  it('has no call twice where the model has come since the page before', async () => {
    const calls = Array.from({ length: 50 }, (_, n) => ({ call: { id: String(n) } }) as FoundCall);
    const by_words: FoundCalls = { calls, by_meaning: false, older_by_words: false };
    const by_meaning: FoundCalls = { calls: calls.slice(0, 3), by_meaning: true, older_by_words: false };
    vi.spyOn(api, 'findCalls').mockResolvedValueOnce(by_words).mockResolvedValueOnce(by_meaning);
    const finder = new Finder();
    await finder.find({ ...NOTHING_WANTED, said: 'card' });
    expect([finder.calls?.length, finder.complete, finder.lacks]).toEqual([50, false, 'meaning']);
    await finder.more();
    expect([finder.calls?.length, finder.complete, finder.lacks]).toEqual([3, true, null]);
  });
});
