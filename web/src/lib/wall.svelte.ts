// Who needs somebody: live calls and callers in line, as rows in the order of their need.

import type { Alert as CallAlert, CallSummary, CallsMessage, InLine, Severity } from './api';
import { isTalk } from './format';

/** How long a call that is over stays where it was, so that the eye can follow it. */
export const LINGER_MS = 5_000;
/** How long somebody may wait in line before one should look, and before one must. */
const WAITS_MS: [number, Severity][] = [
  [60_000, 'urgent'],
  [20_000, 'warning'],
];

/** Something that somebody should look at. */
export interface Alert extends Omit<CallAlert, 'kind' | 'since_ms'> {
  kind: CallAlert['kind'] | 'waiting';
  /** Since when it is so, by the server's wall clock. */
  since: number;
}

export interface Row {
  id: string;
  call: CallSummary | null;
  caller: Caller | null;
  alerts: Alert[];
  /** It is over, or in line no more, and only still stands where it was. */
  gone: boolean;
}

/** An alert in the list of all of them. */
export interface Listed {
  id: string;
  row: Row;
  alert: Alert;
  /** When it was seen to be so no more, by the server's wall clock: it only still stands where it was. */
  overAt: number | null;
}

/** Somebody in line. */
export type Caller = InLine & { since: number };

const RANK: Record<Severity, number> = { notice: 1, warning: 2, urgent: 3 };
export const rank = (row: Row) => (row.gone ? 0 : RANK[row.alerts[0]?.severity as Severity] ?? 0);

/** What of a live call somebody should look at, the most serious first. */
function alertsOf(call: CallSummary): Alert[] {
  return (call.now?.alerts ?? []).map(({ since_ms, ...alert }) => ({
    ...alert,
    since: call.started_at_unix_ms + since_ms,
  }));
}

function waits(caller: Caller, now: number): Alert[] {
  const severity = WAITS_MS.find(([after]) => now - caller.since >= after)?.[1];
  return severity ? [{ kind: 'waiting', severity, since: caller.since }] : [];
}

/** The most serious first, then what has lasted longer; of those who need nothing, who waits in line. */
function byNeed(a: Row, b: Row): number {
  const began = (row: Row) => row.alerts[0]?.since ?? row.caller?.since ?? row.call?.started_at_unix_ms ?? 0;
  const inLine = (row: Row) => Number(rank(row) === 0 && row.caller !== null);
  return (
    rank(b) - rank(a) ||
    inLine(b) - inLine(a) ||
    began(a) - began(b) ||
    (a.id < b.id ? -1 : 1)
  );
}

/** Every alert of every row, the most serious first, then what has lasted longer. */
function listOf(rows: Row[]): Listed[] {
  const count = new Map<string, number>();
  const listed = rows.flatMap((row) =>
    (row.gone ? [] : row.alerts).map((alert) => {
      // Not by the words it rests on: these may turn out to be others.
      const key = [row.id, alert.kind, alert.party ?? '', JSON.stringify(alert.title ?? {})].join(' ');
      const n = count.get(key) ?? 0;
      count.set(key, n + 1);
      return { id: `${key} ${n}`, row, alert, overAt: null };
    }),
  );
  return listed.sort(
    (a, b) => RANK[b.alert.severity] - RANK[a.alert.severity] || a.alert.since - b.alert.since || (a.id < b.id ? -1 : 1),
  );
}

/** How many that somebody should look at stand below others that need less; null is what needs nobody any more. */
function tooLow(ranks: (number | null)[]): number {
  let [count, least] = [0, Infinity];
  for (const rank of ranks) {
    if (rank === null) continue;
    if (rank >= 2 && rank > least) count++;
    least = Math.min(least, rank);
  }
  return count;
}

export class Wall {
  rows: Row[] = $state.raw([]);
  /** The alerts of all rows. */
  alerts: Listed[] = $state.raw([]);
  /** The list has been received. */
  known = $state.raw(false);
  /** Rows that stand below others that need less, because no row may move now. */
  misplaced = $state.raw(0);
  /** The same of alerts. */
  misplacedAlerts = $state.raw(0);
  /** No row moves while a pointer or the keyboard is among them. */
  held = false;

