import { describe, expect, it } from 'vitest';
import { ApiError, type CallSummary } from './api';
import { Calls, fold, HELD_MS, LINGER_MS, matches, PAGE } from './calls.svelte';
import { placeOf } from './place';

const call = (n: number, over: Partial<CallSummary> = {}): CallSummary => ({
  id: String(n).padStart(8, '0'),
  external_id: `x${n}`,
  source: 'siprec',
  state: 'live',
  started_at_unix_ms: n,
  participants: [],
  utterances: 0,
  recording: false,
  ...over,
});
const ended = (n: number) => call(n, { state: 'ended' });
const ids = (calls: CallSummary[]) => calls.map(({ started_at_unix_ms }) => started_at_unix_ms);

describe('live calls', () => {
  it('are in the order they began; a new one moves nothing', () => {
    const calls = new Calls(() => Promise.resolve([]));
    calls.receive({ type: 'calls', calls: [call(5), call(2)] }, 0);
    calls.receive({ type: 'call', call: call(9) }, 0);
    expect(ids(calls.live)).toEqual([2, 5, 9]);
  });

  it('are none of recordings that are listened to, which are calls when they are over', () => {
    const calls = new Calls(() => Promise.resolve([]));
    calls.receive({ type: 'calls', calls: [call(5), call(2, { source: 'file' })] }, 0);
    calls.receive({ type: 'call', call: call(3, { source: 'file' }) }, 0);
    expect(ids(calls.live)).toEqual([5]);
    calls.receive({ type: 'call', call: call(2, { source: 'file', state: 'ended' }) }, 0);
    expect(ids(calls.ended)).toEqual([2]);
  });

  it('stay in place for a while when they end', () => {
    const calls = new Calls(() => Promise.resolve([]));
    calls.receive({ type: 'calls', calls: [call(1), call(2)] }, 0);
    calls.receive({ type: 'call', call: ended(1) }, 1000);
    calls.settle(1000 + LINGER_MS - 1);
    expect(ids(calls.live)).toEqual([1, 2]);
    calls.settle(1000 + LINGER_MS);
    expect(ids(calls.live)).toEqual([2]);
    expect(ids(calls.ended)).toEqual([1]);
  });

  it('do not move while somebody is among them', () => {
    const calls = new Calls(() => Promise.resolve([]));
    calls.receive({ type: 'calls', calls: [call(1)] }, 0);
    calls.receive({ type: 'call', call: ended(1) }, 0);
    calls.held = true;
    calls.settle(LINGER_MS);
    expect(ids(calls.live)).toEqual([1]);
    calls.held = false;
    calls.settle(LINGER_MS);
    expect(ids(calls.live)).toEqual([]);
  });

  it('do move in the end, even under a pointer that was left lying', () => {
    const calls = new Calls(() => Promise.resolve([]));
    calls.receive({ type: 'calls', calls: [call(1)] }, 0);
    calls.receive({ type: 'call', call: ended(1) }, 0);
    calls.held = true;
    calls.settle(HELD_MS);
    expect(ids(calls.live)).toEqual([]);
  });

  it('that ended while the link was away are looked for among the ended', async () => {
    let asked = 0;
    const calls = new Calls(() => (asked++, Promise.resolve([ended(1)])));
    calls.receive({ type: 'calls', calls: [call(1), call(2)] }, 0);
    calls.receive({ type: 'calls', calls: [call(2)] }, 0);
    await Promise.resolve();
    await Promise.resolve();
    expect(asked).toBe(1);
    expect(ids(calls.ended)).toEqual([1]);
  });
});

describe('ended calls', () => {
  it('come page by page, newest first, each once', async () => {
    const all = Array.from({ length: PAGE + 5 }, (_, i) => ended(100 - i));
    const calls = new Calls((limit, before) => {
      const from = before === undefined ? 0 : all.findIndex(({ id }) => id === before) + 1;
      return Promise.resolve(all.slice(from, from + limit));
    });
    await calls.more();
    expect(calls.complete).toBe(false);
    calls.receive({ type: 'call', call: ended(200) }, 0);
    await calls.more();
    expect(calls.complete).toBe(true);
    expect(ids(calls.ended)).toEqual([200, ...ids(all)]);
    await calls.refresh();
    expect(calls.ended).toHaveLength(PAGE + 6);
  });

  it('can fail and be asked for again', async () => {
    let fails = true;
    const calls = new Calls(() =>
      fails ? Promise.reject(new ApiError(0, 'unreachable', 'no answer')) : Promise.resolve([ended(1)]),
    );
    await calls.more();
    expect(calls.failed?.unreachable).toBe(true);
    expect(calls.loading).toBe(false);
    fails = false;
    await calls.more();
    expect(calls.failed).toBeNull();
    expect(ids(calls.ended)).toEqual([1]);
  });
});

describe('the filter', () => {
  const one = call(1, {
    participants: [
      { party: 'customer', name: 'آقای علی كريمي', aor: 'sip:+989121234567@x' },
      { party: 'agent', name: 'Mina' },
    ],
    last: { party: 'customer', text: 'می‌خواهم کلاس عصر را بگیرم', at_ms: 1 },
  });
  it.each([
    ['', true],
    ['  ', true],
    ['mina', true],
    ['کریمی', true],
    ['۹۱۲', true],
    ['912', true],
    ['می خواهم', true],
    ['mina عصر', true],
    ['mina nobody', false],
  ])('%j → %s', (wanted, found) => expect(matches(one, wanted)).toBe(found));

  it('takes for one what readers take for one', () => {
    expect(fold('علي ٣')).toBe(fold('علی ۳'));
  });
});

describe('places', () => {
  it.each([
    ['', { page: 'calls' }],
    ['#/calls/', { page: 'calls' }],
    ['#/calls/0199-ab', { page: 'call', id: '0199-ab', said: null }],
    ['#/calls/0199-ab/12', { page: 'call', id: '0199-ab', said: 12 }],
    ['#/calls/0199-ab/x', { page: 'missing' }],
    ['#/review', { page: 'review' }],
    ['#/dashboard', { page: 'dashboard' }],
    ['#/calls/../x', { page: 'missing' }],
    ['#/nothing', { page: 'missing' }],
  ])('%j', (hash, place) => expect(placeOf(hash)).toEqual(place));
});
