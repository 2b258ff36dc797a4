/** Private keys out of a backup: the way back from lost key files, which changes nothing else. */
import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';
import type { Random } from '../../kernel/random.ts';
import type { SigningKeyRecord } from '../../store/records.ts';
import type { Store } from '../../store/store.ts';
import { openRooms } from '../compose.ts';
import type { Config } from '../config.ts';
import { openBackup } from '../reinstate/open-backup.ts';
import { SIGNING_KEY_FILE } from './signing-key.ts';

const KEY_FILE = /^([A-Za-z0-9_-]{1,128})\.pem$/;

export interface KeysWish {
  /** An id, the path of an archive, or `latest` for the newest that was proven. */
  readonly backup: string;
  readonly recoveryKeyFile: string | undefined;
}

/** The private keys of a key store of files that a backup holds, by id: PKCS #8. Failures: those of `openBackup`. */
export async function privateKeysIn(
  config: Config,
  wish: KeysWish,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const request = { ...wish, target: undefined, passphraseFile: undefined, trust: [] };
  await using archive = await openBackup(config, request, signal);
  const found = new Map<string, string>();
  for await (const part of archive.parts) {
    if (part.kind !== 'key' || part.name === SIGNING_KEY_FILE) continue;
    const kid = KEY_FILE.exec(part.name)?.[1];
    if (kid !== undefined) found.set(kid, part.text);
  }
  // Nothing of it is believed before the end has been read.
  archive.manifest();
  return found;
}

/**
 * Puts back what the database still has use for, as `keys import` does; the ids. The store is closed.
 * Failures besides: `not_found` when the backup has none of them.
 */
export async function putBackKeys(
  config: Config,
  store: Store,
  wish: KeysWish,
  parts: { readonly clock: Clock; readonly random: Random; readonly log: Log; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const { clock, random, log, signal } = parts;
  const rooms = await openRooms(config, store, log, { clock, random, mustSign: false });
  try {
    const held = await privateKeysIn(config, wish, signal);
    const back: string[] = [];
    for (const { kid } of (await store.keys.list({})).filter(isOfUse)) {
      const key = held.get(kid);
      if (key === undefined) continue;
      await rooms.keyring.management.import({ key, activeNow: false });
      back.push(kid);
    }
    if (back.length > 0) return back;
    throw new Failure('not_found', `The backup ${wish.backup} holds none of the private keys.`, {
      hint: 'See `authserver keys verify` for the keys that are missing, and `authserver backup list` for other backups.',
    });
  } finally {
    await rooms.close();
  }
}

/** What is out of use does not come back. */
export function isOfUse({ state, key_store }: Pick<SigningKeyRecord, 'state' | 'key_store'>): boolean {
  return key_store === 'keyfile' && (state === 'active' || state === 'pending' || state === 'retiring');
}
