import { hash } from 'node:crypto';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Encryption } from './age.ts';
import {
  archiveParts,
  collect,
  gather,
  HEAD,
  inPieces,
  MADE_AT,
  makeArchive,
  makeSigner,
  PLAIN,
  partsOf,
  putTogether,
  TABLES,
  TAIL,
  takeApart,
} from './archive.test-kit.ts';
import { damaged, LIMITS } from './format.ts';
import { checkArchive, openArchive, type ReadOptions } from './reader.ts';
import { signatureOf, toLine } from './signature.ts';
import { packEnd, type TarEntry } from './tar.ts';
import { writeArchive } from './writer.ts';
import { compress, decompress } from './zstd.ts';

const signer = makeSigner();
const trust = [signer.publicKey];

function read(archive: Buffer, options: Partial<ReadOptions> = {}) {
  return checkArchive(inPieces(archive), { trust, ...options });
}

describe('what was written is read', () => {
  test('in order, with totals, and the manifest says what there is', async () => {
    const archive = await makeArchive(signer);
    const opened = await openArchive(inPieces(archive), { trust, deploymentId: 'dep_1', id: HEAD.id });
    expect(opened.format).toMatchObject({
      format: 1,
      deployment_id: 'dep_1',
      program: '0.1.0',
      made_at: MADE_AT,
    });
    expect(() => opened.manifest()).toThrow(TypeError);
    const parts = await gather(opened.parts);
    expect(parts).toEqual([
      ...partsOf(TABLES),
      { kind: 'key', name: 'kid1.pem', text: 'first private key\n' },
      { kind: 'key', name: 'kid2.pem', text: 'second private key\n' },
      { kind: 'config', text: TAIL.config },
    ]);
    const manifest = opened.manifest();
    expect(manifest.tables.map(({ name, rows }) => [name, rows])).toEqual([
      ['users', 3],
      ['empty', 0],
      ['tokens', 1],
    ]);
    expect(manifest).toMatchObject({
      restore_epoch: 3,
      sequence: 42,
      recovery_point: HEAD.recoveryPoint,
      keys: { public: TAIL.publicKeys, needed: ['data-key-1'] },
      encryption: { kind: 'none', recipients: [] },
      tags: ['nightly'],
    });
    expect(manifest.entries.map(({ name }) => name)).toEqual([
      'format.json',
      'tables/users/000001.ndjson',
      'tables/users/000002.ndjson',
      'tables/tokens/000001.ndjson',
      'keys/kid1.pem',
      'keys/kid2.pem',
      'config.json',
    ]);
  });

  test('an archive without rows, keys and tags', async () => {
    const parts = {
      head: { ...HEAD, tables: [], tags: [] },
      parts: [],
      tail: () => ({ ...TAIL, privateKeys: [] }),
    };
    const manifest = await read(await makeArchive(signer, parts));
    expect(manifest.entries.map(({ name }) => name)).toEqual(['format.json', 'config.json']);
  });

  test('whatever pieces it comes in', async () => {
    const archive = await makeArchive(signer);
    for (const length of [1, 2, 511, 4096, archive.length]) {
      await expect(checkArchive(inPieces(archive, length), { trust })).resolves.toMatchObject({
        sequence: 42,
      });
    }
  });
});

