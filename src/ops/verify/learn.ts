/** What came of verifications elsewhere, by the signed proofs that they have left beside the backups. */
import type { CatalogEntry } from '../../archive/catalog.ts';
import type { Trust } from '../../archive/signature.ts';
import type { AuditTrail } from '../../audit/trail.ts';
import { Failure } from '../../kernel/errors.ts';
import { readCatalogs } from '../backup/catalog.ts';
import type { BackupCaller } from '../backup/desk.ts';
import type { BackupPlace } from '../backup/place.ts';
import type { VerifiedBackup } from '../backup/remembered.ts';
import type { LearnReport } from './verify-report.ts';

interface LearnDesk {
  readonly places: readonly BackupPlace[];
  readonly trust: Trust;
  readonly deploymentId: string;
  readonly audit: Pick<AuditTrail, 'record'>;
  remember(backup: VerifiedBackup): Promise<void>;
}

/** Failures: `unavailable` when a target does not answer; `interrupted`. */
export async function learnVerified(
  { places, trust, deploymentId, audit, remember }: LearnDesk,
  ids: readonly string[],
  signal: AbortSignal,
  caller: BackupCaller,
): Promise<LearnReport> {
  const catalogs = await readCatalogs(places, trust, { signal });
  const silent = catalogs.find(({ problem }) => problem !== null)?.problem;
  if (typeof silent === 'string') throw new Failure('unavailable', silent);
  const wanted = new Set(ids);
  const [verified, failed] = [new Set<string>(), new Set<string>()];
  for (const entry of catalogs.flatMap(({ entries }) => entries)) {
    const { id, target, record, verification } = entry;
    if (!wanted.has(id) || record?.deployment_id !== deploymentId || !verification) continue;
    const { verified_at: at, rto_ms, findings } = verification;
    const detail = { id, target, tried: 'restored', at, rto_ms, findings };
    if (!hasPassed(entry)) {
      failed.add(id);
      await audit.record({ action: 'backup.failed', ...caller, detail });
      continue;
    }
    verified.add(id);
    const { made_at, rows, file } = record;
    await remember({ id, at, made_at, rto_ms, rows, size: file.size });
    await audit.record({ action: 'backup.verified', ...caller, detail });
  }
  return { verified: [...verified], failed: [...failed] };
}

function hasPassed({ verification, faults }: CatalogEntry): boolean {
  return verification?.passed === true && faults.length === 0;
}
