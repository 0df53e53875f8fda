// The time axis of a call.

const MINUTES = [1, 2, 5, 10, 20, 30, 60, 90, 120, 180, 240, 360, 720, 1440];
const TICKS_S = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

/** Length of a live call's axis: it stands still until it is full, then takes the next step. */
export function extentFor(ms: number): number {
  const minutes = MINUTES.find((step) => ms < step * 60_000 * 0.98);
  return minutes === undefined ? ms : minutes * 60_000;
}

/** Round times to mark on an axis of this length, at most eight. */
export function ticks(extent: number): number[] {
  const step = (TICKS_S.find((s) => extent / (s * 1000) <= 8) ?? Math.ceil(extent / 8_000)) * 1000;
  const out: number[] = [];
  for (let at = step; at < extent * 0.97; at += step) out.push(at);
  return out;
}
