/** Revocations as lines of JSON in a segment of their own. */
import { segmentName } from '../../archive/log/names.ts';
import { toLine } from '../../archive/signature.ts';
import { firstDigest } from '../../store/change-frame.ts';
import type { SpoolHeader } from '../../store/change-spool.ts';
import type { Revocation } from '../../store/records.ts';
import type { RevocationStore } from '../../store/store.ts';
import type { BackupIdentity } from '../backup/identity.ts';
import type { MadeSegment, SegmentMaker } from './segment-maker.ts';

const PAGE = 1000;

/** All revocations after an id, in the order of their ids. */
export async function* revocationsIn(
  store: Pick<RevocationStore, 'list'>,
  after = '',
): AsyncGenerator<readonly Revocation[], void> {
  let last = after;
  for (;;) {
    const rows = await store.list({ after: last, limit: PAGE });
    if (rows.length > 0) yield rows;
    if (rows.length < PAGE) return;
    last = rows.at(-1)?.id ?? last;
  }
}

/** The segment before the first of a chain: what the database holds now. Its number is 0. */
export async function standingRevocations(
  store: Pick<RevocationStore, 'list'>,
  {
    chain,
    deployment_id,
    restore_epoch,
    schema_version,
    begun_at,
  }: Pick<SpoolHeader, 'chain' | 'deployment_id' | 'restore_epoch' | 'schema_version' | 'begun_at'>,
  maker: SegmentMaker,
  identity: BackupIdentity,
): Promise<MadeSegment> {
  const lines: Buffer[] = [];
  let from = begun_at;
  let to = begun_at;
  for await (const rows of revocationsIn(store)) {
    for (const row of rows) {
      lines.push(toLine(row));
      from = Math.min(from, row.at);
      to = Math.max(to, row.at);
    }
  }
  const digest = firstDigest(chain).toString('hex');
  const range = { first: 0, last: 0, from, to, before: digest, after: digest };
  return maker.make(
    segmentName({ chain, first: 0, last: 0, isMerged: false }),
    { kind: 'revocations', chain, deployment_id, restore_epoch, schema_version, ...range },
    lines,
    identity,
  );
}
