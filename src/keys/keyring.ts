/**
 * keys: the keys that sign tokens: their lifecycle, their private halves, and compact JWS. It must not know what a claim
 * means, who asks for a token, or how the JWK set is served; what happens to keys it only tells (`onChange`).
 *
 * The database holds each key's state and public half for every process to read; a key store holds the private half.
 * Rotation never surprises a verifier: a new key is published for as long as verifiers may cache the JWK set before it
 * signs, and the old one stays published until its last token has run out.
 */
import { asFailure, Failure } from '../kernel/errors.ts';
import type { SigningKeyRecord } from '../store/records.ts';
import { clearSpent } from './clearing.ts';
import { type KeyDesk, type StrayKey, strayKeys } from './desk.ts';
import { addFirstKey } from './first-key.ts';
import type { Algorithm, PublicJwk } from './jwk.ts';
import { type JsonObject, parseJws, verifySignature } from './jws.ts';
import { EMPTY_VIEW, type KeyView, knownView, type RingKey, withSigners } from './key-view.ts';
import { isPublished, type Timing, VIEW_LIFETIME, wasEverTrusted } from './lifecycle.ts';
import { lostKeys } from './lost-keys.ts';
import { type KeyManagement, manage } from './management.ts';
import type { KeyChange, KeyringParts } from './parts.ts';
import { promoteDue, type Rotation, retireDue, rotate } from './rotation.ts';

export type { KeyChange, KeyringParts } from './parts.ts';
export type { Rotation } from './rotation.ts';

/** A key as it may be shown: everything but the key itself. */
export type KeyStatus = Omit<SigningKeyRecord, 'public_jwk_json'> & {
  /** Whether this process could sign with it now. */
  readonly usable: boolean;
};

export interface KeyringState {
  /** The key that signs; null when its private half is not here. */
  readonly signing: string | null;
  /** What an operator must see to, the worst first; empty when all is well. */
  readonly problems: readonly Failure[];
  /** Every key there ever was: active, pending, retiring, then the others, youngest first. */
  readonly keys: readonly KeyStatus[];
}

/** What a token says; a function where that depends on the algorithm of the key that signs it. */
type Claims = object | ((algorithm: Algorithm) => object);

export interface Keyring {
  /** How long verifiers may cache the JWK set, ms. */
  readonly jwksMaxAge: number;
  readonly timing: Timing;
  /** What tokens are signed with now; after a change of the settings it changes with the next rotation. */
  readonly algorithm: Algorithm;
  /** Signs claims with the active key; claims may depend on its algorithm. Failures: `configuration` without its private half, `unavailable`. */
  sign(typ: string, claims: Claims): Promise<{ jwt: string; kid: string }>;
  /**
   * The claims of a token signed by a key of ours that is published now, of this `typ` where one is given; undefined for
   * anything else.
   * `exp`, `iss` and `aud` are left to the caller. Never throws.
   * @param options `past`: a key that has retired will do too, where what was signed is only a hint
   */
  verify(jwt: string, typ?: string, options?: { readonly past?: boolean }): Promise<JsonObject | undefined>;
  /** The JWK set (RFC 7517 section 5), the signing key first. */
  jwks(): { keys: PublicJwk[] };
  state(): KeyringState;
  /** Reads the keys anew. Failures: as for `sign`. */
  reload(): Promise<void>;
  /** Publishes a key that takes over once every cached JWK set knows it. */
  rotate(): Promise<Rotation>;
  /** What operators do to single keys. */
  readonly management: KeyManagement;
  /** Reads the keys anew and does what is due; to be called every few seconds. Never throws: trouble is logged. */
  tick(): Promise<void>;
  /** Forgets the private halves. */
  close(): void;
}

/**
 * Opens the keyring; on a new installation, makes its first key.
 * Failures: `configuration` when the key that should sign cannot, `unavailable`.
 */
export async function openKeyring(parts: KeyringParts): Promise<Keyring> {
  const ring = new DatabaseKeyring(parts);
  await ring.start();
  return ring;
}

class DatabaseKeyring implements Keyring {
  readonly jwksMaxAge: number;
  readonly timing: Timing;
  readonly management: KeyManagement;
  readonly #parts: KeyringParts;
  readonly #desk: KeyDesk;
  readonly #onChange: (change: KeyChange) => void;
  #view: KeyView = EMPTY_VIEW;
  #closed = false;
  #reading: Promise<void> = Promise.resolve();
  #nextReading: Promise<void> | undefined;
  #ticking: Promise<void> | undefined;
  #trouble = '';
  /** Why there is no first key, where there should be one. */
  #noFirstKey: Failure | undefined;
  /** Keys whose private halves this process has looked at to remove them. */
  readonly #cleared = new Set<string>();

  constructor(parts: KeyringParts) {
    this.#parts = parts;
    this.jwksMaxAge = parts.timing.jwksMaxAge;
    this.timing = parts.timing;
    this.#onChange = parts.onChange ?? (() => undefined);
    this.#desk = {
      parts,
      view: () => this.#view,
      refresh: () => this.#refresh(),
      tick: () => this.tick(),
      tell: (change, message) => this.#tell(change, message),
    };
    this.management = manage(this.#desk);
  }

