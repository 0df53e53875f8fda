// What a person would say about the line, from the browser's own counts (W3C webrtc-stats).

import type { Quality } from './generated/call';

/** Counts of one direction, growing while the call lasts. */
export interface Counts {
  packets: number;
  lost: number;
}

/** What the browser counts of both directions. */
export interface Sample {
  /** What is heard here. */
  heard: Counts;
  /** Share of our packets that did not reach the server, as it reports (RFC 3550 section 6.4.1). */
  saidLost: number;
  /** Seconds there and back. */
  roundTrip: number;
}

/** Losses that concealment hides, and losses that cost words: at a tenth Opus begins to skip syllables. */
const FAIR_LOSS = 0.02;
const POOR_LOSS = 0.08;
/** Seconds there and back at which people begin to fall into each other's words (ITU-T G.114: 150 and 400 ms one way). */
const FAIR_DELAY = 0.3;
const POOR_DELAY = 0.8;

function graded(value: number, fair: number, poor: number): Quality {
  return value >= poor ? 'poor' : value >= fair ? 'fair' : 'good';
}

/** How both directions were between two samples. */
export function judged(before: Sample, after: Sample): { heard: Quality; said: Quality; delay: Quality } {
  const lost = Math.max(0, after.heard.lost - before.heard.lost);
  const came = Math.max(0, after.heard.packets - before.heard.packets);
  // While nothing is sent (a party on hold that is silent), nothing can be said about it.
  const share = came + lost > 0 ? lost / (came + lost) : 0;
  return {
    heard: graded(share, FAIR_LOSS, POOR_LOSS),
    said: graded(after.saidLost, FAIR_LOSS, POOR_LOSS),
    delay: graded(after.roundTrip, FAIR_DELAY, POOR_DELAY),
  };
}

/** The numbers that matter, out of a report. */
export function sampled(report: Iterable<Record<string, unknown>>): Sample {
  const sample: Sample = { heard: { packets: 0, lost: 0 }, saidLost: 0, roundTrip: 0 };
  const number = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) ? value : 0);
  for (const stats of report) {
    if (stats.type === 'inbound-rtp') {
      sample.heard = { packets: number(stats.packetsReceived), lost: number(stats.packetsLost) };
    } else if (stats.type === 'remote-inbound-rtp') {
      sample.saidLost = number(stats.fractionLost);
      sample.roundTrip = number(stats.roundTripTime);
    }
  }
  return sample;
}
