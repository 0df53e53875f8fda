import { expect, test } from 'vitest';
import { judged, sampled, type Sample } from './quality';

const sample = (packets: number, lost: number, saidLost = 0, roundTrip = 0.05): Sample => ({
  heard: { packets, lost },
  saidLost,
  roundTrip,
});

test('a line is judged by what happened since the last look', () => {
  const all = (heard: string, said: string, delay: string) => ({ heard, said, delay });
  expect(judged(sample(0, 0), sample(150, 0))).toEqual(all('good', 'good', 'good'));
  expect(judged(sample(150, 50), sample(300, 50))).toEqual(all('good', 'good', 'good'));
  expect(judged(sample(0, 0), sample(145, 5))).toEqual(all('fair', 'good', 'good'));
  expect(judged(sample(0, 0), sample(120, 30))).toEqual(all('poor', 'good', 'good'));
  expect(judged(sample(0, 0), sample(150, 0, 0.03, 0.4))).toEqual(all('good', 'fair', 'fair'));
  expect(judged(sample(0, 0), sample(150, 0, 0.2, 1))).toEqual(all('good', 'poor', 'poor'));
});

test('nothing is wrong with a line on which nothing is sent, or whose counts began anew', () => {
  expect(judged(sample(100, 3), sample(100, 3)).heard).toBe('good');
  expect(judged(sample(1000, 30), sample(10, 0)).heard).toBe('good');
});

test('reports of any browser are read without trust', () => {
  const report = [
    { type: 'inbound-rtp', packetsReceived: 10, packetsLost: 2 },
    { type: 'remote-inbound-rtp', fractionLost: 0.5, roundTripTime: 'soon' },
    { type: 'transport' },
  ];
  expect(sampled(report)).toEqual(sample(10, 2, 0.5, 0));
  expect(sampled([])).toEqual(sample(0, 0, 0, 0));
});
