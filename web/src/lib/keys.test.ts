import { expect, it } from 'vitest';
import { figure, pressed } from './keys';

const typed = (key: string, held: Partial<KeyboardEvent> = {}) => figure({ key, ...held } as KeyboardEvent);

it('takes a letter for what is printed, and for its place only where a letter of another script is printed', () => {
  const is = (wanted: string, key: string, code: string, held: Partial<KeyboardEvent> = {}) =>
    pressed({ key, code, ...held } as KeyboardEvent, wanted);
  // QWERTZ, AZERTY.
  expect([is('z', 'z', 'KeyY'), is('y', 'z', 'KeyY')]).toEqual([true, false]);
  expect([is('a', 'a', 'KeyQ'), is('q', 'a', 'KeyQ'), is('w', 'z', 'KeyW')]).toEqual([true, false, false]);
  // Persian, Russian; a letter with an accent is none of the others.
  expect([is('j', 'ت', 'KeyJ'), is('y', 'غ', 'KeyY'), is('z', 'я', 'KeyZ')]).toEqual([true, true, true]);
  expect(is('e', 'é', 'KeyE')).toBe(false);
  // AZERTY has a comma where M is elsewhere; names of keys are no letters.
  expect([is('m', ',', 'KeyM'), is('m', 'Enter', 'KeyM'), is('y', '-', 'KeyY')]).toEqual([false, false, false]);
  expect([is('y', 'Y', 'KeyY'), is('y', 'Y', 'KeyY', { shiftKey: true })]).toEqual([true, false]);
  expect(is('y', 'y', 'KeyY', { ctrlKey: true })).toBe(false);
});

it('knows the keys of a telephone in the figures of every keyboard', () => {
  expect([...'07۰۷٠٧*#'].map((key) => typed(key))).toEqual(['0', '7', '0', '7', '0', '7', '*', '#']);
  expect(['a', 'F1', 'Enter', '10'].map((key) => typed(key))).toEqual([null, null, null, null]);
  expect(typed('1', { ctrlKey: true })).toBeNull();
});
