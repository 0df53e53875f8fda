import type { CallModel } from './call.svelte';
import type { CallStarted, Millis, Party } from './generated/call';
import { called, shortAddress } from './format';
import { f, ltr, t } from './i18n/index.svelte';
import type { Caller } from './phone.svelte';

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
