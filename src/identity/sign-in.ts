import { Failure } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import { type Meter, silentMeter } from '../kernel/metrics.ts';
import type { RecordEvent } from './events.ts';
import type { Lockout } from './lockout.ts';
import type { PasswordHasher } from './passwords.ts';
import type { Session, Sessions } from './sessions.ts';
import { normaliseLogin, type User } from './user.ts';
import type { Users } from './users.ts';

/** What a password alone proves: `amr` of RFC 8176, and our own name for that level of assurance. */
const passwordContext = { acr: 'urn:authserver:acr:1', amr: ['pwd'] } as const;

export interface SignInAttempt {
  readonly login: string;
  readonly password: string;
  /** The address it comes from. */
  readonly source: string;
  readonly userAgent: string;
  /** The session token that this browser has now. */
  readonly replaces: string | null;
}

export type SignInAnswer =
  | { readonly outcome: 'signed_in'; readonly session: Session; readonly token: string }
  /** Unknown user, disabled user or wrong password: nobody is told which, neither by words nor by time. */
  | { readonly outcome: 'refused' }
  /** Too many failures; seconds until another try. */
  | { readonly outcome: 'locked'; readonly retryAfter: number };

/** Signing in with a user name (or e-mail address) and a password. */
export class PasswordSignIn {
  readonly #users: Users;
  readonly #hasher: PasswordHasher;
  readonly #lockout: Lockout;
  readonly #sessions: Sessions;
  readonly #record: RecordEvent;
  readonly #log: Log;
  readonly #meter: Meter;

  constructor(parts: {
    users: Users;
    hasher: PasswordHasher;
    lockout: Lockout;
    sessions: Sessions;
    record: RecordEvent;
    log: Log;
    meter?: Meter;
  }) {
    this.#users = parts.users;
    this.#hasher = parts.hasher;
    this.#lockout = parts.lockout;
    this.#sessions = parts.sessions;
    this.#record = parts.record;
    this.#log = parts.log;
    this.#meter = parts.meter ?? silentMeter;
  }

  /** Fails with `rate_limited` when more passwords wait to be checked than the machine bears. */
  async attempt(attempt: SignInAttempt): Promise<SignInAnswer> {
    const account = normaliseLogin(attempt.login);
    // A user who changed while the password was being checked is looked at anew: it may be right still.
    const answer =
      (await this.#try(account, attempt)) ??
      (await this.#try(account, attempt)) ??
      (await this.#refuse(account, undefined, attempt));
    this.#meter.counter('authserver_sign_ins_total', { outcome: answer.outcome }).add();
    return answer;
  }

  /** Undefined when user or password changed meanwhile. */
  async #try(account: string, attempt: SignInAttempt): Promise<SignInAnswer | undefined> {
    const locked = await this.#lockout.lockedFor(account, attempt.source);
    if (locked > 0) return { outcome: 'locked', retryAfter: locked };

    const found = await this.#users.findByLogin(account);
    const passwordHash = found?.passwordHash ?? null;
    const right = await this.#hasher.verify(passwordHash, attempt.password);
    if (!found || !passwordHash || !right || found.user.status !== 'active') {
      return this.#refuse(account, found?.user, attempt);
    }
    // Many guesses can be under way at once: one that is right counts only if no lock has fallen meanwhile.
    const lockedMeanwhile = await this.#lockout.lockedFor(account, attempt.source);
    if (lockedMeanwhile > 0) return { outcome: 'locked', retryAfter: lockedMeanwhile };
    return this.#admit(account, found.user, passwordHash, attempt);
  }

  async #refuse(account: string, user: User | undefined, attempt: SignInAttempt): Promise<SignInAnswer> {
    const retryAfter = await this.#lockout.count(account, attempt.source);
    await this.#record({
      action: retryAfter > 0 ? 'user.locked_out' : 'user.sign_in_failed',
      actor: 'anonymous',
      user_id: user?.id ?? null,
      ip: attempt.source,
      detail: {},
    });
    return retryAfter > 0 ? { outcome: 'locked', retryAfter } : { outcome: 'refused' };
  }

  async #admit(
    account: string,
    user: User,
    hash: string,
    attempt: SignInAttempt,
  ): Promise<SignInAnswer | undefined> {
    const started = await this.#sessions.start({
      ...passwordContext,
      user_id: user.id,
      password_hash: await this.#strengthen(user, hash, attempt.password),
      ip: attempt.source,
      user_agent: attempt.userAgent,
      replaces: attempt.replaces,
    });
    if (!started) return undefined;
    const { session, token } = started;
    await this.#lockout.clear(account, attempt.source);
    await this.#record({
      action: 'user.signed_in',
      actor: `user:${user.id}`,
      user_id: user.id,
      ip: attempt.source,
      detail: { session_id: session.id, amr: session.amr },
    });
    return { outcome: 'signed_in', session, token };
  }

  /** The hash now in force. One that cannot be renewed now is renewed another time; it is no reason to turn somebody away. */
  async #strengthen(user: User, hash: string, password: string): Promise<string> {
    if (!this.#hasher.needsRehash(hash)) return hash;
    try {
      return await this.#users.strengthen(user, password, hash);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#log.warn({ user_id: user.id, code: error.code }, 'password hash not renewed at this sign-in');
      return hash;
    }
  }
}
