/** Private halves that no key needs any more are removed: what is not there cannot be stolen. */
import { asFailure } from '../kernel/errors.ts';
import type { SigningKeyRecord } from '../store/records.ts';
import { type KeyDesk, records, storeOf } from './desk.ts';
import { retirementMargin } from './lifecycle.ts';

/** Whether a key will never sign again, on whichever server. */
export function isSpent({ parts }: KeyDesk, key: SigningKeyRecord): boolean {
  if (key.state === 'compromised') return true;
  if (key.state !== 'retired') return false;
  const stopped = key.activated_at === null ? 0 : (key.retired_at ?? 0) + retirementMargin(parts.timing);
  return stopped <= parts.clock.now();
}

/**
 * Removes the private halves of spent keys. Each key is tried once by a process (`tried`): one that cannot be removed is
 * logged, and named by `verify`.
 */
export async function clearSpent(desk: KeyDesk, tried: Set<string>): Promise<void> {
  const spent = records(desk).filter((key) => !tried.has(key.kid) && isSpent(desk, key));
  for (const [name, keys] of Map.groupBy(spent, ({ key_store }) => key_store)) {
    for (const { kid } of keys) tried.add(kid);
    try {
      const keyStore = await desk.parts.keyStores.named(name);
      const kept = new Set(await keyStore?.list());
      const left = keys.filter(({ kid }) => kept.has(kid));
      // Elsewhere they stay listed for ever; the last one takes those before it along.
      const last = left.toSorted((a, b) => (a.retired_at ?? 0) - (b.retired_at ?? 0)).slice(-1);
      for (const key of keyStore?.external ? last : left) await clear(desk, key);
    } catch (error) {
      const { message, hint } = asFailure(error);
      desk.parts.log.warn({ store: name, hint }, `cannot look for private keys to remove: ${message}`);
    }
  }
}

async function clear(desk: KeyDesk, key: SigningKeyRecord): Promise<void> {
  const { kid } = key;
  const outcome = await removePrivateHalf(desk, key);
  const { log } = desk.parts;
  if (outcome === 'removed')
    log.info({ kid }, 'removed the private half of a signing key that is out of use');
  else log.warn({ kid }, `the private half of a signing key is not needed any more: ${outcome}`);
}

/** As `KeyStore.remove`, or why it could not be. */
export async function removePrivateHalf(desk: KeyDesk, record: SigningKeyRecord): Promise<string> {
  try {
    const keyStore = await storeOf(desk, record);
    if (keyStore === undefined)
      return `the key store "${record.key_store}" is not open here; remove it there by hand`;
    return await keyStore.remove(record.kid);
  } catch (error) {
    const { message, hint = '' } = asFailure(error);
    return `${message} ${hint}`.trim();
  }
}