describe('who may open it', () => {
  let identities: string[];
  let recipients: string[];
  const sealedFor = (...to: string[]) => makeArchive(signer, { encryption: { kind: 'age', recipients: to } });

  beforeAll(async () => {
    identities = [
      await generateX25519Identity(),
      await generateX25519Identity(),
      await generateX25519Identity(),
    ];
    recipients = await Promise.all(identities.map((identity) => identityToRecipient(identity)));
  });

  test('each of its recipients, and nobody else', async () => {
    const archive = await sealedFor(recipients[0]!, recipients[1]!);
    for (const identity of identities.slice(0, 2)) {
      const manifest = await read(archive, { identities: [identities[2]!, `${identity}\n`] });
      expect(manifest.encryption).toEqual({ kind: 'age', recipients: recipients.slice(0, 2) });
    }
    await expect(read(archive, { identities: [identities[2]!] })).rejects.toMatchObject({
      code: 'refused',
      message: 'None of the given identities opens this archive.',
    });
    await expect(read(archive)).rejects.toMatchObject({
      code: 'refused',
      hint: expect.stringContaining('recipients'),
    });
  });

  test('whoever knows the passphrase', async () => {
    const encryption: Encryption = { kind: 'passphrase', passphrase: 'correct horse', work: 10 };
    const archive = await makeArchive(signer, { encryption });
    expect((await read(archive, { passphrases: ['other', 'correct horse'] })).sequence).toBe(42);
    await expect(read(archive, { passphrases: ['correct house'] })).rejects.toThrow(
      'passphrase does not open',
    );
    await expect(read(archive, { identities })).rejects.toThrow('none was given');
  });

  test('a recipient or identity that is none, and none at all, are named before anything is written', async () => {
    await expect(sealedFor('age1nonsense')).rejects.toMatchObject({ code: 'invalid_input' });
    await expect(sealedFor()).rejects.toMatchObject({ code: 'invalid_input' });
    const empty: Encryption = { kind: 'passphrase', passphrase: '' };
    await expect(makeArchive(signer, { encryption: empty })).rejects.toMatchObject({ code: 'invalid_input' });
    const archive = await sealedFor(recipients[0]!);
    await expect(read(archive, { identities: ['AGE-SECRET-KEY-1X'] })).rejects.toMatchObject({
      code: 'invalid_input',
    });
  });

  // With a fixed seed: a run is long enough to have tried most bytes of so small an archive.
  test('every flipped byte and every cut of an encrypted archive is found and placed', async () => {
    const archive = await sealedFor(recipients[0]!);
    const options = { identities: [identities[0]!] };
    await fc.assert(
      fc.asyncProperty(fc.nat(archive.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
        const flipped = Buffer.from(archive);
        flipped.writeUInt8(flipped.readUInt8(at) ^ mask, at);
        await expect(read(flipped, options)).rejects.toMatchObject({ code: 'refused' });
        await expect(read(archive.subarray(0, at), options)).rejects.toThrow(/damaged at .+: .+/);
      }),
      { numRuns: 150 },
    );
    await expect(read(Buffer.concat([archive, Buffer.of(0)]), options)).rejects.toThrow('damaged at byte');
  });
});

describe('a plain archive that was changed', () => {
  test('a flipped byte never changes what is read, and the record beside the file finds each one', async () => {
    const archive = await makeArchive(signer);
    const intact = await readAll(archive);
    const file = { size: archive.length, sha256: hash('sha256', archive, 'hex') };
    await expect(read(archive, { file })).resolves.toBeDefined();
    await fc.assert(
      fc.asyncProperty(fc.nat(archive.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
        const flipped = Buffer.from(archive);
        flipped.writeUInt8(flipped.readUInt8(at) ^ mask, at);
        await expect(read(flipped, { file })).rejects.toMatchObject({ code: 'refused' });
        expect([intact, undefined]).toContainEqual(await readAll(flipped));
        await expect(read(archive.subarray(0, at))).rejects.toThrow(/damaged at .+: .+/);
      }),
      { numRuns: 150 },
    );
    await expect(read(archive.subarray(0, -1), { file })).rejects.toThrow('damaged at');
    await expect(read(Buffer.concat([archive, Buffer.of(0)]), { file })).rejects.toThrow(
      'longer than it was written',
    );
  });

  async function readAll(archive: Buffer): Promise<unknown> {
    try {
      const opened = await openArchive(inPieces(archive), { trust });
      return { parts: await gather(opened.parts), manifest: opened.manifest() };
    } catch {
      return undefined;
    }
  }

  test.for([
    ['garbage', Buffer.from('garbage')],
    ['zeros', Buffer.alloc(10)],
    ['a second frame', undefined],
  ] as const)('%s after its end', async ([, garbage]) => {
    const archive = await makeArchive(signer);
    const longer = Buffer.concat([archive, garbage ?? archive]);
    await expect(read(longer)).rejects.toThrow('damaged at');
    await expect(checkArchive(inPieces(longer, longer.length), { trust })).rejects.toThrow(
      'longer than its end',
    );
  });
});

