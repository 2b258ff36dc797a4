import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it, test } from 'vitest';
import { TrialBrowser } from '../../src/app/trial/browser.ts';
import { CANARY, checkOldToken } from '../../src/app/trial/canary.ts';
import { makeIdentity, recipientOf } from '../../src/archive/age-keys.ts';
import { makeSigner, putTogether, takeApart } from '../../src/archive/archive.test-kit.ts';
import { CannotRead } from '../../src/archive/format.ts';
import type { ArchiveTail } from '../../src/archive/writer.ts';
import { asFailure } from '../../src/kernel/errors.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { makeKeyPair, writePem } from '../../src/keys/key-pair.ts';
import { describeEngines, inTurn } from '../setup/engines.ts';
import { Chance, ISSUER, type Sabotage, Source } from './proof-kit.ts';

const another = await makeKeyPair('ES256');

/** What is done to a backup, and what has to be said of it. */
const damage: readonly [what: string, sabotage: Sabotage, finding: RegExp][] = [
  ['a table that is missing', { without: 'consents' }, /consents is missing/],
  [
    'rows that are not what the schema holds',
    { lines: { users: (lines) => lines.map((line) => line.replace('"username"', '"name"')) } },
    /cannot be restored/,
  ],
  [
    'a row that points at none',
    {
      lines: {
        passwords: (lines) => lines.map((line) => line.replace(/"user_id":"[^"]*"/, '"user_id":"usr_gone"')),
      },
    },
    /cannot be restored/,
  ],
  [
    'a signing key that is missing',
    { tail: (tail) => ({ ...tail, privateKeys: [] }) },
    /private half of the active signing key .* is missing/,
  ],
  ['another key under the name of the first', { tail: withKey(writePem(another)) }, /is another key/],
  ['a key that is damaged', { tail: withKey('-----BEGIN PRIVATE KEY-----\nAAAA\n') }, /holds no private key/],
  [
    'a key row with the public half of another key',
    { lines: { signing_keys: (lines) => lines.map((line) => replaceJwk(line)) } },
    /public half of another key/,
  ],
  [
    'a key that its manifest does not know',
    { tail: (tail) => ({ ...tail, publicKeys: [] }) },
    /does not have the public half/,
  ],
  [
    'a key that is not active any more',
    { lines: { signing_keys: (lines) => lines.map((line) => line.replace('"active"', '"retired"')) } },
    /0 signing keys are active/,
  ],
  [
    'an audit event that was changed',
    { lines: { audit_events: (lines) => lines.map((line) => line.replace('user.created', 'user.deleted')) } },
    /audit event 2 was changed/,
  ],
  [
    'an audit event that was taken out',
    { lines: { audit_events: (lines) => lines.toSpliced(1, 1) } },
    /audit event 2 is missing/,
  ],
  [
    'audit events that were cut off',
    { lines: { audit_events: (lines) => lines.slice(0, -1) } },
    /audit chain ends with event/,
  ],
  [
    'no row at all, though the engine calls it sound',
    { lines: emptied() },
    /signing key|not say whose|audit chain|cannot be/,
  ],
  [
    'settings that cannot be read',
    { tail: (tail) => ({ ...tail, config: '{"settings":[]}\n' }) },
    /config\.json/,
  ],
  ['a token of another key', { tail: await withCanary(CANARY.typ) }, /not served/],
];

const OF_ENGINES = new Set([
  'a table that is missing',
  'rows that are not what the schema holds',
  'a row that points at none',
  'no row at all, though the engine calls it sound',
]);

describeEngines('the proof of a backup', (engine) => {
  let source: Source;
  let good: Buffer;
  beforeAll(async () => {
    source = await Source.make(engine);
    good = await source.archive();
  });
  afterAll(() => source[Symbol.asyncDispose]());

  it('passes a good one, which was restored, booted and used, and leaves nothing behind', async () => {
    const steps: string[] = [];
    const before = await source.fingerprint();
    const proof = await source.prove(good, {}, { progress: (step) => void steps.push(step) });
    expect(proof).toMatchObject({ passed: true, findings: [], notes: [] });
    expect(proof.rto_ms).toBeGreaterThan(0);
    expect(steps).toContain('letting a canary sign in');
    expect(await source.leftovers()).toEqual([]);
    expect(await source.fingerprint()).toEqual(before);
  });

  // What the rows say is judged alike on both engines; what an engine makes of them is not.
  const own = engine.name === 'sqlite' ? damage : damage.filter(([what]) => OF_ENGINES.has(what));
  it.each(own)('finds %s', async (_, sabotage, finding) => {
    const proof = await source.prove(await source.archive(sabotage));
    expect(proof.findings.join('\n')).toMatch(finding);
    expect(proof.passed).toBe(false);
    expect(await source.leftovers()).toEqual([]);
  });

  it('finds a changed byte, wherever it is', async () => {
    const file = { size: good.length, sha256: createHash('sha256').update(good).digest('hex') };
    const places = Array.from({ length: 24 }, (_, at) => Math.floor((at * good.length) / 24));
    for (const at of [...places, good.length - 1]) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ 0x01;
      expect((await source.prove(bad, { file })).passed, `byte ${at}`).toBe(false);
    }
  });

  it('finds a file that is cut, and one that goes on', async () => {
    for (const bad of [
      good.subarray(0, -1),
      good.subarray(0, good.length / 2),
      Buffer.concat([good, randomBytes(9)]),
    ])
      expect((await source.prove(bad)).findings).toHaveLength(1);
  });

  it('finds a signature that does not hold, that of somebody else, and a backup of another deployment', async () => {
    const entries = await takeApart(good);
    const signature = entries.at(-1)!;
    const forged = {
      ...signature,
      bytes: Buffer.from(signature.bytes.toString().replace(/"ed25519":"../, '"ed25519":"AA')),
    };
    const bad = await putTogether([...entries.slice(0, -1), forged]);
    expect((await source.prove(bad)).findings.join()).toMatch(/signature/);
    expect((await source.prove(good, { trust: [makeSigner().publicKey] })).findings.join()).toMatch(
      /not trusted/,
    );
    expect((await source.prove(good, { deploymentId: 'dep_other' })).findings.join()).toMatch(
      /another deployment/,
    );
    expect((await source.prove(good, { id: '00000002-20261122T000439Z-k3f9' })).findings.join()).toMatch(
      /not 00000002/,
    );
  });

  it('finds an archive whose rows are gone, though the manifest counts them, and one that lacks an entry', async () => {
    const entries = await takeApart(good);
    const without = (start: string) => putTogether(entries.filter(({ name }) => !name.startsWith(start)));
    for (const start of ['tables/', 'tables/users/', 'keys/', 'config.json', 'manifest.json', 'manifest.sig'])
      expect((await source.prove(await without(start))).findings, start).toHaveLength(1);
  });

  it('throws what says nothing about the backup: nothing here opens it, it is newer, somebody stopped it', async () => {
    const newer: Sabotage = {
      head: (head) => ({ ...head, schema: [...head.schema, { version: 99, name: 'later', checksum: 'x' }] }),
    };
    await expect(source.prove(await source.archive(newer))).rejects.toBeInstanceOf(CannotRead);
    const identity = makeIdentity(systemRandom);
    const sealed = await source.archive({}, { kind: 'age', recipients: [recipientOf(identity)] });
    await expect(source.prove(sealed)).rejects.toBeInstanceOf(CannotRead);
    const opened = await source.prove(sealed, { identities: { identities: [identity] } });
    expect(opened).toMatchObject({ passed: true, findings: [] });
    expect(await source.leftovers()).toEqual([]);
  });

  it('throws that there is no room, before anything is written', async () => {
    const tried = source.prove(good, { unpackedSize: Number.MAX_SAFE_INTEGER / 4 });
    // How much room a database server has, nobody can tell from here.
    if (engine.name === 'postgres') return expect(await tried).toMatchObject({ passed: true });
    expect(await tried.catch(asFailure)).toMatchObject({
      code: 'unavailable',
      hint: expect.stringMatching(/Make room/),
    });
    return expect(await source.leftovers()).toEqual([]);
  });

  it('can be stopped at every step, and leaves nothing behind', async () => {
    for (let last = 1; last <= 7; last += engine.name === 'sqlite' ? 1 : 3) {
      const stop = new AbortController();
      let steps = 0;
      const progress = () => {
        steps += 1;
        if (steps === last) stop.abort();
      };
      const stopped = await source.prove(good, {}, { signal: stop.signal, progress }).catch(asFailure);
      expect(stopped, `step ${last}`).toMatchObject({ code: 'interrupted' });
      expect(await source.leftovers(), `step ${last}`).toEqual([]);
    }
  });

  it('does not ask Vault for a key: it signs with one of its own, and says so', async () => {
    const inVault = (line: string) => line.replace('"keyfile"', '"vault_transit"');
    const archive = await source.archive({
      lines: { signing_keys: (lines) => lines.map(inVault) },
      tail: (tail) => ({ ...tail, privateKeys: [] }),
    });
    const asked: Socket[] = [];
    const vault = createServer((socket) => void asked.push(socket.destroy())).listen(0, '127.0.0.1');
    await once(vault, 'listening');
    const config = await source.otherwise({
      SIGNING_KEY_STORE: 'vault_transit',
      SIGNING_VAULT_TRANSIT_ADDRESS: `http://127.0.0.1:${(vault.address() as AddressInfo).port}`,
      SIGNING_VAULT_TRANSIT_TOKEN: 'a token',
    });
    const proof = await source.prove(archive, {}, { config });
    vault.close();
    expect(proof.findings).toEqual([]);
    expect(proof.notes.join()).toMatch(/kept in the key store "vault_transit"/);
    expect(asked).toEqual([]);
  });
});

describeEngines('the proof of a backup with sealed rows', (engine) => {
  const story = inTurn(engine);
  const master = randomBytes(32).toString('hex');
  let source: Source;
  beforeAll(async () => {
    source = await Source.make(engine, {
      DATA_ENCRYPTION_DRIVER: 'aes_master',
      DATA_ENCRYPTION_KEY: master,
      SIGNING_KEY_STORE: 'database',
    });
  });
  afterAll(() => source[Symbol.asyncDispose]());
  const sealed = (alter: (sealed: string) => string): Sabotage => ({
    lines: {
      private_keys: (lines) =>
        lines.map((line) =>
          line.replace(/"sealed":"([^"]*)"/, (_, text: string) => `"sealed":"${alter(text)}"`),
        ),
    },
  });

  story('opens them with the master key of the settings', async () => {
    expect(await source.prove(await source.archive())).toMatchObject({
      passed: true,
      findings: [],
      notes: [],
    });
  });

  story(
    'says that it could not open them where the master key is another one, or there is none',
    async () => {
      const archive = await source.archive();
      const [none, other] = [
        await source.otherwise({ SIGNING_KEY_STORE: 'keyfile' }),
        await source.otherwise({
          SIGNING_KEY_STORE: 'keyfile',
          DATA_ENCRYPTION_DRIVER: 'aes_master',
          DATA_ENCRYPTION_KEY: randomBytes(32).toString('hex'),
        }),
      ];
      for (const config of [none, other]) {
        const proof = await source.prove(archive, {}, { config });
        expect(proof.findings).toEqual([]);
        expect(proof.notes.join(' ')).toMatch(/master key aes_\w+, which is not here/);
      }
    },
  );

  story('finds one under a key that is lost, and one that was changed', async () => {
    const lost = await source.prove(
      await source.archive(sealed((text) => text.replace(/dk_\w+/, 'dk_lost'))),
    );
    expect(lost.findings.join()).toMatch(/needs the data key dk_lost, which is gone/);
    const changed = await source.prove(await source.archive(sealed((text) => `${text.slice(0, -4)}AAAA`)));
    expect(changed.findings.join()).toMatch(/is damaged/);
    const none = await source.prove(await source.archive(sealed(() => 'a secret in plain text')));
    expect(none.findings.join()).toMatch(/no sealed text/);
  });
});

describeEngines('good backups', (engine) => {
  // The full proof each time, which is what makes it long.
  const runs = engine.name === 'sqlite' ? 8 : 2;
  it(`never raise a false alarm (${runs} of them, while keys rotate and people come and go)`, {
    timeout: 180_000,
  }, async () => {
    await using source = await Source.make(engine);
    const chance = new Chance(20_261_122);
    for (let run = 0; run < runs; run++) {
      await source.live(chance);
      const proof = await source.prove(await source.archive());
      expect(proof, `run ${run}`).toMatchObject({ passed: true, findings: [], notes: [] });
    }
    expect(await source.leftovers()).toEqual([]);
  });
});

test('a server of a trial that says that it cannot just now says nothing about the backup', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'authserver-trial-'));
  const socket = path.join(folder, 'trial.sock');
  const full = createHttpServer((_, answer) => void answer.writeHead(503).end()).listen(socket);
  await once(full, 'listening');
  try {
    const browser = new TrialBrowser(socket, ISSUER, new AbortController().signal);
    const tried = await checkOldToken(browser, ISSUER, 'a.b.c').catch(asFailure);
    expect(tried).toMatchObject({ code: 'unavailable', message: expect.stringMatching(/answered 503/) });
  } finally {
    full.close();
    await rm(folder, { recursive: true });
  }
});

function withKey(pem: string): (tail: ArchiveTail) => ArchiveTail {
  return (tail) => ({ ...tail, privateKeys: tail.privateKeys.map(({ name }) => ({ name, text: pem })) });
}

function replaceJwk(line: string): string {
  const row = JSON.parse(line) as Record<string, unknown>;
  return JSON.stringify({ ...row, public_jwk_json: JSON.stringify(another.jwk) });
}

function emptied(): Sabotage['lines'] {
  const tables = ['users', 'passwords', 'signing_keys', 'audit_events'];
  return Object.fromEntries(tables.map((table) => [table, () => []]));
}

async function withCanary(typ: string): Promise<(tail: ArchiveTail) => ArchiveTail> {
  const { JwsSigner, localSignature } = await import('../../src/keys/jws.ts');
  const signer = new JwsSigner(another.kid, 'ES256', localSignature('ES256', another.privateKey));
  const canary = await signer.sign(typ, { aud: CANARY.aud });
  return (tail) => ({ ...tail, config: `${JSON.stringify({ ...JSON.parse(tail.config), canary })}\n` });
}
