import { chmod, rm, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { makeKeyPair, writePem } from './key-pair.ts';
import { Installation } from './keyring.test-kit.ts';

/** An installation with a key of each state but compromised. */
async function grown() {
  const installation = await Installation.make();
  const ring = await installation.open();
  const turn = async () => {
    const { kid, activates_at } = await ring.rotate();
    installation.clock.moveTo(Math.max(activates_at, installation.clock.now()));
    await ring.tick();
    return kid;
  };
  const { kid: retired } = await ring.sign('at+jwt', {});
  const retiring = await turn();
  installation.clock.moveTo(ring.state().keys.find(({ kid }) => kid === retired)?.retires_at ?? 0);
  const active = await turn();
  installation.clock.advance(60_000);
  await ring.tick();
  const { kid: pending } = await ring.rotate();
  return { installation, ring, retired, retiring, active, pending, keyfile: await installation.keyfile() };
}

describe('verification of the keys', () => {
  test('finds nothing where all is well, and has looked at each', async () => {
    const { installation, ring, retired, retiring, active, pending } = await grown();
    await using _installation = installation;
    const { ok, findings } = await ring.management.verify();
    expect(findings.map(({ kid, state }) => [kid, state])).toEqual([
      [active, 'active'],
      [pending, 'pending'],
      [retiring, 'retiring'],
      [retired, 'retired'],
    ]);
    expect(findings.every((finding) => finding.ok && finding.repair === null)).toBe(true);
    expect(ok).toBe(true);
  });

  test('names a private half that is missing, or another key, with what mends it', async () => {
    const { installation, ring, retiring, active, pending, keyfile } = await grown();
    await using _installation = installation;
    const other = await makeKeyPair('ES256');
    await writeFile(keyfile.locate(active), writePem(other));
    await rm(keyfile.locate(pending));
    // Nothing is signed with this one any more.
    await rm(keyfile.locate(retiring));
    const { ok, findings } = await ring.management.verify();
    expect(ok).toBe(false);
    expect(findings.filter((finding) => !finding.ok)).toMatchObject([
      {
        kid: active,
        finding: expect.stringContaining(other.kid),
        repair: expect.stringMatching(
          /keys recover --from-backup latest --recovery-key FILE; .*keys import FILE; .*recover --new$/,
        ),
      },
      {
        kid: pending,
        finding: expect.stringContaining('is missing'),
        repair: expect.stringContaining('keys retire'),
      },
    ]);
  });

  test('names a private half that others could read', async () => {
    const { installation, ring, active, keyfile } = await grown();
    await using _installation = installation;
    await chmod(keyfile.locate(active), 0o644);
    const { ok, findings } = await ring.management.verify();
    expect(ok).toBe(false);
    expect(findings[0]).toMatchObject({
      kid: active,
      finding: expect.stringContaining('0644'),
      repair: expect.stringContaining(`--compromised ${active}`),
    });
    // It has been closed again.
    expect((await ring.management.verify()).ok).toBe(true);
  });

  test('names a private half that the database does not know, and one that should be gone', async () => {
    const { installation, ring, retired, keyfile } = await grown();
    await using _installation = installation;
    const [stray, left] = [await makeKeyPair('ES256'), await makeKeyPair('ES256')];
    await keyfile.save(stray.kid, writePem(stray));
    await keyfile.save(retired, writePem(left));
    const { findings } = await ring.management.verify();
    expect(findings.filter((finding) => !finding.ok)).toMatchObject([
      { kid: retired, repair: expect.stringContaining('authserver keys retire') },
      {
        kid: stray.kid,
        state: 'unknown',
        repair: expect.stringMatching(/^move it to another folder: .*another installation/),
      },
    ]);
    // It would sign in place of the key that does, or wait for its turn to.
    expect(findings.find(({ kid }) => kid === stray.kid)?.repair).not.toContain('keys import');
    await ring.management.retire(retired);
    expect(await keyfile.list()).not.toContain(retired);
  });

  test('offers to sign with a private half that the database does not know only where no key signs', async () => {
    const { installation, active, keyfile } = await grown();
    await using _installation = installation;
    const stray = await makeKeyPair('ES256');
    await keyfile.save(stray.kid, writePem(stray));
    installation.store.rows.get(active)!.state = 'compromised';
    const ring = await installation.open({ mustSign: false });
    const { findings } = await ring.management.verify();
    expect(findings.find(({ kid }) => kid === stray.kid)?.repair).toContain(
      `where it is the key that signed here last: authserver keys import ${keyfile.locate(stray.kid)} --active-now`,
    );
  });

  test('names a public half that is another key, and a set without a key that signs', async () => {
    const { installation, retired, active } = await grown();
    await using _installation = installation;
    const rows = installation.store.rows;
    rows.get(retired)!.public_jwk_json = JSON.stringify((await makeKeyPair('ES256')).jwk);
    rows.get(active)!.state = 'retired';
    const ring = await installation.open({ mustSign: false });
    const { findings } = await ring.management.verify();
    const wrong = findings.filter((finding) => !finding.ok);
    expect(wrong.map(({ finding }) => finding)).toContain('no key is active');
    expect(wrong).toContainEqual(
      expect.objectContaining({ kid: retired, repair: 'restore the database from a backup' }),
    );
  });

  test('names what is overdue', async () => {
    const { installation, ring, pending } = await grown();
    await using _installation = installation;
    const keyfile = await installation.keyfile();
    await rm(keyfile.locate(pending));
    const restarted = await installation.open();
    installation.clock.advance(86_400_000);
    const { findings } = await restarted.management.verify();
    expect(findings.filter(({ kid }) => kid === pending)).toMatchObject([
      { ok: false, finding: expect.stringMatching(/^should sign since/) },
      { ok: false, finding: expect.stringContaining('is missing') },
    ]);
    ring.close();
  });

  test('names a waiting key that was made while the clock was ahead: it would keep others from waiting for long', async () => {
    const { installation, ring, pending } = await grown();
    await using _installation = installation;
    installation.clock.advance(-86_400_000);
    const { findings } = await ring.management.verify();
    expect(findings.filter((finding) => !finding.ok)).toMatchObject([
      {
        kid: pending,
        finding: expect.stringContaining('clock'),
        repair: expect.stringContaining('keys retire'),
      },
    ]);
  });
});
