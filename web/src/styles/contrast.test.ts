import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const css = readFileSync(join(import.meta.dirname, 'base.css'), 'utf8');
const tokens = new Map(
  [...css.matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(
    ([, name, light, dark]) => [name ?? '', [light, dark]] as const,
  ),
);

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const c = parseInt(hex.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * (r ?? 0) + 0.7152 * (g ?? 0) + 0.0722 * (b ?? 0);
}

function contrast(a: string, b: string, theme: 0 | 1): number {
  const [x, y] = [a, b].map((name) => {
    const colour = tokens.get(name)?.[theme];
    if (!colour) throw new Error(`no colour ${name}`);
    return luminance(colour);
  });
  const [dark, light] = [Math.min(x ?? 0, y ?? 0), Math.max(x ?? 0, y ?? 0)];
  return (light + 0.05) / (dark + 0.05);
}

const grounds = ['paper', 'raised', 'wash'];
const text: [string, string][] = [
  ...['ink', 'ink-2', 'ink-3', 'accent', 'warn', 'error'].flatMap((ink) =>
    grounds.map((ground): [string, string] => [ink, ground]),
  ),
  ['ink', 'accent-wash'],
  ['ink-2', 'accent-wash'],
  ['ink-3', 'accent-wash'],
  ['accent', 'accent-wash'],
  ['on-accent', 'accent'],
  ['warn', 'warn-wash'],
  ['error', 'error-wash'],
];

describe.each([['light', 0] as const, ['dark', 1] as const])('%s', (_, theme) => {
  it.each(text)('%s can be read on %s', (ink, ground) => {
    expect(contrast(ink, ground, theme)).toBeGreaterThanOrEqual(4.5);
  });
  it.each(grounds)('the frame of a field stands out on %s', (ground) => {
    expect(contrast('line-strong', ground, theme)).toBeGreaterThanOrEqual(3);
  });
});
