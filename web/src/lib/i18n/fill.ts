// Fills a message in. Apart from the reader's choice of language, so that it can be tested without a browser.

import type { Format } from '../format';
import type { Message } from './en';

export type Values = Record<string, string | number>;

export function fill(message: Message, values: Values, rules: Intl.PluralRules, format: Format): string {
  const text =
    typeof message === 'string'
      ? message
      : rules.select(Number(values['n'])) === 'one'
        ? message.one
        : message.other;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === 'number' ? format.number(value) : value;
  });
}
