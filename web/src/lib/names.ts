import type { CallStarted, Party } from './generated/call';
import { called } from './format';
import { f, t } from './i18n/index.svelte';

/** What the parties of a call are called on the screen: their names where known, else their parts. */
export function namer(started: CallStarted | null): (party: Party) => string {
  return (party) =>
    started?.participants.find((one) => one.party === party)?.name?.trim() || t(`party.${party}`);
}

export function nameOrAddress(started: CallStarted | null, party: Party): string | null {
  const one = started?.participants.find((participant) => participant.party === party);
  return one?.name?.trim() || f().digits(called(one) ?? '') || null;
}
