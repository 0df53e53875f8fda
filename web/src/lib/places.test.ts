import { describe, expect, it } from 'vitest';
import { parted, places, type Place } from './places.svelte';

const place = (name: string): Place => ({ name, take: () => true });

describe('places', () => {
  it('puts a text where was written last, and nowhere when all are closed', () => {
    const [note, draft] = [place('note'), place('draft')];
    expect(places.last).toBeUndefined();
    const closeNote = places.open(note);
    const closeDraft = places.open(draft);
    expect(places.last).toBe(draft);
    places.first(note);
    expect(places.last).toBe(note);
    closeNote();
    expect(places.last).toBe(draft);
    closeDraft();
    expect(places.last).toBeUndefined();
  });
});

describe('parted', () => {
  it.each([
    ['', 'It takes a day.', '', 'It takes a day.'],
    ['Hello', 'it', 'is', ' it '],
    ['Hello ', 'it', '.', 'it'],
    ['سلام', 'سه روز', '؟', ' سه روز'],
  ])('leaves a space where one is needed: “%s”', (before, text, after, whole) => {
    expect(parted(before, text, after)).toBe(whole);
  });
});
