// A transcript as plain text, for pasting elsewhere.

import { Line, type CallModel } from './call.svelte';
import type { Format } from './format';
import type { Namer } from './names';

/** One paragraph a turn: time, name, words. */
export function transcriptText(
  call: Pick<CallModel, 'items'>,
  name: Namer,
  format: Format,
): string {
  const turns: string[] = [];
  for (const item of call.items) {
    if (!(item instanceof Line) || !item.now.final) continue;
    if (item.head || turns.length === 0)
      turns.push(`[${format.clock(item.at)}] ${name(item.party, item.at)}: ${item.now.text}`);
    else turns[turns.length - 1] += ` ${item.now.text}`;
  }
  return turns.join('\n');
}

/** Words of whatever language, keeping their own direction within a sentence (FSI and PDI of Unicode's UAX #9). */
export const isolated = (text: string): string => text && `\u2068${text}\u2069`;
