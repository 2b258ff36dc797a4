import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { systemRandom } from '../../kernel/random.ts';
import { makeSigner } from '../archive.test-kit.ts';
import { segmentName } from './names.ts';
import { sealSegment } from './segment.ts';

test('a segment of many small frames is made as fast as one of a large frame', async () => {
  const chain = '0'.repeat(26);
  const digest = '0'.repeat(64);
  const own = { chain, first: 1, last: 8000 };
  const claim = {
    kind: 'changes',
    ...own,
    deployment_id: 'dep',
    restore_epoch: 0,
    schema_version: 1,
  } as const;
  const sealing = {
    encryption: { kind: 'none' },
    key: null,
    signer: makeSigner(),
    random: systemRandom,
  } as const;
  const seal = async (frames: readonly Buffer[]) => {
    const began = performance.now();
    const range = { from: 0, to: 0, before: digest, after: digest };
    await sealSegment(segmentName({ ...own, isMerged: false }), { ...claim, ...range }, frames, sealing);
    return performance.now() - began;
  };
  const frames = Array.from({ length: 8000 }, () => randomBytes(256));
  const best = { many: Number.POSITIVE_INFINITY, one: Number.POSITIVE_INFINITY };
  for (let n = 0; n < 5; n++) {
    best.many = Math.min(best.many, await seal(frames));
    best.one = Math.min(best.one, await seal([Buffer.concat(frames)]));
  }
  // Frame by frame through the compressor it was twenty times as long.
  expect(best.many).toBeLessThan(5 * best.one);
});