describe('a plain archive that was put together otherwise', () => {
  const CHUNK = 'tables/users/000002.ndjson';
  let entries: TarEntry[];
  const at = (name: string) => entries.findIndex((entry) => entry.name === name);
  const swap = (a: string, b: string) => {
    const [one, two] = [entries[at(a)]!, entries[at(b)]!];
    return entries.with(at(a), two).with(at(b), one);
  };
  const replace = (name: string, change: Partial<TarEntry>) =>
    entries.with(at(name), { ...entries[at(name)]!, ...change });
  const insert = (before: string, name: string, bytes = Buffer.from('x\n')) =>
    entries.toSpliced(at(before), 0, { ...entries[0]!, name, bytes });

  beforeAll(async () => {
    entries = await takeApart(await makeArchive(signer));
  });

  const cases: Readonly<Record<string, [() => readonly TarEntry[], string]>> = {
    'nothing at all': [() => [], 'format.json: there is no entry'],
    'no format': [() => entries.slice(1), 'format.json has to be the first'],
    'entries swapped': [() => swap('tables/users/000001.ndjson', CHUNK), `${CHUNK}: it is not where`],
    'tables swapped': [
      () => swap('tables/tokens/000001.ndjson', 'tables/users/000001.ndjson'),
      'is not where',
    ],
    'contents swapped': [
      () => {
        const [one, two] = [entries[at('keys/kid1.pem')]!, entries[at('keys/kid2.pem')]!];
        return entries
          .with(at(one.name), { ...one, bytes: two.bytes })
          .with(at(two.name), { ...two, bytes: one.bytes });
      },
      'keys/kid1.pem: it has 19 bytes instead of 18',
    ],
    'a chunk removed': [() => entries.toSpliced(at(CHUNK), 1), `damaged at ${CHUNK}`],
    'a first chunk removed': [() => entries.toSpliced(at(CHUNK) - 1, 1), `${CHUNK}: it is not where`],
    'a table removed': [
      () => entries.toSpliced(at('tables/tokens/000001.ndjson'), 1),
      'tables/tokens/000001.ndjson',
    ],
    'a key removed': [
      () => entries.toSpliced(at('keys/kid2.pem'), 1),
      'keys/kid2.pem: config.json is in its place',
    ],
    'the configuration removed': [
      () => entries.toSpliced(at('config.json'), 1),
      'manifest.json: it is not where',
    ],
    'the manifest removed': [
      () => entries.toSpliced(at('manifest.json'), 1),
      'manifest.sig: it is not where',
    ],
    'the signature removed': [() => entries.slice(0, -1), 'the manifest and its signature are missing'],
    'a chunk twice': [
      () => entries.toSpliced(at(CHUNK), 0, entries[at(CHUNK)]!),
      `${CHUNK}: it is not where`,
    ],
    'a key twice': [() => insert('config.json', 'keys/kid2.pem'), 'keys/kid2.pem: it is not where'],
    'a chunk more': [
      () => insert('tables/tokens/000001.ndjson', 'tables/users/000003.ndjson'),
      'users/000003.ndjson',
    ],
    'a key more': [() => insert('config.json', 'keys/kid3.pem'), 'keys/kid3.pem is in its place'],
    'a table more': [
      () => insert('keys/kid1.pem', 'tables/zzz/000001.ndjson'),
      'zzz/000001.ndjson: it is not where',
    ],
    'an entry after the signature': [
      () => [...entries, { ...entries[0]!, name: 'keys/kid9.pem' }],
      'kid9.pem',
    ],
    'a second manifest': [() => [...entries, entries.at(-2)!], 'manifest.json: it is not where'],
    'a second format': [() => [...entries.slice(0, 1), ...entries], 'format.json: it is not where'],
    'an unknown entry': [() => insert('config.json', 'readme.txt'), '"readme.txt": no entry'],
    'a path upwards': [
      () => insert('config.json', 'keys/../../etc/passwd'),
      'no entry of an archive is called so',
    ],
    'an absolute path': [() => insert('config.json', '/etc/passwd'), 'no entry of an archive is called so'],
    'a hidden key': [() => insert('config.json', 'keys/..'), 'no entry of an archive is called so'],
    'a row that does not end': [
      () => replace(CHUNK, { bytes: Buffer.from('{"id":"c"}') }),
      'its last row does not end',
    ],
    'a changed row': [
      () => replace(CHUNK, { bytes: Buffer.from(String(entries[at(CHUNK)]?.bytes).replace('null', '1234')) }),
      `${CHUNK}: its SHA-256`,
    ],
    'a chunk without a byte': [() => replace(CHUNK, { bytes: Buffer.alloc(0) }), 'its last row does not end'],
    'another time': [() => replace('config.json', { mtime: 1 }), 'config.json: it has another time'],
    'a manifest that was edited': [
      () =>
        replace('manifest.json', {
          bytes: Buffer.from(String(entries.at(-2)?.bytes).replace(':42,', ':43,')),
        }),
      'manifest.sig: it is not the signature',
    ],
    'a signature that is no JSON': [
      () => replace('manifest.sig', { bytes: Buffer.from('x') }),
      'not the signature',
    ],
  };

  test.for(Object.entries(cases))('%s', async ([, [change, message]]) => {
    await expect(read(await putTogether(change()))).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining(message),
    });
  });

  test('its own entries put together again are an archive', async () => {
    await expect(read(await putTogether(entries))).resolves.toBeDefined();
  });

  test('a manifest of another archive of the same signer', async () => {
    const other = { parts: partsOf({ ...TABLES, tokens: [['{"id":"t2","user":"a"}']] }) };
    const [manifest, signature] = (await takeApart(await makeArchive(signer, other))).slice(-2);
    const mixed = [...entries.slice(0, -2), manifest!, signature!];
    await expect(read(await putTogether(mixed))).rejects.toThrow('tables/tokens/000001.ndjson: its SHA-256');
  });

  test('a manifest that does not know everything', async () => {
    const listed = JSON.parse(String(entries.at(-2)?.bytes));
    const bytes = toLine({ ...listed, entries: listed.entries.slice(0, -1) });
    const signature = { ...entries.at(-1)!, bytes: await signatureOf(signer, bytes) };
    const changed = [...entries.slice(0, -2), { ...entries.at(-2)!, bytes }, signature];
    await expect(read(await putTogether(changed))).rejects.toThrow(
      'config.json: the manifest does not know it',
    );
  });

  test.for([
    [
      'bytes that fill a block',
      512 + 511,
      0x78,
      'format.json: the bytes that fill its last block are not zero',
    ],
    ['the mode of a file', 100 + 6, 0x37, 'its beginning: this is not a header that we write'],
    ['a link instead of a file', 156, 0x32, 'its beginning: this is not a header that we write'],
    ['a prefix', 345, 0x2e, 'its beginning: this is not a header that we write'],
  ] as const)('a tar that another program would take: %s', async ([, at, byte, message]) => {
    const tar = await collect(decompress(inPieces(await putTogether(entries)), LIMITS));
    // Where it is in a header, the sum of that header is put right.
    const sum = Number.parseInt(tar.toString('latin1', 148, 154), 8) + byte - tar.readUInt8(at);
    tar.writeUInt8(byte, at);
    if (at < 512) tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    await expect(read(await collect(compress(inPieces(tar))))).rejects.toThrow(message);
  });

  test('a signer that nobody trusts', async () => {
    const stranger = makeSigner();
    await expect(read(await makeArchive(stranger))).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining(stranger.publicKey),
      hint: expect.stringContaining('recovery sheet'),
    });
  });

  test('another deployment, another backup', async () => {
    const archive = await makeArchive(signer);
    await expect(read(archive, { deploymentId: 'dep_2' })).rejects.toThrow('of another deployment: "dep_1"');
    await expect(read(archive, { id: 'other' })).rejects.toThrow('not other');
  });

  test('a newer format says which version reads it', async () => {
    const newer = replace('format.json', { bytes: toLine({ format: 2, program: '7.1.0', surprise: true }) });
    await expect(read(await putTogether(newer))).rejects.toMatchObject({
      code: 'refused',
      message: 'The archive has format 2; this version reads up to 1.',
      hint: expect.stringContaining('authserver 7.1.0'),
    });
  });

  test.for([
    ['one block of zeros', packEnd().subarray(512), 'the end of the tar is not whole'],
    ['no end', Buffer.alloc(0), 'the tar ends too soon'],
    ['zeros after the end', Buffer.alloc(4 * 512), 'something follows it'],
    ['another tar after the end', Buffer.concat([packEnd(), Buffer.from('ustar')]), 'something follows it'],
  ] as const)('%s', async ([, end, message]) => {
    await expect(read(await putTogether(entries, end))).rejects.toThrow(message);
  });
});

