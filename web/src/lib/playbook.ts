// What agents do for who wants an intent, step by step, as it is written in both languages.

import type { PlaybookStep } from './api';
import type { EntityKind } from './generated/call';
import { titles } from './intent-names';

/** As many as a playbook may have. */
export const MOST_STEPS = 20;

/** A step while it is written. */
export interface StepFields {
  /** Tells it from the others, wherever it stands. */
  key: number;
  en: string;
  fa: string;
  /** In other languages, which are not written here. */
  others: Record<string, string>;
  until: EntityKind | '';
}

let made = 0;

export function emptyStep(): StepFields {
  return { key: made++, en: '', fa: '', others: {}, until: '' };
}

export function fieldsOf(steps: readonly PlaybookStep[]): StepFields[] {
  return steps.map(({ text: { en = '', fa = '', ...others }, until }) => ({
    ...emptyStep(),
    en,
    fa,
    others,
    until: until ?? '',
  }));
}

/** What is written, without steps that say nothing. */
export function stepsOf(fields: readonly StepFields[]): PlaybookStep[] {
  return fields
    .map(({ en, fa, others, until }) => ({ text: titles(en, fa, others), ...(until ? { until } : {}) }))
    .filter(({ text }) => Object.keys(text).length > 0);
}

export function areSame(one: readonly PlaybookStep[], other: readonly PlaybookStep[]): boolean {
  const spelled = (steps: readonly PlaybookStep[]) =>
    JSON.stringify(steps.map(({ text, until }) => [Object.entries(text).toSorted(), until ?? '']));
  return spelled(one) === spelled(other);
}
