/**
 * keys: the keys that sign tokens: their lifecycle, their private halves, and compact JWS. It must not know what a claim
 * means, who asks for a token, or how the JWK set is served; what happens to keys it only tells (`onChange`).
 *
 * The database holds each key's state and public half for every process to read; a key store holds the private half.
 * Rotation never surprises a verifier: a new key is published for as long as verifiers may cache the JWK set before it
 * signs, and the old one stays published until its last token has run out.
 */
import type { Clock } from '../kernel/clock.ts';
import { asFailure, Failure } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { SigningKeyRecord } from '../store/records.ts';
import type { SigningKeyStore } from '../store/store.ts';
import { addFirstKey, discardUnpublished, newRecord } from './first-key.ts';
import type { Algorithm, PublicJwk } from './jwk.ts';
import { type JsonObject, parseJws, verifySignature } from './jws.ts';
import type { KeyStores } from './key-store.ts';
import { EMPTY_VIEW, type KeyView, makeView, type RingKey } from './key-view.ts';
import {
  activatesAt,
  isDueToRetire,
  isDueToSign,
  isPublished,
  retirementMargin,
  retiresAt,
  type Timing,
  VIEW_LIFETIME,
  wasEverTrusted,
} from './lifecycle.ts';

/** A key as it may be shown: everything but the key itself. */
export type KeyStatus = Omit<SigningKeyRecord, 'public_jwk_json'>;

export interface KeyringState {
  /** The key that signs; null when its private half is not here. */
  readonly signing: string | null;
  /** What an operator must see to, the worst first; empty when all is well. */
  readonly problems: readonly Failure[];
  /** Every key there ever was: active, pending, retiring, then the others, youngest first. */
  readonly keys: readonly KeyStatus[];
}

export interface Rotation {
  readonly kid: string;
  /** ms, when the new key begins to sign. */
  readonly activates_at: number;
  /** False when a key was waiting already: then this is that one, and no other was made. */
  readonly started: boolean;
}

/** What a token says; a function where that depends on the algorithm of the key that signs it. */
type Claims = object | ((algorithm: Algorithm) => object);

export interface Keyring {
  /** How long verifiers may cache the JWK set, ms. */
  readonly jwksMaxAge: number;
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
  /** Reads the keys anew and does what is due; to be called every few seconds. Never throws: trouble is logged. */
  tick(): Promise<void>;
  /** Forgets the private halves. */
  close(): void;
}

export interface KeyChange {
  readonly action: 'key.created' | 'key.published' | 'key.activated' | 'key.retired';
  readonly kid: string;
}

export interface KeyringParts {
  readonly store: SigningKeyStore;
  readonly keyStores: KeyStores;
  /** What new keys are made for. */
  readonly algorithm: Algorithm;
  readonly timing: Timing;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether nothing was ever kept in this database; only then may a first key be made. */
  readonly installationIsNew: boolean;
  /** Told of each change by the one process that made it. */
  readonly onChange?: (change: KeyChange) => void;
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
  readonly #parts: KeyringParts;
  readonly #onChange: (change: KeyChange) => void;
  #view: KeyView = EMPTY_VIEW;
  #closed = false;
  #reading: Promise<void> = Promise.resolve();
  #nextReading: Promise<void> | undefined;
  #ticking: Promise<void> | undefined;
  #trouble = '';

  constructor(parts: KeyringParts) {
    this.#parts = parts;
    this.jwksMaxAge = parts.timing.jwksMaxAge;
    this.#onChange = parts.onChange ?? (() => undefined);
  }

