// The commands of docs/backup-format.md, run as they stand there.

import { execFileSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import {
  Decrypter,
  Encrypter,
  generateHybridIdentity,
  generateX25519Identity,
  identityToRecipient,
} from 'age-encryption';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemRandom } from '../kernel/random.ts';
import { decrypt, encrypt } from './age.ts';
import { collect, inPieces, MADE_AT, makeArchive, makeSigner, TABLES } from './archive.test-kit.ts';
import { checkArchive } from './reader.ts';

const has = (...tools: string[]) =>
  tools.every((tool) =>
    (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, tool))),
  );

const signer = makeSigner();
const trust = [signer.publicKey];
let folder: string;
let identity: string;
let recipient: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'archive-tools-'));
  identity = await generateX25519Identity();
  recipient = await identityToRecipient(identity);
  await writeFile(join(folder, 'recovery-key.txt'), `${identity}\n`);
});
afterAll(() => rm(folder, { recursive: true }));

function shell(script: string, variables: Record<string, string> = {}): string {
  const env = { ...process.env, ...variables };
  return execFileSync('/bin/bash', ['-euo', 'pipefail', '-c', script], {
    cwd: folder,
    env,
    encoding: 'utf8',
  });
}

/** The n-th block of commands of the page. */
async function documented(index: number): Promise<string> {
  const page = await readFile(new URL('../../docs/backup-format.md', import.meta.url), 'utf8');
  return [...page.matchAll(/```sh\n(.*?)```/gs)][index]?.[1] ?? '';
}

describe.skipIf(!has('age', 'zstd', 'tar', 'sha256sum'))(
  'plain tools (needs age, zstd, tar and sha256sum)',
  () => {
    beforeAll(async () => {
      const archive = await makeArchive(signer, { encryption: { kind: 'age', recipients: [recipient] } });
      await writeFile(join(folder, 'BACKUP.tar.zst.age'), archive);
      shell(`mkdir out; ${await documented(0)}`);
    });

    test('open an archive', async () => {
      expect((await readdir(join(folder, 'out'))).sort()).toEqual([
        'config.json',
        'format.json',
        'keys',
        'manifest.json',
        'manifest.sig',
        'tables',
      ]);
      const chunk = join(folder, 'out/tables/users/000001.ndjson');
      expect(await readFile(chunk, 'utf8')).toBe(`${TABLES['users']?.[0]?.join('\n')}\n`);
      const { mode, mtimeMs } = await stat(chunk);
      expect(mode & 0o777).toBe(0o600);
      expect(mtimeMs).toBe(Math.floor(MADE_AT / 1000) * 1000);
    });

    test('show the digest of a table', async () => {
      const { tables } = JSON.parse(await readFile(join(folder, 'out/manifest.json'), 'utf8'));
      expect(shell(await documented(1))).toBe(`${tables[0].digest}  -\n`);
    });

    test.skipIf(!has('openssl'))('check the signature (needs openssl)', async () => {
      const commands = await documented(2);
      expect(shell(commands, { KEY: signer.publicKey })).toContain('Signature Verified Successfully');
      expect(() => shell(commands, { KEY: makeSigner().publicKey })).toThrow();
    });

    test('have encrypted again what the reader opens', async () => {
      shell(`age -d -i recovery-key.txt BACKUP.tar.zst.age | age -e -r ${recipient} > again.age`);
      const again = await readFile(join(folder, 'again.age'));
      await expect(checkArchive(inPieces(again), { trust, identities: [identity] })).resolves.toBeDefined();
    });

    test('have written a tar that the reader refuses: its headers are not ours', async () => {
      shell(
        `cd out; tar -c format.json tables keys config.json manifest.json manifest.sig | zstd > ../other.tar.zst`,
      );
      const other = await readFile(join(folder, 'other.tar.zst'));
      await expect(checkArchive(inPieces(other), { trust })).rejects.toThrow('not a header that we write');
    });
  },
);

describe('the age package', () => {
  test.for([0, 1, 65_535, 65_536, 65_537, 131_072, 200_000])(
    'opens %i bytes that we encrypted, and the other way round',
    async (length) => {
      const plain = systemRandom.bytes(length);
      const ours = await collect(
        encrypt(inPieces(plain), { kind: 'age', recipients: [recipient] }, systemRandom),
      );
      const decrypter = new Decrypter();
      decrypter.addIdentity(identity);
      expect(hash('sha256', await decrypter.decrypt(ours))).toBe(hash('sha256', plain));
      const encrypter = new Encrypter();
      encrypter.addRecipient(recipient);
      const theirs = Buffer.from(await encrypter.encrypt(plain));
      expect((await collect(decrypt(inPieces(theirs), { identities: [identity] }))).equals(plain)).toBe(true);
    },
  );

  test('opens what a passphrase of ours has sealed, and the other way round', async () => {
    const plain = Buffer.from('rows');
    const passphrase = 'correct horse ⚡';
    const ours = await collect(
      encrypt(inPieces(plain), { kind: 'passphrase', passphrase, work: 8 }, systemRandom),
    );
    const decrypter = new Decrypter();
    decrypter.addPassphrase(passphrase);
    expect(Buffer.from(await decrypter.decrypt(ours)).equals(plain)).toBe(true);
    const encrypter = new Encrypter();
    encrypter.setPassphrase(passphrase);
    encrypter.setScryptWorkFactor(8);
    const theirs = Buffer.from(await encrypter.encrypt(plain));
    expect((await collect(decrypt(inPieces(theirs), { passphrases: [passphrase] }))).equals(plain)).toBe(
      true,
    );
  });

  test('knows recipients after quantum computers, too', async () => {
    const hybrid = await generateHybridIdentity();
    const encryption = { kind: 'age', recipients: [recipient, await identityToRecipient(hybrid)] } as const;
    const archive = await makeArchive(signer, { encryption });
    await expect(checkArchive(inPieces(archive), { trust, identities: [hybrid] })).resolves.toBeDefined();
  });
});
