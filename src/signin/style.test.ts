import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const css = readFileSync(path.join(import.meta.dirname, 'pages', 'style.css'), 'utf8');
const [light, dark] = [...css.matchAll(/:root \{(.*?)\}/gs)].map(([, block = '']) =>
  Object.fromEntries(
    [...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, colour]) => [name, colour]),
  ),
);

/** Text on its ground: WCAG 2.2 asks for 4.5 (1.4.3), and for 3 at the edges of controls (1.4.11). */
const PAIRS = [
  ['text', 'ground', 4.5],
  ['text', 'surface', 4.5],
  ['text', 'tint', 4.5],
  ['quiet', 'ground', 4.5],
  ['quiet', 'surface', 4.5],
  ['accent', 'ground', 4.5],
  ['accent', 'surface', 4.5],
  ['accent', 'tint', 4.5],
  ['accent-strong', 'surface', 4.5],
  ['on-accent', 'accent', 4.5],
  ['on-accent', 'accent-strong', 4.5],
  ['fault', 'fault-tint', 4.5],
  ['caution', 'caution-tint', 4.5],
  ['done', 'done-tint', 4.5],
  ['edge', 'surface', 3],
] as const;

describe.each([
  ['light', light],
  ['dark', dark],
])('in the %s', (_, colours) => {
  test.each(PAIRS)('%s on %s has a contrast of at least %d', (front, back, least) => {
    expect(contrast(colours?.[front], colours?.[back])).toBeGreaterThanOrEqual(least);
  });
});

test('the stylesheet loads nothing from elsewhere', () => {
  expect(css).not.toMatch(/url\(|@import/);
});

function contrast(a: string | undefined, b: string | undefined): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].toSorted((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

function luminance(colour: string | undefined): number {
  if (!colour) throw new Error('no such colour');
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