describe('limits', () => {
  test('an entry that is too long is refused by its header, before it is read', async () => {
    const archive = await makeArchive(signer);
    await expect(read(archive, { limits: { entryBytes: 100 } })).rejects.toThrow(
      /format.json: it says that it has/,
    );
  });

  test('too many entries', async () => {
    await expect(read(await makeArchive(signer), { limits: { entries: 3 } })).rejects.toThrow(
      'more than 3 entries',
    );
  });

  test('a tar that is too long in all', async () => {
    await expect(read(await makeArchive(signer), { limits: { totalBytes: 2048 } })).rejects.toThrow(
      'longer than 2048',
    );
  });

  test('few bytes that become very many', async () => {
    const zeros = async function* () {
      for (let i = 0; i < 120; i++) yield Buffer.alloc(1024 * 1024);
    };
    const bomb = await collect(compress(zeros()));
    expect(bomb.length).toBeLessThan(50_000);
    let made = 0;
    const blow = async () => {
      for await (const bytes of decompress(inPieces(bomb), LIMITS)) made += bytes.length;
    };
    await expect(blow()).rejects.toThrow('1000 times');
    expect(made).toBeLessThan(100 * 1024 * 1024);
  });
});

describe('stopping', () => {
  test('the reader lets go of its source when its caller leaves', async () => {
    const archive = await makeArchive(signer);
    let released = false;
    const source = async function* () {
      try {
        yield* inPieces(archive, 100);
      } finally {
        released = true;
      }
    };
    const opened = await openArchive(source(), { trust });
    for await (const _ of opened.parts) break;
    expect(released).toBe(true);
  });

  test('what the source throws comes out of the reader', async () => {
    const archive = await makeArchive(signer, { encryption: PLAIN });
    const failing = async function* () {
      yield archive.subarray(0, 900);
      throw damaged('the wire', 'it broke');
    };
    await expect(checkArchive(failing(), { trust })).rejects.toThrow('the wire');
  });

  test('a signal', async () => {
    const signal = AbortSignal.abort();
    await expect(read(await makeArchive(signer), { signal })).rejects.toMatchObject({ code: 'interrupted' });
  });
});

