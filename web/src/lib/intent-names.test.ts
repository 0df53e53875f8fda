import { describe, expect, it } from 'vitest';
import { nameFor, titles } from './intent-names';

describe('an intent', () => {
  it('has a name for programs, in whichever letters', () => {
    expect(nameFor(' Opening hours, please! ')).toBe('opening_hours_please');
    expect(nameFor('ساعت\u200cهای کاری')).toBe('ساعت_های_کاری');
    expect(nameFor('?!')).toBe('');
    expect(nameFor('a'.repeat(99))).toHaveLength(60);
  });

  it('keeps titles of other languages, and none that is empty', () => {
    expect(titles(' Refund', '', { de: 'Erstattung', fa: 'x' })).toEqual({ de: 'Erstattung', en: 'Refund' });
  });
});
