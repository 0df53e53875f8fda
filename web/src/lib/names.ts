import type { ApiError } from './api';
import type { CallModel } from './call.svelte';
import type { CallStarted, Millis, Party } from './generated/call';
import { called, shortAddress } from './format';
import type { Key } from './i18n/en';
import { f, ltr, t } from './i18n/index.svelte';
import type { Caller } from './generated/phone';

/** What a party is called on the screen, as of a time on the call's clock, or now. */
export type Namer = (party: Party, at?: Millis) => string;

/** What the parties of a call are called: their names where known, else their parts. */
export function namer(call: Pick<CallModel, 'person'>): Namer {
  return (party, at = Infinity) => call.person(party, at)?.name?.trim() || t(`party.${party}`);
}

export function nameOrAddress(started: CallStarted | null, party: Party): string | null {
  const one = started?.participants.find((participant) => participant.party === party);
  return one?.name?.trim() || f().digits(called(one) ?? '') || null;
}

/** What somebody who calls is called. */
export function callerName(from: Caller): string {
  return from.name ?? (from.aor ? ltr(shortAddress(from.aor)) : t('party.unknown'));
}

/** The outcomes that Sotto comes with; those of an organisation are written in its own language. */
const OUTCOMES: Record<string, Key> = {
  Resolved: 'outcome.resolved',
  'Call back': 'outcome.callBack',
  'No answer': 'outcome.noAnswer',
  'Wrong number': 'outcome.wrongNumber',
};

/** What an outcome is called. */
export function outcomeName(outcome: string): string {
  const key = OUTCOMES[outcome];
  return key ? t(key) : outcome;
}

/** Why something could not be fetched, as a reader understands it. */
export function reasonOf(error: ApiError | null): string {
  if (!error) return '';
  if (error.unreachable) return t('health.unreachableLong');
  return error.storeless ? t('health.store') : t('health.refused', { code: ltr(error.code) });
}
