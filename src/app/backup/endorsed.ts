/** Whom the notes beside the backups lead to, from those who are trusted anyway. */
import { trustFrom } from '../../archive/endorsement.ts';
import type { Trust } from '../../archive/signature.ts';
import { systemClock } from '../../kernel/clock.ts';
import type { Config } from '../config.ts';
import { openPlaces } from './places.ts';

/** How long all targets together may take, ms: a restore from a file must not wait for a bucket that is gone. */
const PATIENCE = 10_000;

/** A target that does not answer leads to nobody. @param deploymentId as the recovery sheet says */
export async function withEndorsed(
  config: Pick<Config, 'backup'>,
  trust: Trust,
  deploymentId: string | undefined,
): Promise<Trust> {
  if (trust.length === 0) return trust;
  const places = await openPlaces(config, systemClock).catch(() => []);
  const signal = AbortSignal.timeout(PATIENCE);
  const found = await Promise.all(
    places.map(({ shelf }) => trustFrom(shelf, trust, { deploymentId, signal }).catch(() => [])),
  );
  return [...new Set([...trust, ...found.flat()])];
}
