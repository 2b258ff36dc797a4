import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../kernel/errors.ts';
import type { SigningKeyRecord } from '../store/records.ts';
import type { SigningKeyStore } from '../store/store.ts';
import type { Algorithm } from './jwk.ts';
import type { KeyStore, PublicHalf } from './stores/key-store.ts';

export interface FirstKeyParts {
  readonly store: SigningKeyStore;
  readonly keyStore: KeyStore;
  readonly algorithm: Algorithm;
  readonly now: number;
  /** Whether nothing was ever kept in this database. */
  readonly installationIsNew: boolean;
}

/**
 * Gives a database without any key its first one, active at once: nobody can have cached a JWK set. It is made only for
 * a new installation, and never next to key files, because those say that a database is missing. A lone key file is taken
 * over instead: it is what a first start leaves that died before its database row, and keys that exist must not be replaced.
 *
 * @returns the id of the first key when it was added here, undefined when another process was first
 * Failures: `configuration` when the database has been in use, or holds fewer keys than the key store.
 */
export async function addFirstKey(parts: FirstKeyParts): Promise<string | undefined> {
  const { store, keyStore, now } = parts;
  const first = await findOrMake(parts).catch(async (error: unknown) => {
    if (await anotherWasFirst(store)) return undefined;
    throw error;
  });
  if (first === undefined) return undefined;
  const { pair, found } = first;
  const { outcome } = await store.addFirst({ key: newRecord(pair, keyStore, { now, activatesAt: now }) });
  if (outcome === 'added') return pair.kid;
  // What was there before is not ours to remove: it may be the only copy of a key.
  if (!found) await discardUnpublished(store, keyStore, pair.kid);
  return undefined;
}

async function findOrMake({
  keyStore,
  algorithm,
  installationIsNew,
}: FirstKeyParts): Promise<{ pair: PublicHalf; found: boolean }> {
  const make = async () => ({ pair: await keyStore.create(algorithm), found: false });
  if (installationIsNew && keyStore.external) return make();
  const kept = await keyStore.list();
  if (!installationIsNew || kept.length > 1) throw keysAreGone(keyStore, kept);
  const pair = kept[0] === undefined ? undefined : await keyStore.inspect(kept[0]);
  return pair === undefined ? make() : { pair, found: true };
}

/** Tells processes that start together for the first time, and see each other's files, from a database that is missing. */
async function anotherWasFirst(store: SigningKeyStore): Promise<boolean> {
  for (let attempt = 0; attempt < 20; attempt++) {
    if ((await store.list({})).length > 0) return true;
    await sleep(100);
  }
  return false;
}

/** The row of a key that was made now: active when it signs from now on, pending otherwise. */
export function newRecord(
  pair: PublicHalf,
  keyStore: KeyStore,
  times: { now: number; activatesAt: number },
): SigningKeyRecord {
  const signsAlready = times.activatesAt <= times.now;
  return {
    kid: pair.kid,
    algorithm: pair.algorithm,
    state: signsAlready ? 'active' : 'pending',
    public_jwk_json: JSON.stringify(pair.jwk),
    key_store: keyStore.name,
    created_at: times.now,
    activates_at: times.activatesAt,
    activated_at: signsAlready ? times.now : null,
    retires_at: null,
    retired_at: null,
  };
}

/** Removes a private half that lost a race, unless another process has published the very same key. */
export async function discardUnpublished(
  store: SigningKeyStore,
  keyStore: KeyStore,
  kid: string,
): Promise<void> {
  const published = await store.list({});
  if (published.some((key) => key.kid === kid)) return;
  await keyStore.remove(kid);
}

function keysAreGone(keyStore: KeyStore, kept: readonly string[]): Failure {
  const found =
    kept.length === 0
      ? 'nor does the key store'
      : `but there are ${kept.map((kid) => keyStore.locate(kid)).join(', ')}`;
  return new Failure(
    'configuration',
    `The database holds no signing key, ${found}, and this is not a new installation.`,
    {
      hint: 'Make sure that the settings name the right database and state directory, or restore both from one backup. No key is made. To sign with a key at hand: `authserver keys import FILE --active-now`. With none: `authserver keys recover --new`.',
    },
  );
}
