import { describe, expect, it } from 'vitest';
import type { Alert, CallSummary } from './api';
import { placeOf } from './place';
import { LINGER_MS, Wall, type Caller } from './wall.svelte';

const NOW = 1_000_000;
const call = (id: string, alerts: Alert[] = [], over: Partial<CallSummary> = {}): CallSummary => ({
  id,
  external_id: id,
  source: 'sip',
  state: 'live',
  started_at_unix_ms: 500_000,
  participants: [],
  utterances: 0,
  recording: false,
  now: { phase: 'talking', since_ms: 0, supervisors: [], lines: [], alerts },
  ...over,
});
const alert = (severity: Alert['severity'], since_ms = 0): Alert => ({ kind: 'on_hold', severity, since_ms });
const caller = (id: number, since: number, over: Partial<Caller> = {}): Caller => ({
  id,
  from: { name: null, aor: null },
  called: '100',
  since_ms: 0,
  since,
  ...over,
});
const ids = (wall: Wall) => wall.rows.map(({ id }) => id);
function wallOf(calls: CallSummary[], line: Caller[] = []): Wall {
  const wall = new Wall();
  wall.receive({ type: 'calls', calls });
  wall.waits(line);
  wall.show(NOW);
  return wall;
}

describe('the wall', () => {
  it('shows first who needs somebody most, then who has needed somebody for longer, then who waits', () => {
    const wall = wallOf(
      [
        call('calm', [], { started_at_unix_ms: 9 }),
        call('late', [alert('notice')]),
        call('warned', [alert('warning', 3)]),
        call('new', [alert('urgent', 90)]),
        call('old', [alert('urgent', 10), alert('notice', 1)]),
        call('calmer', [], { started_at_unix_ms: 8 }),
      ],
      [caller(1, NOW - 5_000), caller(2, NOW - 25_000), caller(3, NOW - 70_000)],
    );
    expect(ids(wall)).toEqual([
      'old',
      'new',
      'line-3',
      'warned',
      'line-2',
      'late',
      'line-1',
      'calmer',
      'calm',
    ]);
  });

  it('has no row for a recording that is listened to', () => {
    const wall = wallOf([call('a'), call('recorded', [], { source: 'file' })]);
    wall.receive({ type: 'call', call: call('another', [], { source: 'file' }) });
    wall.show(NOW);
    expect(ids(wall)).toEqual(['a']);
  });

  it('moves no row while somebody is among them, says what stands too far down, and moves them when asked', () => {
    const wall = wallOf([call('a'), call('b'), call('c')]);
    wall.held = true;
    wall.receive({ type: 'call', call: call('c', [alert('urgent')]) });
    wall.receive({ type: 'call', call: call('0', [alert('warning')]) });
    wall.receive({ type: 'call', call: call('a', [], { state: 'ended' }) });
    wall.show(NOW);
    expect(ids(wall)).toEqual(['a', 'b', 'c', '0']);
    expect(wall.misplaced).toBe(2);
    wall.show(NOW + 60_000);
    expect(ids(wall), 'also long after a call is over').toEqual(['a', 'b', 'c', '0']);
    wall.sort();
    expect(ids(wall)).toEqual(['c', '0', 'b']);
    expect(wall.misplaced).toBe(0);
    wall.receive({ type: 'call', call: call('b', [alert('urgent', -9)]) });
    wall.show(NOW);
    expect(ids(wall), 'and holds still again').toEqual(['c', '0', 'b']);
    wall.held = false;
    wall.show(NOW);
    expect(ids(wall)).toEqual(['b', 'c', '0']);
  });

  it('keeps a call that is over in sight for a moment', () => {
    const wall = wallOf([call('a'), call('b')]);
    wall.receive({ type: 'call', call: call('a', [], { state: 'ended' }) });
    wall.show(NOW + 1);
    expect(wall.rows.map(({ id, gone }) => [id, gone])).toEqual([
      ['a', true],
      ['b', false],
    ]);
    wall.show(NOW + 1 + LINGER_MS);
    expect(ids(wall)).toEqual(['b']);
  });

  it('lists every alert, the most serious first, and lets none move while somebody is among them', () => {
    const said = (utterance_id: number): Alert => ({
      kind: 'said',
      severity: 'warning',
      party: 'customer',
      since_ms: 7,
      title: { en: 'Lawyer' },
      evidence: { utterance_id, text: 'my lawyer' },
    });
    const wall = wallOf([call('a', [alert('warning', 3), said(1), said(1)]), call('b', [alert('urgent', 9)])]);
    const listed = () => wall.alerts.map(({ row, alert, overAt }) => [row.id, alert.kind, alert.severity, overAt !== null]);
    const before = [
      ['b', 'on_hold', 'urgent', false],
      ['a', 'on_hold', 'warning', false],
      ['a', 'said', 'warning', false],
      ['a', 'said', 'warning', false],
    ];
    expect(listed()).toEqual(before);
    expect(new Set(wall.alerts.map(({ id }) => id)).size, 'each has a name of its own').toBe(4);
    const same = wall.alerts;
    wall.show(NOW + 1);
    expect(wall.alerts, 'nothing has changed').toBe(same);
    wall.held = true;
    wall.receive({ type: 'call', call: call('b', []) });
    wall.receive({ type: 'call', call: call('c', [alert('urgent', 1)]) });
    wall.show(NOW + 2);
    expect(listed()).toEqual([
      ['b', 'on_hold', 'urgent', true],
      ...before.slice(1),
      ['c', 'on_hold', 'urgent', false],
    ]);
    wall.held = false;
    wall.show(NOW + 3);
    expect(listed()).toEqual([['c', 'on_hold', 'urgent', false], ...before.slice(1)]);
  });

  it('keeps alerts apart by what they are about, and says of one that is over for how long it was so', () => {
    const not = (en: string): Alert => ({
      kind: 'not_said',
      severity: 'warning',
      since_ms: 7,
      title: { en },
      evidence: { utterance_id: 1, text: 'Goodbye.' },
    });
    const wall = wallOf([call('a', [not('Recorded'), not('Anything else?')]), call('b')]);
    const listed = () =>
      wall.alerts.map(({ row, alert, overAt }) => [row.id, row.gone, alert.title?.['en'], overAt]);
    wall.held = true;
    wall.receive({ type: 'call', call: call('a', [not('Anything else?')]) });
    wall.show(NOW + 1);
    expect(listed()).toEqual([
      ['a', false, 'Anything else?', null],
      ['a', false, 'Recorded', NOW + 1],
    ]);
    wall.receive({ type: 'call', call: call('a', [], { state: 'ended' }) });
    wall.receive({ type: 'call', call: call('b', [alert('urgent')]) });
    wall.show(NOW + 2);
    expect(listed(), 'nobody can be on a call that has ended').toEqual([
      ['a', true, 'Anything else?', NOW + 2],
      ['a', true, 'Recorded', NOW + 1],
      ['b', false, undefined, null],
    ]);
    const same = wall.alerts;
    wall.show(NOW + 3);
    expect(wall.alerts, 'time passes for what is so').toBe(same);
  });

  it('counts alerts that stand too far down, and moves them when asked', () => {
    const wall = wallOf([call('a', [alert('warning')]), call('b')]);
    wall.held = true;
    wall.receive({ type: 'call', call: call('b', [alert('urgent')]) });
    wall.show(NOW);
    expect(wall.misplacedAlerts).toBe(1);
    wall.sort();
    expect([wall.misplacedAlerts, wall.alerts[0]?.row.id]).toEqual([0, 'b']);
  });

  it('draws a row anew only when it has changed', () => {
    const wall = wallOf([call('a'), call('b')], [caller(1, NOW - 1_000)]);
    const before = wall.rows;
    wall.show(NOW + 1);
    expect(wall.rows).toBe(before);
    wall.receive({ type: 'call', call: call('b', [], { utterances: 1 }) });
    wall.waits([caller(1, NOW - 1_003)]);
    wall.show(NOW + 2);
    expect(wall.rows.map((row, place) => row === before[place])).toEqual([true, true, false]);
    wall.waits([caller(1, NOW - 1_000, { rings_at: 'omid' })]);
    wall.show(NOW + 3);
    expect(wall.rows[0]?.caller?.rings_at).toBe('omid');
  });

  it('has a place of its own', () => {
    expect(placeOf('#/wall')).toEqual({ page: 'wall' });
  });
});
