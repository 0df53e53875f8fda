import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { format } from '../format';
import { en, type Message } from './en';
import { fa } from './fa';
import { fill } from './fill';

const forms = (message: Message) => (typeof message === 'string' ? [message] : [message.one, message.other]);
const blanks = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
const keys = Object.keys(en) as (keyof typeof en)[];

const source = (function read(folder: string): string {
  return readdirSync(folder, { withFileTypes: true })
    .map((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return entry.name === 'i18n' ? '' : read(path);
      return /\.(svelte|ts)$/.test(entry.name) && !entry.name.endsWith('.test.ts')
        ? readFileSync(path, 'utf8')
        : '';
    })
    .join('\n');
})(join(import.meta.dirname, '../..'));

describe('both languages', () => {
  it('have the same messages', () => {
    expect(Object.keys(fa).sort()).toEqual([...keys].sort());
  });

  it('say something everywhere, with the same blanks', () => {
    for (const key of keys) {
      for (const text of [...forms(en[key]), ...forms(fa[key])]) expect(text.trim(), key).not.toBe('');
      for (const text of forms(fa[key])) expect(blanks(text), key).toEqual(blanks(forms(en[key])[0] ?? ''));
    }
  });

  it('are not left in English', () => {
    const latin = keys.filter((key) => forms(fa[key]).some((text) => !/[\u0600-\u06ff]/.test(text)));
    expect(latin.filter((key) => !['source.siprec', 'source.sip', 'source.whip', 'call.said'].includes(key))).toEqual([]);
  });

  it('write Persian with Persian letters, digits and half-spaces', () => {
    for (const key of keys) {
      for (const text of forms(fa[key])) {
        // Names in Latin letters keep their digits: MP3.
        expect(text, key).not.toMatch(/[يكى٠-٩]|(?<![A-Za-z])[0-9]/);
        expect(text, key).not.toMatch(/ (ها|های|تر|ترین|ام|اند)[ .،؛]/);
        expect(text, key).not.toMatch(/(^| )ن?می /);
      }
    }
  });

  it('have no message that the page does not use', () => {
    // Keys put together at run time (`party.${party}`) count when the page has their beginning.
    const made = [...source.matchAll(/t\(\s*`([\w.]+?)\$\{/g)].map(([, start]) => start ?? '');
    const unused = keys.filter(
      (key) => !source.includes(`'${key}'`) && !made.some((start) => start && key.startsWith(start)),
    );
    expect(unused).toEqual([]);
  });
});

describe('fill', () => {
  const rules = new Intl.PluralRules('en');
  it('fills in, counts and writes digits', () => {
    expect(fill('{who}: {text}', { who: 'A', text: '{who}' }, rules, format('en'))).toBe('A: {who}');
    expect(fill({ one: '{n} call', other: '{n} calls' }, { n: 1 }, rules, format('en'))).toBe('1 call');
    expect(fill({ one: '{n} call', other: '{n} calls' }, { n: 1200 }, rules, format('en'))).toBe(
      '1,200 calls',
    );
    expect(fill('{n} تماس', { n: 12 }, rules, format('fa-IR'))).toBe('۱۲ تماس');
  });
  it('leaves a blank that nobody fills where it can be seen', () => {
    expect(fill('{who} left', {}, rules, format('en'))).toBe('{who} left');
  });
});
