// What somebody should look at, in words and a sign.

import type { IconName } from '../parts/Icon.svelte';
import { f, t } from './i18n/index.svelte';
import { prefs } from './prefs.svelte';
import { titleOf } from './understood';
import type { Alert } from './wall.svelte';

/** Longer than this, seconds matter to nobody. */
const MINUTES_FROM_MS = 60_000;

export const SIGNS: Record<Alert['kind'], IconName> = {
  agent_lost: 'unplugged',
  not_recorded: 'warn',
  on_hold: 'pause',
  silent: 'microphone',
  bad_line: 'gap',
  words_late: 'clock',
  unhappy: 'unhappy',
  wants: 'flag',
  said: 'said',
  dead_air: 'quiet',
  not_said: 'list',
  waiting: 'clock',
};

/** What it is, and for how long it has been so at a time of the server's wall clock. */
export function reasonOf(alert: Alert, now: number): string {
  const ms = Math.max(0, now - alert.since);
  return t(`alert.${alert.kind}`, {
    time: f().length(ms < MINUTES_FROM_MS ? ms : Math.floor(ms / MINUTES_FROM_MS) * MINUTES_FROM_MS),
    who: alert.party ? t(`party.${alert.party}`) : '',
    what: titleOf(alert, prefs.language),
  });
}
