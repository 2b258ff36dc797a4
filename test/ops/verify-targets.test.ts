import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { archiveParts, HEAD, makeSigner } from '../../src/archive/archive.test-kit.ts';
import { readHolding, recordOf, signVerification } from '../../src/archive/catalog.ts';
import { CannotRead } from '../../src/archive/format.ts';
import { Folder } from '../../src/archive/targets/folder.ts';
import type { Shelf } from '../../src/archive/targets/shelf.ts';
import { makeTarget } from '../../src/archive/targets/target.ts';
import { writeArchive } from '../../src/archive/writer.ts';
import type { AuditTrail } from '../../src/audit/trail.ts';
import { asFailure, Failure } from '../../src/kernel/errors.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import type { Prover } from '../../src/ops/backup/desk.ts';
import type { BackupPlace } from '../../src/ops/backup/place.ts';
import type { VerifiedBackup } from '../../src/ops/backup/remembered.ts';
import { learnVerified } from '../../src/ops/verify/learn.ts';
import { VerifyLedger } from '../../src/ops/verify/ledger.ts';
import { type VerifyDesk, verifyBackups } from '../../src/ops/verify/verify.ts';
import { type VerifyRequest, verifyFailure } from '../../src/ops/verify/verify-report.ts';

const DEPLOYMENT = HEAD.deploymentId;
const idOf = (sequence: number) => `${String(sequence).padStart(8, '0')}-20261122T000439Z-k3f9`;
const ALL: VerifyRequest = { which: 'all', target: null, part: null, acceptMissing: false };

/** A folder that counts what is read from it, and can go away. */
class Watched extends Folder implements Shelf {
  readonly archivesRead: string[] = [];
  isAway = false;

  override async *read(name: string, signal?: AbortSignal): AsyncGenerator<Buffer, void> {
    if (name.includes('.tar.')) this.archivesRead.push(name.slice(0, 8));
    yield* super.read(name, signal);
  }

  override async *list(after: string) {
    if (this.isAway) throw new Failure('unavailable', 'The bucket does not answer.');
    yield* super.list(after);
  }
}

