/** The deliberate way on when no key can sign any more: a new key, beside the public halves of the lost one. */
import { Failure } from '../kernel/errors.ts';
import type { SigningKeyRecord } from '../store/records.ts';
import { type KeyDesk, records, replaceActive, type Succession, strayKeys, untilSettled } from './desk.ts';
import { refuseUnanswered } from './key-view.ts';

export interface RecoveryReport {
  /** The key that signs now. */
  readonly successor: Succession;
  /** The key whose private half is lost; null where the database held none. */
  readonly lost: string | null;
  /** ms, until when tokens of the lost key verify. */
  readonly verifies_until: number | null;
  /** A waiting key that was lost too, and has been withdrawn. */
  readonly withdrawn: readonly string[];
  /** How long, ms, verifiers that have cached the JWK set may refuse what the new key signs. */
  readonly jwks_max_age: number;
}

/**
 * Makes a key that signs at once. Failures: `refused` while a key can sign, or while private halves lie here that the
 * database does not know; `unavailable` while a key store does not answer; `conflict`.
 */
export async function recover(desk: KeyDesk): Promise<RecoveryReport> {
  await desk.refresh();
  await refuseNeedless(desk);
  const withdrawn = await withdrawLost(desk);
  const { successor, lost } = await untilSettled(desk, async () => {
    await refuseNeedless(desk);
    const active = records(desk).find(({ state }) => state === 'active');
    const succession = await replaceActive(desk, active, 'retiring');
    return succession && { successor: succession, lost: active };
  });
  const now = lost && desk.view().keys.get(lost.kid)?.record;
  return {
    successor,
    lost: lost?.kid ?? null,
    verifies_until: now?.retires_at ?? null,
    withdrawn,
    jwks_max_age: desk.parts.timing.jwksMaxAge,
  };
}

async function refuseNeedless(desk: KeyDesk): Promise<void> {
  const { signer } = desk.view();
  if (signer !== undefined) {
    throw new Failure('refused', `No key is lost that signs: ${signer.kid} does.`, {
      hint: 'For another key use authserver keys rotate. A waiting key that is lost is withdrawn by authserver keys retire.',
    });
  }
  refuseUnanswered(desk.view());
  const stray = await strayKeys(desk);
  if (stray.length === 0) return;
  const places = stray.map(({ place }) => place);
  throw new Failure(
    'refused',
    `There are private keys that the database does not know, and one of them may be the lost one: ${places.join(', ')}.`,
    {
      hint: `Where one of them is the key that signed here last: ${importCommand(places[0] ?? '')}. Those of another installation are moved to another folder, and so are all to go on without them.`,
    },
  );
}

/** The way on where a key is lost for good. */
export const RECOVER_NEW = 'authserver keys recover --new';

/** How private keys that were kept as files come back; what else a backup holds stays there. */
export const FROM_BACKUP = 'authserver keys recover --from-backup latest --recovery-key FILE';

/** How a private key that is at hand is brought back into use. */
export function importCommand(place: string): string {
  return `authserver keys import ${place} --active-now`;
}

/** A waiting key that can never sign must not keep others from waiting. */
async function withdrawLost(desk: KeyDesk): Promise<readonly string[]> {
  const { store, clock } = desk.parts;
  const isLost = ({ state, kid }: SigningKeyRecord) => state === 'pending' && !desk.view().signers.has(kid);
  const withdrawn: string[] = [];
  for (const { kid } of records(desk).filter(isLost)) {
    const { outcome } = await store.retire({ kid, from: 'pending', now: clock.now() });
    if (outcome === 'retired') withdrawn.push(kid);
  }
  return withdrawn;
}
