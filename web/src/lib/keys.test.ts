import { expect, it } from 'vitest';
import { figure } from './keys';

const typed = (key: string, held: Partial<KeyboardEvent> = {}) => figure({ key, ...held } as KeyboardEvent);

it('knows the keys of a telephone in the figures of every keyboard', () => {
  expect([...'07۰۷٠٧*#'].map((key) => typed(key))).toEqual(['0', '7', '0', '7', '0', '7', '*', '#']);
  expect(['a', 'F1', 'Enter', '10'].map((key) => typed(key))).toEqual([null, null, null, null]);
  expect(typed('1', { ctrlKey: true })).toBeNull();
});
