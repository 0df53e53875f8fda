import { describe, expect, it } from 'vitest';
import { format } from './format';
import type { Entities, Entity, EntityKind, Intent, Mood } from './generated/call';
import {
  arousalOf,
  confidenceOf,
  draw,
  intentsNow,
  levelOf,
  momentOf,
  namedNow,
  put,
  shapeOf,
  titleOf,
  valueOf,
  voiceOf,
} from './understood';

const mood = (id: number, at_ms: number, valence: number, deviation = 0.25): Mood => ({
  utterance_id: id,
  revision: 0,
  sentiment: { negative: 0, neutral: 1, positive: 0 },
  valence,
  emotion: 'neutral',
  emotion_p: 0.5,
  arc: { at_ms, valence, deviation, trend: 'steady' },
  latency_ms: 20,
});
const intent = (id: number, name: string): Intent => ({
  utterance_id: id,
  revision: 0,
  name,
  title: { en: name },
  confidence: 0.9,
  latency_ms: 20,
});

describe('moods', () => {
  it('have a name and a shape each', () => {
    const named = [-0.9, -0.3, 0, 0.3, 0.9].map((valence) => [levelOf({ valence }), shapeOf({ valence })]);
    expect(named).toEqual([
      ['very_low', 'down'],
      ['low', 'down'],
      ['even', 'even'],
      ['high', 'up'],
      ['very_high', 'up'],
    ]);
    expect([levelOf({ valence: -0.2 }), levelOf({ valence: 0.2 })]).toEqual(['even', 'high']);
  });

  it('are drawn with time from the left, pleasant above, and what is not known around', () => {
    const { points, line, band } = draw([mood(2, 10_000, -0.5), mood(1, 5_000, 0.5)], 20_000);
    expect(points.map(({ mood, x, y }) => [mood.utterance_id, x, y])).toEqual([
      [1, 25, 25],
      [2, 50, 75],
    ]);
    expect(line).toBe('M25 25L50 75');
    expect(band).toBe('M25 12.5L50 62.5L50 87.5L25 37.5Z');
  });

  it('stay within the drawing', () => {
    const { points, band } = draw([mood(1, 30_000, 0.9, 0.5)], 20_000);
    expect(points[0]).toMatchObject({ x: 100 });
    expect(band).toBe('M100 0L100 30Z');
    expect(draw([], 0)).toEqual({ points: [], line: '', band: '' });
  });
});

describe('voices', () => {
  const arousal = (level: number) => arousalOf({ arousal: { level, deviation: 0.2 } });
  it('are called agitated or calm only when they are', () => {
    expect([-0.5, -0.2, 0.2, 0.5].map(arousal)).toEqual(['calm', null, null, 'agitated']);
    expect(arousalOf({})).toBeNull();
  });

  it('say by what that can be heard', () => {
    const voice = { arousal: 0.5, pauses: 0 };
    expect(voiceOf({ ...voice, pitch_st: 3, level_db: 6, rate: 1.3 })).toEqual(['higher', 'louder', 'faster']);
    expect(voiceOf({ ...voice, pitch_st: -3, level_db: -6, rate: 0.7 })).toEqual(['lower', 'quieter', 'slower']);
    expect(voiceOf({ ...voice, level_db: 1 })).toEqual([]);
  });
});

describe('intents', () => {
  it('are told once, the newest first', () => {
    const now = intentsNow([intent(1, 'refund'), intent(2, 'prices'), intent(4, 'refund')]);
    expect(now.map(({ name, utterance_id }) => [name, utterance_id])).toEqual([
      ['refund', 4],
      ['prices', 2],
    ]);
  });

  it('are called as the reader would call them, or at least somehow', () => {
    const title = { en: 'Refund', fa: 'بازگشت وجه' };
    expect(titleOf({ name: 'refund', title }, 'fa')).toBe('بازگشت وجه');
    expect(titleOf({ name: 'refund', title: { en: 'Refund' } }, 'fa')).toBe('Refund');
    expect(titleOf({ name: 'refund', title: { de: 'Erstattung' } }, 'fa')).toBe('Erstattung');
    expect(titleOf({ name: 'refund' }, 'en')).toBe('refund');
  });

  it('are more or less sure', () => {
    expect([0.95, 0.8, 0.6, 0.36].map(confidenceOf)).toEqual(['sure', 'sure', 'likely', 'perhaps']);
  });

  it('keep the order of the words they rest on, the newest in place of what was there', () => {
    const all = [1, 5, 3].reduce((all, id) => put(all, intent(id, 'a')), [] as Intent[]);
    expect(put(all, intent(3, 'b')).map(({ utterance_id, name }) => [utterance_id, name])).toEqual([
      [1, 'a'],
      [3, 'b'],
      [5, 'a'],
    ]);
  });
});

describe('what was named', () => {
  const entity = (kind: EntityKind, value: string, chars = { start: 0, end: 0 }): Entity => ({
    kind,
    value,
    chars,
    confidence: 0.9,
  });
  const found = (id: number, ...entities: Entity[]): Entities => ({
    utterance_id: id,
    revision: 0,
    entities,
    latency_ms: 1,
  });
  const written = (one: Entity, language: 'en-GB' | 'fa-IR', said = '') =>
    valueOf(one, said, format(language), (code) => (code === 'IRT' ? 'tomans' : code));

  it('is told once, the newest first', () => {
    const order = entity('order', '4711');
    const all = [
      found(1, order, entity('account', '4711')),
      found(2, entity('city', 'Tehran')),
      found(4, order),
    ];
    expect(namedNow(all).map(({ entity: { kind }, utterance_id }) => [kind, utterance_id])).toEqual([
      ['order', 4],
      ['city', 2],
      ['account', 1],
    ]);
  });

  it('is written as the reader writes it', () => {
    expect(written(entity('money', '250000 IRT'), 'en-GB')).toBe('250,000 tomans');
    expect(written(entity('money', '12.5 XTS'), 'en-GB')).toBe('12.5 XTS');
    expect(written(entity('phone', '+989121234567'), 'fa-IR')).toBe('+۹۸۹۱۲۱۲۳۴۵۶۷');
    expect(written(entity('date_time', '2026-12-01'), 'en-GB')).toBe('1 December 2026');
    expect(written(entity('date_time', '2026-12-01'), 'fa-IR')).toContain('آذر');
    expect(written(entity('date_time', '2026-12-01T10:30'), 'en-GB')).toContain('10:30');
    expect(written(entity('date_time', 'T10:30'), 'en-GB')).toBe('10:30');
    expect(momentOf('2026-12-01T10:30', format('en-GB'))).toContain('10:30');
    expect(momentOf('soon', format('en-GB'))).toBe('soon');
    expect(written(entity('order', 'AB1234'), 'fa-IR')).toBe('AB1234');
  });

  it('has the name it was given', () => {
    const said = 'من در 𝒜 تهران هستم';
    expect(written(entity('city', 'Tehran', { start: 8, end: 13 }), 'fa-IR', said)).toBe('تهران');
    expect(written(entity('city', 'Tehran'), 'fa-IR')).toBe('Tehran');
  });

  it('survives what is no value', () => {
    for (const value of ['', 'x', 'T', '2026-99-99', 'T99:99', '1 2 3'])
      for (const kind of ['date_time', 'money'] as const)
        expect(typeof written(entity(kind, value), 'en-GB')).toBe('string');
  });
});
