import { describe, expect, it } from 'vitest';
import type { PlaybookStep } from './api';
import { areSame, emptyStep, fieldsOf, stepsOf } from './playbook';

const ask: PlaybookStep = { text: { de: 'Nummer?', en: 'Ask for the number.', fa: 'شماره را بپرسید.' }, until: 'order' };
const thank: PlaybookStep = { text: { fa: 'سپاسگزاری کنید.' } };

describe('a playbook', () => {
  it('is written as it was read, in whatever order its languages come', () => {
    expect(areSame(stepsOf(fieldsOf([ask, thank])), [ask, thank])).toBe(true);
    expect(areSame([{ text: { fa: 'ب', en: 'a' } }], [{ text: { en: 'a', fa: 'ب' } }])).toBe(true);
    expect(stepsOf(fieldsOf([ask]))[0]?.text['de']).toBe('Nummer?');
  });

  it('is another one when a word, an order or an end is another', () => {
    for (const other of [[thank, ask], [ask], [{ text: ask.text }, thank], [{ ...ask, text: { en: 'Ask.' } }, thank]])
      expect(areSame([ask, thank], other)).toBe(false);
  });

  it('leaves out steps that say nothing', () => {
    const [first, second] = [emptyStep(), { ...emptyStep(), en: ' Wait. ' }];
    expect(stepsOf([first, second])).toEqual([{ text: { en: 'Wait.' } }]);
    expect(first.key).not.toBe(second.key);
  });
});
