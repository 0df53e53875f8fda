import { describe, expect, it } from 'vitest';
import { NOTHING_WANTED, queryOf } from './finder.svelte';

describe('what is looked for', () => {
  it('is what somebody has chosen, and nothing else', () => {
    expect(queryOf(NOTHING_WANTED)).toEqual({});
    const wanted = { ...NOTHING_WANTED, said: ' my card ', agent: ' ', intent: 'refund', flagged: true };
    expect(queryOf(wanted)).toEqual({ said: 'my card', intent: 'refund', flagged: 'true' });
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
