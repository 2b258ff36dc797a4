import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemRandom } from '../kernel/random.ts';
import { makeSigner } from './archive.test-kit.ts';
import { endorse, trustFrom } from './endorsement.ts';
import type { Signer } from './signature.ts';
import { Folder } from './targets/folder.ts';

const [first, second, third, stranger] = [makeSigner(), makeSigner(), makeSigner(), makeSigner()];
const OURS = { deploymentId: 'dep_1' };
let folder: string;
let shelf: Folder;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'endorsement-'));
  shelf = new Folder({ folder, random: systemRandom });
});
afterEach(() => rm(folder, { recursive: true }));

function vouch(by: Signer, { publicKey }: Signer, deploymentId = 'dep_1'): Promise<void> {
  return endorse(shelf, { deploymentId, publicKey, at: 1 }, by);
}

function from({ publicKey }: Signer) {
  return trustFrom(shelf, [publicKey], OURS);
}

describe('endorsements', () => {
  test('lead from one signer to all that came after it, also round in a circle', async () => {
    await vouch(first, second);
    await vouch(second, third);
    await vouch(third, first);
    const all = [first, second, third].map(({ publicKey }) => publicKey).sort();
    for (const each of [first, second, third]) expect([...(await from(each))].sort()).toEqual(all);
  });

  test('of a stranger, of another deployment, changed or renamed lead to nobody', async () => {
    await vouch(stranger, second);
    await vouch(first, third, 'dep_2');
    const name = (key: Signer, by: Signer) =>
      path.join(folder, `signer.${key.publicKey}.${by.publicKey}.ndjson`);
    await writeFile(name(stranger, first), 'x'.repeat(100_000));
    await writeFile(name(second, first), await readFile(name(second, stranger)));
    await writeFile(
      name(third, second),
      (await readFile(name(third, first), 'utf8')).replace('dep_2', 'dep_1'),
    );
    await writeFile(path.join(folder, 'signer.odd.ndjson'), '');
    expect(await from(first)).toEqual([first.publicKey]);
    expect(await trustFrom(shelf, [first.publicKey], { deploymentId: 'dep_2' })).toEqual([
      first.publicKey,
      third.publicKey,
    ]);
  });
});
