import { hash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { archiveParts, collect, HEAD, MADE_AT, makeSigner } from './archive.test-kit.ts';
import { isBackupId, makeBackupId } from './backup-id.ts';
import { nextSequence, readHolding, recordOf, retentionItem, signPin, signVerification } from './catalog.ts';
import { signLine } from './signature.ts';
import type { ArchiveFile, Holding } from './targets/target.ts';
import { writeArchive } from './writer.ts';

const signer = makeSigner();
const stranger = makeSigner();
const trust = [signer.publicKey];

async function hold(
  changes: Partial<Holding> = {},
  recipients = ['age1qqqq'],
): Promise<Holding & { file: ArchiveFile }> {
  const archive = writeArchive(archiveParts(signer));
  const bytes = await collect(archive);
  const file = { name: `${HEAD.id}.tar.zst`, size: bytes.length, sha256: hash('sha256', bytes, 'hex') };
  const written = archive.written();
  const encryption = { kind: 'age' as const, recipients };
  const record = await recordOf({ ...written, manifest: { ...written.manifest, encryption } }, file, signer);
  const none = { verified: undefined, pinned: undefined };
  return { target: 'local', id: HEAD.id, record, archive: file, ...none, file, ...changes };
}

function proof(sha256: string, passed = true) {
  const findings = passed ? [] : ['table users has 2 rows instead of 3'];
  return {
    id: HEAD.id,
    archive_sha256: sha256,
    passed,
    verified_at: MADE_AT + 9,
    rto_ms: 1234,
    program: '0.1.0',
    findings,
  };
}

describe('what a listing shows', () => {
  test('without any key to open the archive', async () => {
    const { file, ...holding } = await hold();
    const entry = readHolding(holding, trust);
    expect(entry).toMatchObject({ faults: [], doubts: [], verification: undefined, pin: undefined });
    expect(entry.record).toEqual({
      type: 'authserver.backup',
      format: 1,
      id: HEAD.id,
      sequence: 42,
      deployment_id: 'dep_1',
      restore_epoch: 3,
      program: '0.1.0',
      made_at: MADE_AT,
      recovery_point: { from: MADE_AT, to: MADE_AT + 5 },
      schema_version: 1,
      rows: 4,
      tags: ['nightly'],
      encryption: { kind: 'age', recipients: ['age1qqqq'] },
      file,
      unpacked_size: expect.any(Number),
      manifest_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(retentionItem(entry)).toEqual({
      id: HEAD.id,
      sequence: 42,
      deploymentId: 'dep_1',
      madeAt: MADE_AT,
      state: 'unverified',
      isPinned: false,
    });
  });

  test('a proof of verification and a pin', async () => {
    const { file, ...holding } = await hold();
    const verified = await signVerification(proof(file.sha256), signer);
    const pin = { id: HEAD.id, pinned: true, at: MADE_AT, reason: 'before the migration' };
    const pinned = await signPin(pin, signer);
    const entry = readHolding({ ...holding, verified, pinned }, trust);
    expect(entry.verification).toMatchObject({ passed: true, rto_ms: 1234 });
    expect(retentionItem(entry)).toMatchObject({ state: 'verified', isPinned: true });
    const unpinned = await signPin({ ...pin, pinned: false }, signer);
    expect(retentionItem(readHolding({ ...holding, pinned: unpinned }, trust))).toMatchObject({
      isPinned: false,
    });
    const failed = await signVerification(proof(file.sha256, false), signer);
    expect(retentionItem(readHolding({ ...holding, verified: failed }, trust))).toMatchObject({
      state: 'failed',
    });
  });
});

describe('what cannot be believed counts for nothing', () => {
  test('a record of a stranger, a changed one, one of another backup, one of a newer format', async () => {
    const { file: _, ...holding } = await hold();
    const records: [Buffer, RegExp][] = [
      [await signLine(stranger, { anything: true }), /a key that is not trusted here/],
      [Buffer.from(String(holding.record).replace(':42,', ':43,')), /not signed, or was changed/],
      [Buffer.from('x'), /not signed, or was changed/],
      [Buffer.alloc(0), /not signed, or was changed/],
      [
        await signLine(signer, { type: 'authserver.backup', format: 2, program: '9' }),
        /format 2; this version reads up to 1/,
      ],
      [await signLine(signer, { type: 'authserver.pin', format: 1 }), /damaged at its record/],
    ];
    for (const [record, fault] of records) {
      const entry = readHolding({ ...holding, record }, trust);
      expect(entry.faults).toEqual([expect.stringMatching(fault)]);
      expect(retentionItem(entry)).toBeUndefined();
    }
    expect(readHolding({ ...holding, id: 'other' }, trust).faults).toEqual([
      `its record is that of backup ${HEAD.id}`,
    ]);
  });

  test('marks of strangers and of other archives neither prove a backup nor spoil it', async () => {
    const { file, ...holding } = await hold();
    const marks = [
      await signVerification(proof(file.sha256, false), stranger),
      await signVerification(proof('0'.repeat(64)), signer),
      await signVerification({ ...proof(file.sha256), id: 'other' }, signer),
      Buffer.from('{"passed":true}\n'),
    ];
    for (const mark of marks) {
      const entry = readHolding({ ...holding, verified: mark, pinned: mark }, trust);
      expect(entry).toMatchObject({ faults: [], verification: undefined, pin: undefined });
      expect(entry.doubts.length).toBeGreaterThan(0);
      expect(retentionItem(entry)).toMatchObject({ state: 'unverified', isPinned: false });
    }
  });

  test('an archive that is gone, longer or renamed fails, whatever was proven before', async () => {
    const { file, ...holding } = await hold();
    const verified = await signVerification(proof(file.sha256), signer);
    const archives: [Holding['archive'], RegExp][] = [
      [undefined, /its archive is missing/],
      [{ ...file, size: file.size + 1 }, /bytes instead of/],
      [{ ...file, name: 'x.tar.zst.age' }, /is called x.tar.zst.age/],
    ];
    for (const [archive, fault] of archives) {
      const entry = readHolding({ ...holding, verified, archive }, trust);
      expect(entry.faults).toEqual([expect.stringMatching(fault)]);
      expect(retentionItem(entry)).toMatchObject({ state: 'failed' });
    }
  });
});

describe('sequences and ids', () => {
  test('the next sequence is beyond all that a target shows or the deployment remembers', async () => {
    const { file: _, ...holding } = await hold();
    const entries = [readHolding(holding, trust)];
    expect(nextSequence([], 'dep_1', 0)).toBe(1);
    expect(nextSequence(entries, 'dep_1', 7)).toBe(43);
    expect(nextSequence(entries, 'dep_1', 50)).toBe(51);
    expect(nextSequence(entries, 'dep_2', 0)).toBe(1);
  });

  test('ids sort by sequence, not by time', () => {
    const random = { bytes: (length: number) => Buffer.alloc(length, 3) };
    expect(makeBackupId(42, MADE_AT, random)).toBe('00000042-20261122T000439Z-dddd');
    const ids = [9, 10, 11, 100].map((sequence) => makeBackupId(sequence, MADE_AT - sequence * 1e9, random));
    expect(ids.toSorted()).toEqual(ids);
    expect(ids.every(isBackupId)).toBe(true);
    for (const other of ['', '42', '../00000042-20261122T000439Z-dddd', `${ids[0]}.x`])
      expect(isBackupId(other)).toBe(false);
    for (const sequence of [0, -1, 1.5, 1e9])
      expect(() => makeBackupId(sequence, MADE_AT, random)).toThrow(RangeError);
  });
});
