// The reader's language: `t` for sentences, `f()` for numbers and times. Both follow the choice as it changes.

import { format, type Format } from '../format';
import { prefs, type Language } from '../prefs.svelte';
import { en, type Key, type Message } from './en';
import { fa } from './fa';
import { fill, type Values } from './fill';

interface Tongue {
  messages: Record<Key, Message>;
  rules: Intl.PluralRules;
  format: Format;
  languages: Intl.DisplayNames;
}

function tongue(messages: Record<Key, Message>, locale: string): Tongue {
  return {
    messages,
    rules: new Intl.PluralRules(locale),
    format: format(locale),
    languages: new Intl.DisplayNames(locale, { type: 'language' }),
  };
}

// The reader's own English decides how dates are written; Persian comes with its digits and calendar.
const english = navigator.languages.find((language) => language.startsWith('en')) ?? 'en-GB';
const tongues: Record<Language, Tongue> = { en: tongue(en, english), fa: tongue(fa, 'fa-IR') };

export function t(key: Key, values: Values = {}): string {
  const { messages, rules, format } = tongues[prefs.language];
  return fill(messages[key], values, rules, format);
}

export function f(): Format {
  return tongues[prefs.language].format;
}

/** “English”, “فارسی”: the name of a language in the reader's own. */
export function languageName(code: string): string {
  try {
    return tongues[prefs.language].languages.of(code) ?? code;
  } catch {
    return code;
  }
}

/** Keeps `text` (an address, keys) left to right inside a sentence of either direction. */
export function ltr(text: string): string {
  return String.fromCharCode(0x2066) + text + String.fromCharCode(0x2069);
}