describe('the verification of what lies on the targets', () => {
  const signer = makeSigner();
  let folder: string;
  let near: Watched;
  let far: Watched;
  let ledger: string | undefined;
  let receipts: Set<string>;
  let proven: string[];
  let remembered: VerifiedBackup[];

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'authserver-verify-'));
    near = new Watched({ folder: path.join(folder, 'near'), random: systemRandom });
    far = new Watched({ folder: path.join(folder, 'far'), random: systemRandom });
    [ledger, receipts, proven, remembered] = [undefined, new Set(), [], []];
  });
  afterEach(() => rm(folder, { recursive: true }));

  const place = (name: string, shelf: Shelf): BackupPlace => ({
    target: makeTarget(name, shelf),
    shelf,
    policy: { keep: {}, minimum: 1 } as BackupPlace['policy'],
  });
  const places = () => [place('near', near), place('far', far)];

  /** Reads an archive to its end, as a proof does, and lets it pass unless its bytes are wrong. */
  const prove: Prover = async ({ archive, file, id }) => {
    let size = 0;
    for await (const bytes of archive) size += bytes.length;
    proven.push(id ?? '');
    const findings = size === file?.size ? [] : ['It is cut.'];
    return { passed: findings.length === 0, findings, notes: [], rto_ms: 5 };
  };

  async function put(shelf: Shelf, sequence: number, deploymentId = DEPLOYMENT, by = signer): Promise<void> {
    const id = idOf(sequence);
    const written = writeArchive(archiveParts(by, { head: { ...HEAD, id, sequence, deploymentId } }));
    await makeTarget('any', shelf).put({
      id,
      isEncrypted: false,
      archive: written,
      record: (file) => recordOf(written.written(), file, by),
    });
  }

  const ledgerFile = {
    read: () => ledger,
    write: (text: string) => {
      ledger = text;
    },
  };

  function desk(changes: Partial<VerifyDesk> = {}): VerifyDesk {
    return {
      places: places(),
      trust: [signer.publicKey],
      deploymentId: DEPLOYMENT,
      identities: {},
      signer,
      ledger: new VerifyLedger(ledgerFile, DEPLOYMENT),
      receipts: async () => receipts,
      prove,
      remember: async (backup) => void remembered.push(backup),
      clock: { now: () => 1_800_000_000_000 },
      program: '0.1.0',
      ...changes,
    };
  }

  const verify = (request: Partial<VerifyRequest> = {}, changes: Partial<VerifyDesk> = {}) =>
    verifyBackups(
      desk(changes),
      { ...ALL, ...request },
      { progress: () => undefined, signal: new AbortController().signal },
    );

  it('restores an archive once, reads its other copies, and writes the proof beside each', async () => {
    for (const shelf of [near, far]) for (const sequence of [1, 2]) await put(shelf, sequence);
    const report = await verify();
    expect(report.backups.map(({ outcome, tried, marked }) => [outcome, tried, marked])).toEqual(
      Array.from({ length: 4 }, () => ['passed', 'restored', true]),
    );
    expect(proven).toEqual([idOf(1), idOf(2)]);
    for (const { target } of places()) {
      for await (const holding of target.list()) {
        expect(readHolding(holding, [signer.publicKey]).verification).toMatchObject({
          passed: true,
          rto_ms: 5,
        });
      }
    }
    expect(remembered.map(({ id }) => id)).toContain(idOf(2));
    expect(verifyFailure(report)).toBeUndefined();
  });

  it('takes the newest by its sequence, and one by its id', async () => {
    for (const sequence of [9, 10, 2]) await put(near, sequence);
    await put(near, 99, 'dep_other');
    await verify({ which: 'latest' });
    await verify({ which: { id: idOf(2) } });
    expect(proven).toEqual([idOf(10), idOf(2)]);
    expect(await verify({ which: { id: idOf(7) } }).catch(asFailure)).toMatchObject({ code: 'not_found' });
  });

  it('reads a part of what has passed each time, so that in so many runs everything was read once', async () => {
    for (let sequence = 1; sequence <= 9; sequence++) await put(near, sequence);
    await verify();
    near.archivesRead.length = 0;
    for (let run = 0; run < 3; run++) {
      const report = await verify({ part: 3 });
      expect(report.backups).toHaveLength(9);
      expect(near.archivesRead).toHaveLength(3 * (run + 1));
    }
    expect(new Set(near.archivesRead).size).toBe(9);
    // What has never passed does not wait for its turn.
    await put(near, 10);
    proven.length = 0;
    await verify({ part: 3 });
    expect(proven).toEqual([idOf(10)]);
  });

  it('finds a byte that has changed since a backup passed, and takes its proof away', async () => {
    for (let sequence = 1; sequence <= 4; sequence++) await put(near, sequence);
    await verify();
    await change(path.join(folder, 'near', `${idOf(3)}.tar.zst`));
    const outcomes: string[] = [];
    for (let run = 0; run < 4; run++) {
      const report = await verify({ part: 4 });
      outcomes.push(report.outcome);
      if (report.outcome === 'failed') expect(verifyFailure(report)).toMatchObject({ code: 'failed' });
    }
    // Once it is known to be bad it is looked at every time.
    expect(outcomes).toContain('failed');
    const holding = await places()[0]!.target.find(idOf(3));
    expect(readHolding(holding, [signer.publicKey]).verification).toMatchObject({ passed: false });
  });

  it('finds an archive that is gone, one that is cut, and a record that somebody else has signed', async () => {
    for (let sequence = 1; sequence <= 3; sequence++) await put(near, sequence);
    await put(near, 4, DEPLOYMENT, makeSigner());
    await rm(path.join(folder, 'near', `${idOf(1)}.tar.zst`));
    const cut = path.join(folder, 'near', `${idOf(2)}.tar.zst`);
    await writeFile(cut, (await readFile(cut)).subarray(0, -1));
    const { backups, outcome } = await verify();
    expect(outcome).toBe('failed');
    const findings = new Map(backups.map((verdict) => [verdict.id, verdict.findings.join(' ')]));
    expect(findings.get(idOf(1))).toMatch(/archive is missing/);
    expect(findings.get(idOf(2))).toMatch(/bytes instead of/);
    expect(findings.get(idOf(3))).toBe('');
    expect(findings.get(idOf(4))).toMatch(/not trusted/);
  });

  it('misses what was there and is gone, every time, until there is a receipt or somebody lets go of it', async () => {
    for (const sequence of [1, 2, 3]) await put(near, sequence);
    await verify();
    await places()[0]!.target.remove(idOf(1));
    await places()[0]!.target.remove(idOf(2));
    for (let run = 0; run < 2; run++) {
      const { missing, outcome } = await verify({ part: 7 });
      expect(missing.map(({ id, target }) => [id, target])).toEqual([
        [idOf(1), 'near'],
        [idOf(2), 'near'],
      ]);
      expect(outcome).toBe('failed');
    }
    receipts.add(`near ${idOf(1)}`);
    expect((await verify()).missing.map(({ id }) => id)).toEqual([idOf(2)]);
    expect((await verify({ acceptMissing: true })).missing).toHaveLength(1);
    expect(await verify()).toMatchObject({ missing: [], outcome: 'passed' });
  });

  it('tells of what is gone when it was all there was, and never calls an empty target proven', async () => {
    const before = ledger;
    for (const which of ['all', 'latest'] as const)
      expect(await verify({ which, part: which === 'all' ? 7 : null }).catch(asFailure)).toMatchObject({
        code: 'not_found',
        message: 'There is no backup yet.',
      });
    expect(ledger).toBe(before);
    await put(near, 1);
    await verify();
    await places()[0]!.target.remove(idOf(1));
    for (const which of ['all', 'latest', { id: idOf(1) }] as const) {
      const report = await verify({ which });
      expect(report).toMatchObject({
        outcome: 'failed',
        backups: [],
        missing: [{ id: idOf(1), target: 'near' }],
      });
      expect(verifyFailure(report)?.message).toContain(`${idOf(1)} (near) is gone`);
    }
  });

  it('keeps in mind what it has seen when somebody verifies who does not know whose backups these are', async () => {
    for (const sequence of [1, 2]) await put(near, sequence);
    await verify();
    await verify({}, { deploymentId: undefined, ledger: new VerifyLedger(ledgerFile, undefined) });
    await places()[0]!.target.remove(idOf(1));
    expect((await verify()).missing).toMatchObject([{ id: idOf(1) }]);
  });

  it('takes nothing for gone while a target does not answer, and says which', async () => {
    for (const shelf of [near, far]) await put(shelf, 1);
    await verify();
    far.isAway = true;
    const report = await verify();
    expect(report).toMatchObject({ outcome: 'not_tried', missing: [] });
    expect(report.targets.find(({ target }) => target === 'far')?.problem).toMatch(/does not answer/);
    expect(verifyFailure(report)).toMatchObject({ code: 'unavailable' });
    far.isAway = false;
    expect(await verify()).toMatchObject({ outcome: 'passed' });
  });

  it('holds the bytes to the record where nothing opens them, says so, and proves nothing by it', async () => {
    await put(near, 1);
    const cannot: Prover = async () => {
      throw new CannotRead('None of the given identities opens this archive.', {});
    };
    const { backups } = await verify({}, { prove: cannot });
    expect(backups[0]).toMatchObject({ outcome: 'passed', tried: 'bytes', marked: false });
    expect(backups[0]?.notes.join()).toMatch(/not restored/);
    expect((await readdir(path.join(folder, 'near'))).some((name) => name.includes('verified'))).toBe(false);
    // Whoever asks for one backup, with a key, wants to know that the key does not fit.
    const one = verify({ which: { id: idOf(1) } }, { prove: cannot });
    expect(await one.catch(asFailure)).toMatchObject({ code: 'refused' });
  });

  it('has a deployment learn what was verified elsewhere by signed proofs alone', async () => {
    for (const shelf of [near, far]) await put(shelf, 1);
    for (const sequence of [2, 3, 4]) await put(near, sequence);
    await put(near, 5, 'dep_other');
    await verify();
    remembered.length = 0;
    // Of 2 the archive is cut since; of 3 the proof is another's; 4 did not pass.
    const cut = path.join(folder, 'near', `${idOf(2)}.tar.zst`);
    await writeFile(cut, (await readFile(cut)).subarray(0, -1));
    const proof = { id: idOf(3), passed: true, verified_at: 1, rto_ms: 1, program: '0.1.0', findings: [] };
    const { target } = places()[0]!;
    const shaOf = async (id: string) =>
      readHolding(await target.find(id), [signer.publicKey]).record?.file.sha256 ?? '';
    const mark = async (id: string, passed: boolean, by = signer) => {
      const archive_sha256 = await shaOf(id);
      await target.mark(id, 'verified', await signVerification({ ...proof, id, passed, archive_sha256 }, by));
    };
    await mark(idOf(3), true, makeSigner());
    await mark(idOf(4), false);
    const events: string[] = [];
    const audit: Pick<AuditTrail, 'record'> = {
      record: async ({ action, detail }) =>
        void events.push(`${action} ${detail?.['id']} ${detail?.['target']}`),
    };
    const desk = {
      ...{ places: places(), trust: [signer.publicKey], deploymentId: DEPLOYMENT, audit },
      remember: async (backup: VerifiedBackup) => void remembered.push(backup),
    };
    const caller = { actor: 'admin:operator', ip: null } as const;
    const { signal } = new AbortController();
    const ids = [1, 2, 3, 4, 5, 6].map(idOf);
    expect(await learnVerified(desk, ids, signal, caller)).toEqual({
      verified: [idOf(1)],
      failed: [idOf(2), idOf(4)],
    });
    expect(remembered.map(({ id, rto_ms }) => [id, rto_ms])).toEqual([
      [idOf(1), 5],
      [idOf(1), 5],
    ]);
    expect(events).toEqual([
      `backup.verified ${idOf(1)} near`,
      `backup.failed ${idOf(2)} near`,
      `backup.failed ${idOf(4)} near`,
      `backup.verified ${idOf(1)} far`,
    ]);
    far.isAway = true;
    expect(await learnVerified(desk, ids, signal, caller).catch(asFailure)).toMatchObject({
      code: 'unavailable',
    });
  });

  it('tells the outcome without the key that signs, and writes nothing', async () => {
    await put(near, 1);
    const { backups } = await verify({}, { signer: undefined });
    expect(backups[0]).toMatchObject({ outcome: 'passed', tried: 'restored', marked: false });
    expect(backups[0]?.notes.join()).toMatch(/key that signs backups is not here/);
  });
});

async function change(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  await writeFile(`${file}.new`, bytes);
  await rename(`${file}.new`, file);
}
