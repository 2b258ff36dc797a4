import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { type Removal, readReceipts, receiptsIn } from './receipts.ts';

const removal = (id: string): Removal => ({
  id,
  target: 'local',
  sequence: 1,
  made_at: 1,
  sha256: 'a'.repeat(64),
  reasons: ['no rule keeps it'],
});

test('receipts are a chain: a line that was changed, cut or taken out shows; what did not go has none', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'receipts-'));
  const file = path.join(folder, 'receipts.ndjson');
  const receipts = receiptsIn(file, () => 7);
  for (const id of ['a', 'b', 'c']) await receipts.write(removal(id));
  await receipts.withdraw(removal('b'), 'the bucket refuses');
  const text = await readFile(file, 'utf8');
  await rm(folder, { recursive: true });
  const ids = (of: string) => readReceipts(of).receipts.map(({ id }) => id);
  expect([ids(text), readReceipts(text).isWhole]).toEqual([['a', 'c'], true]);
  expect(readReceipts('')).toEqual({ receipts: [], isWhole: true });
  const lines = text.split('\n');
  for (const broken of [
    lines.toSpliced(1, 1).join('\n'),
    text.replace('"target":"local"', '"target":"other"'),
    text.slice(0, -5),
    `${text}{}\n`,
  ])
    expect(readReceipts(broken).isWhole).toBe(false);
});