  async start(): Promise<void> {
    const { store, algorithm, log, mustSign = true } = this.#parts;
    if ((await store.list({})).length === 0) await this.#addFirst(mustSign);
    if (mustSign) await this.reload();
    else await this.#refresh();
    if (this.algorithm !== algorithm) {
      log.warn(
        { active: this.algorithm, configured: algorithm },
        'the configured signing algorithm takes effect with the next key rotation',
      );
    }
    for (const { kid, place } of await strayKeys(this.#desk))
      log.warn({ kid, place }, 'found a private key that the database does not know; it is not used');
  }

  async #addFirst(mustSign: boolean): Promise<void> {
    const { store, keyStores, algorithm, clock, installationIsNew } = this.#parts;
    const parts = { store, keyStore: keyStores.home, algorithm, now: clock.now(), installationIsNew };
    const kid = await addFirstKey(parts).catch((error: unknown) => {
      const failure = asFailure(error);
      if (mustSign || failure.code !== 'configuration') throw error;
      this.#noFirstKey = failure;
      return undefined;
    });
    if (kid !== undefined) this.#tell({ action: 'key.created', kid }, 'made the first signing key');
  }

  get algorithm(): Algorithm {
    return this.#view.signer?.algorithm ?? this.#parts.algorithm;
  }

  async sign(typ: string, claims: Claims): Promise<{ jwt: string; kid: string }> {
    // A process that has slept must not sign with a key that others have meanwhile let retire.
    if (this.#isStale()) await this.#refresh();
    const signer = this.#view.signer;
    if (signer === undefined) throw this.#cannotSign();
    const settled = typeof claims === 'function' ? claims(signer.algorithm) : claims;
    return { jwt: await signer.sign(typ, settled), kid: signer.kid };
  }

  async verify(jwt: string, typ?: string, { past = false } = {}): Promise<JsonObject | undefined> {
    const jws = parseJws(jwt);
    if (jws === undefined || (typ !== undefined && jws.header.typ !== typ)) return undefined;
    // Nor accept one that others have dropped. Without a database the last that was known has to do.
    if (this.#isStale()) await this.#refresh().catch(() => undefined);
    const key = this.#view.keys.get(jws.header.kid);
    if (key === undefined) return undefined;
    if (!(past ? wasEverTrusted(key.record) : isPublished(key.record, this.#now()))) return undefined;
    const valid = await verifySignature(jws, key.record.algorithm, key.publicKey);
    return valid ? jws.claims : undefined;
  }

  jwks(): { keys: PublicJwk[] } {
    const now = this.#now();
    return { keys: this.#all().flatMap(({ record, jwk }) => (isPublished(record, now) ? [jwk] : [])) };
  }

  state(): KeyringState {
    const { signer, signers } = this.#view;
    return {
      signing: signer?.kid ?? null,
      problems: this.#problems(),
      keys: this.#all().map(({ record: { public_jwk_json: _, ...status } }) => ({
        ...status,
        usable: signers.has(status.kid),
      })),
    };
  }

  async reload(): Promise<void> {
    await this.#refresh();
    if (this.#view.signer !== undefined) return;
    if (this.#closed) throw this.#cannotSign();
    const stray: readonly StrayKey[] = await strayKeys(this.#desk).catch(() => []);
    const isActive = this.#all().some(({ record }) => record.state === 'active');
    throw lostKeys(this.#problems(), stray, isActive);
  }

  rotate(): Promise<Rotation> {
    return rotate(this.#desk);
  }

  tick(): Promise<void> {
    this.#ticking ??= this.#doWhatIsDue()
      .catch((error: unknown) => this.#reportOnce([asFailure(error)]))
      .finally(() => {
        this.#ticking = undefined;
      });
    return this.#ticking;
  }

  close(): void {
    this.#closed = true;
    this.#view = { ...this.#view, signers: new Map(), signer: undefined };
  }

  async #doWhatIsDue(): Promise<void> {
    await this.#refresh();
    await promoteDue(this.#desk);
    await retireDue(this.#desk);
    await clearSpent(this.#desk, this.#cleared);
  }

  /**
   * Reads the database after this call, never before: a reading that is under way may have missed what the caller knows of.
   * All who ask meanwhile share the next one. Readings follow each other, so that an older view never replaces a newer one.
   */
  #refresh(): Promise<void> {
    this.#nextReading ??= this.#reading.then(() => {
      this.#nextReading = undefined;
      const reading = this.#read();
      this.#reading = reading.catch(() => undefined);
      return reading;
    });
    return this.#nextReading;
  }

  async #read(): Promise<void> {
    const { store, keyStores } = this.#parts;
    const readAt = this.#now();
    const known = knownView(await store.list({}), this.#view, readAt);
    if (this.#closed) return;
    // A key store that does not answer keeps nobody from learning what has become of the other keys.
    if (known.signer !== undefined) this.#view = known;
    const view = await withSigners(known, keyStores);
    if (this.#closed) return;
    this.#view = view;
    this.#reportOnce(view.problems);
  }

  /** Also after a clock was set back. */
  #isStale(): boolean {
    return Math.abs(this.#now() - this.#view.readAt) > VIEW_LIFETIME;
  }

  /** Logs trouble when it appears, not at each tick that it lasts. */
  #reportOnce(problems: readonly Failure[]): void {
    const trouble = problems.map((problem) => problem.message).join('\n');
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    for (const { code, message, hint, detail } of problems)
      this.#parts.log.error({ code, hint, detail }, message);
  }

  #tell(change: KeyChange, message: string): void {
    this.#parts.log.info({ kid: change.kid }, message);
    this.#onChange(change);
  }

  #cannotSign(): Failure {
    if (this.#closed) return new Failure('unavailable', 'The server is stopping.');
    return this.#problems()[0] ?? new Failure('unavailable', 'The signing keys have not been read yet.');
  }

  #problems(): readonly Failure[] {
    return this.#noFirstKey !== undefined && this.#view.keys.size === 0
      ? [this.#noFirstKey]
      : this.#view.problems;
  }

  #all(): RingKey[] {
    return [...this.#view.keys.values()];
  }

  #now(): number {
    return this.#parts.clock.now();
  }
}
