/** Whom the notes beside the backups lead to, from those who are trusted anyway. */
import { trustFrom } from '../../archive/endorsement.ts';
import type { Trust } from '../../archive/signature.ts';
import { systemClock } from '../../kernel/clock.ts';
import type { Config } from '../config.ts';
import { openPlaces } from './places.ts';

/** How long all targets together may take, ms: a restore from a file must not wait for a bucket that is gone. */
const PATIENCE = 10_000;

/** Where trust begins, and where it ends. */
export interface Believed {
  readonly trust: Trust;
  /** Who was taken out stays out, whoever vouches for them. */
  readonly distrusted: Trust;
}

/** A target that does not answer leads to nobody. @param deploymentId as the recovery sheet says */
export async function withEndorsed(
  config: Pick<Config, 'backup'>,
  { trust, distrusted }: Believed,
  deploymentId: string | undefined,
): Promise<Trust> {
  const first = trust.filter((key) => !distrusted.includes(key));
  if (first.length === 0) return [];
  const places = await openPlaces(config, systemClock).catch(() => []);
  const reading = { deploymentId, distrusted, signal: AbortSignal.timeout(PATIENCE) };
  const found = await Promise.all(
    places.map(({ shelf }) => trustFrom(shelf, first, reading).catch(() => [])),
  );
  return [...new Set([...first, ...found.flat()])];
}
