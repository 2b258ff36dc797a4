import { sha256 } from '../kernel/bytes.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Ids } from '../kernel/ids.ts';
import { type Counter, type Meter, silentMeter } from '../kernel/metrics.ts';
import { type Random, randomToken } from '../kernel/random.ts';
import type { SessionRecord } from '../store/records.ts';
import type { SessionStore } from '../store/store.ts';

/** A request is not worth a write: the last-seen time is kept to the minute. */
const TOUCH_INTERVAL = 60_000;
const MAX_USER_AGENT = 512;

/** Somebody signed in with one browser. */
export interface Session {
  readonly id: string;
  readonly user_id: string;
  readonly auth_time: number;
  readonly acr: string;
  readonly amr: readonly string[];
  readonly ip: string;
  readonly user_agent: string;
  readonly created_at: number;
  readonly last_seen_at: number;
  readonly expires_at: number;
  readonly absolute_expires_at: number;
}

/** A session with the name of its user, as it is found by its token. */
export interface LiveSession extends Session {
  readonly username: string;
}

export interface NewSession {
  readonly user_id: string;
  readonly acr: string;
  readonly amr: readonly string[];
  readonly ip: string;
  readonly user_agent: string;
  /** The hash that the password was checked against; null where something else was proven. */
  readonly password_hash: string | null;
  /** The token of the browser's former session, which ends with this start and hands on what it opened. */
  readonly replaces: string | null;
}

export interface SessionLifetimes {
  /** ms without a request after which a session is over. */
  readonly idle: number;
  /** ms after which it is over whatever happens. */
  readonly absolute: number;
}

/** Sessions live in the store; the browser holds an unguessable token of which only the SHA-256 is kept. */
export class Sessions {
  readonly #store: SessionStore;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #ids: Ids;
  readonly #started: Counter;
  readonly lifetimes: SessionLifetimes;

  constructor(parts: {
    store: SessionStore;
    clock: Clock;
    random: Random;
    ids: Ids;
    lifetimes: SessionLifetimes;
    meter?: Meter;
  }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#ids = parts.ids;
    this.lifetimes = parts.lifetimes;
    this.#started = (parts.meter ?? silentMeter).counter('authserver_sessions_started_total');
  }

  /**
   * Starts a session under a new token, never one that the browser brought along. Undefined when the user is not active
   * any more or has another password by now.
   */
  async start(input: NewSession): Promise<{ session: Session; token: string } | undefined> {
    const token = randomToken(this.#random);
    const now = this.#clock.now();
    const { idle, absolute } = this.lifetimes;
    const record: SessionRecord = {
      id: this.#ids.next('ses'),
      token_hash: sha256(token),
      user_id: input.user_id,
      auth_time: now,
      acr: input.acr,
      amr_json: JSON.stringify(input.amr),
      ip: input.ip,
      user_agent: input.user_agent.slice(0, MAX_USER_AGENT),
      created_at: now,
      last_seen_at: now,
      expires_at: now + Math.min(idle, absolute),
      absolute_expires_at: now + absolute,
      ended_at: null,
    };
    const { outcome } = await this.#store.start({
      session: record,
      password_hash: input.password_hash,
      replaces: input.replaces === null ? null : sha256(input.replaces),
    });
    if (outcome !== 'started') return undefined;
    this.#started.add();
    return { session: readSession(record), token };
  }

  /** The live session of a token, its idle end moved; undefined when there is none. */
  async find(token: string | undefined): Promise<LiveSession | undefined> {
    if (!token) return undefined;
    const now = this.#clock.now();
    const record = await this.#store.find({ token_hash: sha256(token), now });
    if (!record) return undefined;
    return { ...(await this.#touched(readSession(record), now)), username: record.username };
  }

  /** Live sessions of a user, newest first. */
  async list(userId: string): Promise<readonly Session[]> {
    const records = await this.#store.listOfUser({ user_id: userId, now: this.#clock.now() });
    return records.map(readSession);
  }

  /** Ends one session of this user; false when there is no such session. */
  async end(id: string, userId: string): Promise<boolean> {
    const { outcome } = await this.#store.end({ id, user_id: userId, now: this.#clock.now() });
    return outcome === 'ended';
  }

  /** Ends every session of a user, except one where given; answers how many. */
  async endAll(userId: string, except: string | null = null): Promise<number> {
    const { ended } = await this.#store.endAll({ user_id: userId, except, now: this.#clock.now() });
    return ended;
  }

  async #touched(session: Session, now: number): Promise<Session> {
    const { idle } = this.lifetimes;
    if (now - session.last_seen_at < Math.min(TOUCH_INTERVAL, idle / 4)) return session;
    const seen = { last_seen_at: now, expires_at: Math.min(now + idle, session.absolute_expires_at) };
    await this.#store.touch({ id: session.id, ...seen });
    return { ...session, ...seen };
  }
}

function readSession(record: SessionRecord): Session {
  return {
    id: record.id,
    user_id: record.user_id,
    auth_time: record.auth_time,
    acr: record.acr,
    amr: JSON.parse(record.amr_json),
    ip: record.ip,
    user_agent: record.user_agent,
    created_at: record.created_at,
    last_seen_at: record.last_seen_at,
    expires_at: record.expires_at,
    absolute_expires_at: record.absolute_expires_at,
  };
}
