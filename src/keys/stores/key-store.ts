import type { SigningKeyRecord } from '../../store/records.ts';
import type { Algorithm, PublicJwk } from '../jwk.ts';
import type { JwsSigner } from '../jws.ts';

/** What may be known of a key. */
export interface PublicHalf {
  readonly kid: string;
  readonly algorithm: Algorithm;
  readonly jwk: PublicJwk;
}

/** Where the private halves of signing keys are kept. Public halves and states are in the database. */
export interface KeyStore {
  /** As the database names it with each key that is kept here. */
  readonly name: string;
  /**
   * The operator keeps the private halves elsewhere: those that the database does not know wait for `create` to take them up,
   * and what is removed here is only out of use.
   */
  readonly external?: true;
  /** Where an operator finds (or should put) the private half of a key. */
  locate(kid: string): string;
  /** Makes a key; when the promise resolves, its private half survives a crash. */
  create(algorithm: Algorithm): Promise<PublicHalf>;
  /**
   * What is kept under this id, told from the private half itself; undefined when there is nothing.
   * Failures: `configuration` when it is there and is not what its name says.
   */
  inspect(kid: string): Promise<PublicHalf | undefined>;
  /**
   * A signer for a key of the database.
   * Failures: `configuration` when its private half is missing, unreadable or another key's; named, with the next step.
   */
  signer(record: SigningKeyRecord): Promise<JwsSigner>;
  /** Ids of all private halves kept here. */
  list(): Promise<string[]>;
  /** Removes a private half: `removed`, also where there was none; otherwise what has become of it, and what is left to do. */
  remove(kid: string): Promise<string>;
  /** How others on this machine could read a private half; undefined when they cannot. For stores that can tell. */
  exposure?(kid: string): Promise<string | undefined>;
  /** The private halves as texts, for stores that give them away and take them in. */
  readonly pems: PemStore | undefined;
}

/** Keeps private halves as PKCS #8 PEM texts. */
export interface PemStore {
  readonly name: string;
  /** Where an operator finds (or should put) the private half of a key. */
  locate(kid: string): string;
  /** What an operator does when it is missing or wrong there. */
  remedy(kid: string): string;
  /** Keeps a private half; when the promise resolves, it survives a crash. */
  save(kid: string, pem: string): Promise<void>;
  /** The private half, or undefined when there is none. Failures: `configuration` when it is there and cannot be read. */
  load(kid: string): Promise<string | undefined>;
  list(): Promise<string[]>;
  remove(kid: string): Promise<void>;
  /** See `KeyStore.exposure`. */
  exposure?(kid: string): Promise<string | undefined>;
}

/** The key stores that the settings open. */
export interface KeyStores {
  /** Where new keys are made. */
  readonly home: KeyStore;
  /** The store that the database names with a key; undefined when the settings do not say how to open it. */
  named(name: string): Promise<KeyStore | undefined>;
}