  #calls = new Map<string, CallSummary>();
  #line: Caller[] = [];
  #goneAt = new Map<string, number>();
  #now = 0;

  receive(message: CallsMessage): void {
    if (message.type === 'calls') {
      this.#calls = new Map(message.calls.filter(isTalk).map((call) => [call.id, call]));
      this.known = true;
    } else if (message.type === 'call') {
      const { call } = message;
      if (call.state === 'live' && isTalk(call)) this.#calls.set(call.id, call);
      else this.#calls.delete(call.id);
    }
  }

  /** Who waits in line. */
  waits(line: Caller[]): void {
    this.#line = line;
  }

  /** Shows what has come since, all at once: many calls change many times a second. */
  show(now: number): void {
    this.#now = now;
    const before = new Map(this.rows.map((row) => [row.id, row]));
    const rows: Row[] = [];
    for (const call of this.#calls.values()) {
      const old = before.get(call.id);
      rows.push(
        old?.call === call && !old.gone
          ? old
          : { id: call.id, call, caller: null, alerts: alertsOf(call), gone: false },
      );
    }
    for (const caller of this.#line) {
      const id = `line-${caller.id}`;
      const old = before.get(id);
      const alerts = waits(caller, now);
      const same = old?.caller?.rings_at === caller.rings_at && old?.alerts[0]?.severity === alerts[0]?.severity;
      rows.push(old && same && !old.gone ? old : { id, call: null, caller, alerts, gone: false });
    }
    const there = new Set(rows.map((row) => row.id));
    for (const id of this.#goneAt.keys()) if (there.has(id) || !before.has(id)) this.#goneAt.delete(id);
    for (const row of this.rows) {
      if (there.has(row.id)) continue;
      const since = this.#goneAt.get(row.id) ?? now;
      this.#goneAt.set(row.id, since);
      if (this.held || now - since < LINGER_MS) rows.push(row.gone ? row : { ...row, alerts: [], gone: true });
    }
    this.#arrange(rows);
    this.#list();
  }

  /** Lets the rows move now, although somebody is among them. */
  sort(): void {
    const held = this.held;
    this.held = false;
    this.#arrange([...this.rows].filter((row) => !row.gone));
    this.#list();
    this.held = held;
  }

  #list(): void {
    let alerts = listOf(this.rows);
    if (this.held) {
      // As rows do: what is new comes last, and what is over stays where it was.
      const left = new Map(alerts.map((one) => [one.id, one]));
      const stay = this.alerts.map((one) => left.get(one.id) ?? this.#over(one));
      for (const { id } of stay) left.delete(id);
      alerts = [...stay, ...left.values()];
    }
    this.misplacedAlerts = tooLow(
      alerts.map(({ alert, overAt }) => (overAt === null ? RANK[alert.severity] : null)),
    );
    const same = (one: Listed, place: number) => {
      const old = this.alerts[place];
      return old?.id === one.id && old.alert === one.alert && old.row === one.row && old.overAt === one.overAt;
    };
    if (alerts.length !== this.alerts.length || !alerts.every(same)) this.alerts = alerts;
  }

  /** An alert that is not so any more, with its row as that is by now. */
  #over(one: Listed): Listed {
    const gone = () => (one.row.gone ? one.row : { ...one.row, alerts: [], gone: true });
    const row = this.rows.find(({ id }) => id === one.row.id) ?? gone();
    return { ...one, row, overAt: one.overAt ?? this.#now };
  }

  #arrange(rows: Row[]): void {
    if (this.held) {
      const places = new Map(this.rows.map((row, place) => [row.id, place]));
      const place = (row: Row) => places.get(row.id) ?? Infinity;
      // What is new comes last: there it moves nothing.
      rows.sort((a, b) => (place(a) === place(b) ? byNeed(a, b) : place(a) - place(b)));
    } else {
      // What is over stays among those who need nothing, or where it was.
      rows.sort(byNeed);
    }
    this.misplaced = tooLow(rows.map((row) => (row.gone ? null : rank(row))));
    const same = rows.length === this.rows.length && rows.every((row, place) => row === this.rows[place]);
    if (!same) this.rows = rows;
  }
}
