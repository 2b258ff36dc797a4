/**
 * The key store `vault_transit`: each version of a transit key is a signing key of ours, named by the thumbprint of its
 * public half. The private half never comes here.
 */
import { createPublicKey } from 'node:crypto';
import { asFailure, Failure } from '../../kernel/errors.ts';
import type { SigningKeyRecord } from '../../store/records.ts';
import type { SigningKeyStore } from '../../store/store.ts';
import type { Algorithm } from '../jwk.ts';
import { JwsSigner, parseJws, verifySignature } from '../jws.ts';
import type { KeyStore, PublicHalf } from '../stores/key-store.ts';
import { unusablePrivateHalf } from '../stores/pem-key-store.ts';
import type { VaultClient } from './client.ts';
import {
  pathOf,
  readTransitKey,
  signInTransit,
  type TransitKey,
  type TransitState,
  type TransitVersion,
  TYPES,
} from './transit-key.ts';

export interface VaultStoreParts {
  readonly client: VaultClient;
  readonly key: TransitKey;
  /** The signing keys of the database. */
  readonly rows: Pick<SigningKeyStore, 'list'>;
}

const VAULT_STORE = 'vault_transit';
const ALGORITHMS = Object.keys(TYPES) as Algorithm[];

export class VaultStore implements KeyStore {
  readonly name = VAULT_STORE;
  readonly external = true;
  readonly pems = undefined;
  readonly #parts: VaultStoreParts;

  constructor(parts: VaultStoreParts) {
    this.#parts = parts;
  }

  locate(kid: string): string {
    const { client, key } = this.#parts;
    return `the version of ${key.mount}/keys/${key.name} at ${client.address} with the thumbprint ${kid}`;
  }

  /** A new version; or one that nobody uses yet: what a start leaves that died before its row, or an operator has made. */
  async create(algorithm: Algorithm): Promise<PublicHalf> {
    const key = await this.#keyFor(algorithm);
    const before = await readTransitKey(this.#parts.client, key);
    if (before === undefined) return this.#make(key, algorithm);
    const known = new Set((await this.#parts.rows.list({})).map(({ kid }) => kid));
    const latest = before.versions.at(-1);
    if (latest !== undefined && !known.has(latest.kid)) return latest;
    await this.#parts.client.call('POST', pathOf(key, 'keys', 'rotate'), {});
    return this.#latest(key);
  }

  async inspect(kid: string): Promise<PublicHalf | undefined> {
    return this.#find(kid);
  }

  async signer(record: SigningKeyRecord): Promise<JwsSigner> {
    const found = await this.#find(record.kid);
    if (found === undefined) {
      const hint = 'Restore the transit key in Vault from a backup of Vault.';
      throw unusablePrivateHalf(record, `is missing: there is no ${this.locate(record.kid)}`, hint);
    }
    const signer = new JwsSigner(record.kid, found.algorithm, (input) =>
      signInTransit(this.#parts.client, found, input),
    );
    await this.#prove(signer, record);
    return signer;
  }

  async list(): Promise<string[]> {
    return (await this.#versions()).map(({ kid }) => kid);
  }

  /**
   * A single version cannot be deleted. Vault is told to sign with none below the oldest one that we still sign with; while
   * an older one does, this one stays able to sign, which is said.
   */
  async remove(kid: string): Promise<string> {
    const { client, rows } = this.#parts;
    const gone = await this.#find(kid);
    if (gone === undefined) return 'removed';
    const signing = new Set(
      (await rows.list({})).flatMap((row) =>
        row.kid !== kid && (row.state === 'active' || row.state === 'pending') ? [row.kid] : [],
      ),
    );
    const state = await readTransitKey(client, gone.key);
    const oldest = state?.versions.find((version) => signing.has(version.kid))?.version;
    if (state === undefined || oldest === undefined || oldest < gone.version) {
      return (
        `out of use, but Vault can still sign with it: version ${gone.version} of ${gone.key.mount}/keys/${gone.key.name}; ` +
        'a later rotation there ends that, or delete the transit key where nothing else is signed with it'
      );
    }
    if (state.minimum < oldest)
      await client.call('POST', pathOf(gone.key, 'keys', 'config'), { min_encryption_version: oldest });
    return `out of use, and Vault signs with it no more: ${this.locate(kid)}`;
  }

  /** A key that cannot sign is found at the start, and not by the first user. */
  async #prove(signer: JwsSigner, record: SigningKeyRecord): Promise<void> {
    const jws = parseJws(await signer.sign('probe', {}));
    const publicKey = createPublicKey({ key: JSON.parse(record.public_jwk_json), format: 'jwk' });
    if (jws !== undefined && (await verifySignature(jws, record.algorithm, publicKey))) return;
    const hint = 'See whether the address and the key name in the settings are the right ones.';
    throw unusablePrivateHalf(
      record,
      `signs what its public half does not verify: ${this.locate(record.kid)}`,
      hint,
    );
  }

  async #find(kid: string): Promise<TransitVersion | undefined> {
    return (await this.#versions()).find((version) => version.kid === kid);
  }

  async #versions(): Promise<TransitVersion[]> {
    const { client, key: first } = this.#parts;
    const states = this.#keys().map((key) =>
      readTransitKey(client, key).catch((error: unknown) => {
        // A policy need not name keys that are not there.
        if (key === first || asFailure(error).code !== 'configuration') throw error;
        return undefined;
      }),
    );
    return (await Promise.all(states)).flatMap((state) => state?.versions ?? []);
  }

  /** A transit key has one type for good: each algorithm but the first one has a key of its own. */
  #keys(): TransitKey[] {
    const { mount, name } = this.#parts.key;
    return [this.#parts.key, ...ALGORITHMS.map((each) => ({ mount, name: `${name}-${each.toLowerCase()}` }))];
  }

  async #keyFor(algorithm: Algorithm): Promise<TransitKey> {
    const { client, key } = this.#parts;
    const state = await readTransitKey(client, key);
    if (state === undefined || fits(state, algorithm)) return key;
    return { ...key, name: `${key.name}-${algorithm.toLowerCase()}` };
  }

  async #make(key: TransitKey, algorithm: Algorithm): Promise<PublicHalf> {
    await this.#parts.client.call('POST', pathOf(key, 'keys'), { type: TYPES[algorithm] });
    return this.#latest(key);
  }

  async #latest(key: TransitKey): Promise<PublicHalf> {
    const latest = (await readTransitKey(this.#parts.client, key))?.versions.at(-1);
    if (latest !== undefined) return latest;
    throw new Failure(
      'configuration',
      `The transit key ${key.mount}/keys/${key.name} is not one that signs tokens.`,
      {
        hint: `Name another one in signing.vault_transit.key_name, of the type ${Object.values(TYPES).join(', ')}.`,
      },
    );
  }
}

function fits({ type, versions }: TransitState, algorithm: Algorithm): boolean {
  return type === TYPES[algorithm] || versions.at(-1)?.algorithm === algorithm;
}