describe('what the writer refuses', () => {
  const cases: Readonly<Record<string, [Parameters<typeof archiveParts>[1], string]>> = {
    'a table that was not announced': [
      { parts: partsOf({ ...TABLES, more: [] }) },
      'came where those of no table',
    ],
    'a table that is missing': [
      { parts: partsOf({ users: TABLES['users']!, empty: [] }) },
      'tokens did not come',
    ],
    'tables in another order': [{ parts: partsOf({ tokens: [], users: [] }) }, 'those of users were due'],
    'a chunk with fewer rows than it says': [
      { parts: [{ kind: 'rows', table: 'users', rows: 2, bytes: Buffer.from('{}\n') }] },
      'has not its 2 rows',
    ],
    'rows that are not those counted': [
      { parts: [...partsOf(TABLES)].filter((_, index) => index !== 1) },
      'are not those that were counted',
    ],
    'two keys of one name': [
      { tail: () => ({ ...TAIL, privateKeys: [...TAIL.privateKeys, ...TAIL.privateKeys] }) },
      'two keys kid1.pem',
    ],
    'a key whose name is a path': [
      { tail: () => ({ ...TAIL, privateKeys: [{ name: '../x', text: '' }] }) },
      'cannot be the name of a key',
    ],
    'a signer with another public key': [
      { signer: { ...signer, publicKey: makeSigner().publicKey } },
      'does not sign with its public key',
    ],
  };

  test.for(Object.entries(cases))('%s', async ([, [changes, message]]) => {
    const archive = writeArchive(archiveParts(signer, changes));
    await expect(collect(archive)).rejects.toThrow(message);
    expect(() => archive.written()).toThrow(TypeError);
  });
});
