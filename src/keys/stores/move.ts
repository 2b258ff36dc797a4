/**
 * Moves private halves from one key store to another while they sign. A private half is copied, proven where it came to,
 * noted in the database, and only then removed where it was: at every moment it is where its row says.
 */
import { createPublicKey } from 'node:crypto';
import { Failure } from '../../kernel/errors.ts';
import type { Watch } from '../../kernel/watch.ts';
import type { SigningKeyRecord } from '../../store/records.ts';
import type { PrivateKeyStore, SigningKeyStore } from '../../store/store.ts';
import { parseJws, verifySignature } from '../jws.ts';
import type { KeyStore, KeyStores, PemStore } from './key-store.ts';

export interface MoveParts {
  readonly keys: Pick<SigningKeyStore, 'list'>;
  readonly privateKeys: Pick<PrivateKeyStore, 'relocate'>;
  readonly keyStores: Pick<KeyStores, 'named'>;
  /** Told of each key as soon as it is moved: a run may be cut off. */
  readonly onMoved?: (move: MovedKey) => Promise<void>;
}

export interface MovedKey {
  readonly kid: string;
  readonly from: string;
}

export interface MoveProgress {
  readonly done: number;
  readonly total: number;
}

export interface MoveReport {
  readonly to: string;
  readonly moved: readonly MovedKey[];
  /** Keys that were there already. */
  readonly kept: number;
  /** Keys that sign no more and whose private half is nowhere; their rows were left alone. */
  readonly without_private_half: readonly string[];
  /** Copies that an earlier run had left behind, and that are gone now. */
  readonly cleared: readonly { readonly kid: string; readonly place: string }[];
}

/** Stores whose keys can be moved: the private half is a text there. */
const MOVABLE = ['keyfile', 'database', 'env'];

/**
 * Failures: `configuration` when a private half is missing or the store cannot be opened, `refused` when one of the stores
 * gives nothing away or takes nothing in, `interrupted` between two keys. What was moved until then stays moved.
 */
export async function moveKeys(
  parts: MoveParts,
  to: string,
  watch: Watch<MoveProgress>,
): Promise<MoveReport> {
  const rows = await parts.keys.list({});
  const due = rows.filter((row) => row.key_store !== to && row.state !== 'compromised');
  // Whatever cannot be done at all is said before anything is.
  for (const name of new Set(due.map(({ key_store }) => key_store))) await openMovable(parts, name);
  const target = await openMovable(parts, to);
  const moved: MovedKey[] = [];
  const missing: string[] = [];
  for (const [index, row] of due.entries()) {
    if (watch.signal.aborted) throw stopped();
    const from = await openMovable(parts, row.key_store);
    if (await moveOne(parts, row, from, target)) {
      const move = { kid: row.kid, from: from.name };
      moved.push(move);
      await parts.onMoved?.(move);
    } else missing.push(row.kid);
    watch.progress({ done: index + 1, total: due.length });
  }
  const cleared = await clearCopies(parts, target);
  return {
    to,
    moved,
    kept: rows.filter((row) => row.key_store === to).length,
    without_private_half: missing,
    cleared,
  };
}

/** A store with the texts in it. */
type Movable = KeyStore & { readonly pems: PemStore };

async function openMovable({ keyStores }: MoveParts, name: string): Promise<Movable> {
  const store = await keyStores.named(name);
  if (store === undefined) {
    throw new Failure('configuration', `The settings do not say how to open the key store "${name}".`, {
      hint:
        name === 'env'
          ? 'Set AUTHSERVER_SIGNING_KEY to the key that signs, start the server again, and repeat this.'
          : 'See docs/configuration.md, "signing".',
    });
  }
  if (isMovable(store)) return store;
  throw new Failure('refused', `Private keys neither leave the key store "${name}" nor come into it.`, {
    hint: 'Set signing.key_store to where new keys are to be, start the server again, and run `authserver keys rotate`: the new key is made there, and the former one goes on verifying.',
  });
}

function isMovable(store: KeyStore): store is Movable {
  return store.pems !== undefined;
}

/** False when a key that signs no more has no private half: there is nothing to move. */
async function moveOne(
  parts: MoveParts,
  row: SigningKeyRecord,
  from: Movable,
  to: Movable,
): Promise<boolean> {
  const signs = row.state === 'active' || row.state === 'pending';
  if (signs) await prove(row, from);
  const pem = await from.pems.load(row.kid);
  if (pem === undefined) return false;
  await to.pems.save(row.kid, pem);
  await prove(row, to);
  const { outcome } = await parts.privateKeys.relocate({ kid: row.kid, from: from.name, to: to.name });
  // Whoever was first has removed what is there to remove, or will.
  if (outcome === 'relocated') await from.pems.remove(row.kid);
  return true;
}

/** Signs with the private half that is kept there, and verifies with the public half of the database. */
async function prove(row: SigningKeyRecord, store: KeyStore): Promise<void> {
  const signer = await store.signer(row);
  const jws = parseJws(await signer.sign('probe', {}));
  const publicKey = createPublicKey({ key: JSON.parse(row.public_jwk_json), format: 'jwk' });
  if (jws !== undefined && (await verifySignature(jws, row.algorithm, publicKey))) return;
  throw new Failure('configuration', `${store.locate(row.kid)} does not sign for the key ${row.kid}.`, {
    hint: 'Nothing was removed; the key is still where it was.',
  });
}

/** Removes what a run that was killed has left where keys were: copies of keys that are proven to be in the target. */
async function clearCopies(parts: MoveParts, target: Movable): Promise<{ kid: string; place: string }[]> {
  const cleared: { kid: string; place: string }[] = [];
  for (const { row, store } of await strayCopies(parts)) {
    if (row.key_store !== target.name) continue;
    await prove(row, target);
    await store.remove(row.kid);
    cleared.push({ kid: row.kid, place: store.locate(row.kid) });
  }
  return cleared;
}

export interface StrayCopy {
  readonly row: SigningKeyRecord;
  /** Where the copy is; its row names another store. */
  readonly store: KeyStore;
}

/** Private halves that are where their row does not say, in stores that can be opened. The environment is not looked at. */
export async function strayCopies({
  keys,
  keyStores,
}: Pick<MoveParts, 'keys' | 'keyStores'>): Promise<StrayCopy[]> {
  const rows = new Map((await keys.list({})).map((row) => [row.kid, row]));
  const found: StrayCopy[] = [];
  for (const name of MOVABLE.filter((each) => each !== 'env')) {
    // Of a store that cannot be opened nothing can be said.
    const store = await keyStores.named(name).catch(() => undefined);
    for (const kid of (await store?.list()) ?? []) {
      const row = rows.get(kid);
      if (store !== undefined && row !== undefined && row.key_store !== name) found.push({ row, store });
    }
  }
  return found;
}

function stopped(): Failure {
  return new Failure('interrupted', 'Stopped between two keys.', {
    hint: 'Run the command again: it goes on where it was.',
  });
}