  async start(): Promise<void> {
    const { store, keyStores, algorithm, clock, log, installationIsNew } = this.#parts;
    const keyStore = keyStores.home;
    if ((await store.list({})).length === 0) {
      const kid = await addFirstKey({ store, keyStore, algorithm, now: clock.now(), installationIsNew });
      if (kid !== undefined) this.#tell({ action: 'key.created', kid }, 'made the first signing key');
    }
    await this.reload();
    if (this.algorithm !== algorithm) {
      log.warn(
        { active: this.algorithm, configured: algorithm },
        'the configured signing algorithm takes effect with the next key rotation',
      );
    }
    for (const kid of await keyStore.list()) {
      if (this.#view.keys.has(kid)) continue;
      log.warn(
        { kid, place: keyStore.locate(kid) },
        'found a private key that the database does not know; it is not used',
      );
    }
  }

  get algorithm(): Algorithm {
    return this.#view.signer?.algorithm ?? this.#parts.algorithm;
  }

  async sign(typ: string, claims: Claims): Promise<{ jwt: string; kid: string }> {
    // A process that has slept must not sign with a key that others have meanwhile let retire.
    if (this.#now() - this.#view.readAt > VIEW_LIFETIME) await this.#refresh();
    const signer = this.#view.signer;
    if (signer === undefined) throw this.#cannotSign();
    const settled = typeof claims === 'function' ? claims(signer.algorithm) : claims;
    return { jwt: await signer.sign(typ, settled), kid: signer.kid };
  }

  async verify(jwt: string, typ?: string, { past = false } = {}): Promise<JsonObject | undefined> {
    const jws = parseJws(jwt);
    if (jws === undefined || (typ !== undefined && jws.header.typ !== typ)) return undefined;
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
    return {
      signing: this.#view.signer?.kid ?? null,
      problems: this.#view.problems,
      keys: this.#all().map(({ record: { public_jwk_json: _, ...status } }) => status),
    };
  }

  async reload(): Promise<void> {
    await this.#refresh();
    if (this.#view.signer === undefined) throw this.#cannotSign();
  }

  async rotate(): Promise<Rotation> {
    const { store, keyStores, algorithm, timing } = this.#parts;
    const keyStore = keyStores.home;
    await this.#refresh();
    const waiting = this.#pending();
    if (waiting !== undefined) return { ...waiting, started: false };

    const pair = await keyStore.create(algorithm);
    const now = this.#now();
    const key = newRecord(pair, keyStore, { now, activatesAt: activatesAt(now, timing) });
    const { outcome } = await store.addPending({ key });
    if (outcome === 'taken') await discardUnpublished(store, keyStore, key.kid);
    else this.#tell({ action: 'key.published', kid: key.kid }, 'published a new signing key');
    await this.#refresh();
    if (outcome === 'added') return { kid: key.kid, activates_at: key.activates_at, started: true };
    const theirs = this.#pending();
    if (theirs !== undefined) return { ...theirs, started: false };
    throw new Failure('conflict', 'Another rotation took place at the same time.', {
      hint: 'List the keys, then decide.',
    });
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
    await this.#promote();
    await this.#retire();
  }

  /** Lets the pending key take over where its time has come and its private half is here. */
  async #promote(): Promise<void> {
    const { store, timing } = this.#parts;
    const due = this.#all().find(({ record }) => isDueToSign(record, this.#now()));
    if (due === undefined || !this.#view.signers.has(due.record.kid)) return;
    const { kid } = due.record;
    const longest = Math.max(timing.longestLifetime, await store.longestTokenLifetime({}));
    const now = this.#now();
    const { outcome } = await store.activate({
      kid,
      now,
      retires_at: retiresAt(now, longest, timing),
      margin: retirementMargin(timing),
    });
    await this.#refresh();
    if (outcome === 'activated')
      this.#tell({ action: 'key.activated', kid }, 'a new signing key has taken over');
  }

  async #retire(): Promise<void> {
    const now = this.#now();
    const due = this.#all().filter(({ record }) => isDueToRetire(record, now));
    if (due.length === 0) return;
    const { retired } = await this.#parts.store.retireDue({ now });
    await this.#refresh();
    if (retired === 0) return;
    for (const { record } of due)
      this.#tell({ action: 'key.retired', kid: record.kid }, 'a signing key has retired');
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
    const view = await makeView(await store.list({}), keyStores, this.#view, readAt);
    if (this.#closed) return;
    this.#view = view;
    this.#reportOnce(view.problems);
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
    return this.#view.problems[0] ?? new Failure('unavailable', 'The signing keys have not been read yet.');
  }

  #pending(): { kid: string; activates_at: number } | undefined {
    const record = this.#all().find((key) => key.record.state === 'pending')?.record;
    return record && { kid: record.kid, activates_at: record.activates_at };
  }

  #all(): RingKey[] {
    return [...this.#view.keys.values()];
  }

  #now(): number {
    return this.#parts.clock.now();
  }
}
