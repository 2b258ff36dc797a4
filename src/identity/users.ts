/**
 * identity: users, their credentials, their sessions, and the locks that slow guessing down. It must not know OAuth
 * (clients, scopes, tokens), pages or HTTP.
 */
import type { Clock } from '../kernel/clock.ts';
import { Failure } from '../kernel/errors.ts';
import type { Ids } from '../kernel/ids.ts';
import type { Page, UserStore } from '../store/store.ts';
import { profileFault } from './claims.ts';
import type { PasswordHasher } from './passwords.ts';
import { emailFault, normaliseLogin, readUser, type User, usernameFault, writeUser } from './user.ts';

export interface NewUser {
  readonly username: string;
  /** Null for somebody who cannot sign in with a password (yet). */
  readonly password: string | null;
  readonly email?: string | null;
  readonly email_verified?: boolean;
  readonly profile?: Readonly<Record<string, string>>;
}

/** What may change of a user; absent members stay as they are. */
export type UserChanges = Partial<Pick<User, 'username' | 'email' | 'email_verified' | 'profile'>>;

export class Users {
  readonly #store: UserStore;
  readonly #hasher: PasswordHasher;
  readonly #clock: Clock;
  readonly #ids: Ids;

  constructor(parts: { store: UserStore; hasher: PasswordHasher; clock: Clock; ids: Ids }) {
    this.#store = parts.store;
    this.#hasher = parts.hasher;
    this.#clock = parts.clock;
    this.#ids = parts.ids;
  }

  /** Adds a user. Fails with `invalid_input`, or `conflict` when the user name or the e-mail address is taken. */
  async create(input: NewUser): Promise<User> {
    const user = this.#newUser(input);
    const passwordHash = input.password === null ? null : await this.#hasher.hash(input.password);
    const { outcome } = await this.#store.create({ user: writeUser(user), password_hash: passwordHash });
    if (outcome === 'created') return user;
    throw taken(user);
  }

  /**
   * Changes what is given; another e-mail address is not verified unless that is said too. Fails with `invalid_input`,
   * `not_found`, or `conflict` when the user name or the e-mail address is taken.
   */
  async update(id: string, changes: UserChanges): Promise<User> {
    const former = await this.find(id);
    if (!former) throw unknown(id);
    const email = changes.email === undefined ? former.email : changes.email;
    const keepsEmail = email !== null && normaliseLogin(email) === former.email;
    const user: User = {
      ...former,
      ...checkedParts({
        username: changes.username ?? former.username,
        email,
        email_verified: changes.email_verified ?? (keepsEmail && former.email_verified),
        profile: changes.profile ?? former.profile,
      }),
      updated_at: this.#clock.now(),
    };
    const { outcome } = await this.#store.update({ user: writeUser(user) });
    if (outcome === 'taken') throw taken(user);
    known(id, { outcome });
    return user;
  }

  async find(id: string): Promise<User | undefined> {
    const record = await this.#store.find({ id });
    return record && readUser(record);
  }

  /** Whoever signs in with this name or e-mail address, with the password's hash where there is one. */
  async findByLogin(login: string): Promise<{ user: User; passwordHash: string | null } | undefined> {
    const record = await this.#store.findByLogin({ login: normaliseLogin(login) });
    return record && { user: readUser(record), passwordHash: record.password_hash };
  }

  /** One page in id order: `limit` users after the id `after`. */
  async list(page: Page): Promise<readonly User[]> {
    return (await this.#store.list(page)).map(readUser);
  }

  /** Sets a password and ends what the old one opened. Fails with `invalid_input` or `not_found`. */
  async setPassword(id: string, password: string): Promise<void> {
    const hash = await this.#hasher.hash(password);
    known(id, await this.#store.setPassword({ user_id: id, hash, changed_at: this.#clock.now() }));
  }

  /** Hashes a password that has just been proven again, with today's parameters; answers the new hash. */
  async strengthen(user: User, password: string, oldHash: string): Promise<string> {
    const newHash = await this.#hasher.hash(password);
    await this.#store.rehashPassword({ user_id: user.id, old_hash: oldHash, new_hash: newHash });
    return newHash;
  }

  /** Disables a user and ends all they have open, or enables them again. Fails with `not_found`. */
  async setStatus(id: string, status: User['status']): Promise<void> {
    known(id, await this.#store.setStatus({ id, status, now: this.#clock.now() }));
  }

  /** Removes a user with all that hangs on them. Fails with `not_found`. */
  async remove(id: string): Promise<void> {
    known(id, await this.#store.remove({ id, now: this.#clock.now() }));
  }

  #newUser(input: NewUser): User {
    const now = this.#clock.now();
    return {
      id: this.#ids.next('usr'),
      ...checkedParts(input),
      status: 'active',
      created_at: now,
      updated_at: now,
    };
  }
}

/** What a person is called, in its stored form. Fails with `invalid_input`. */
function checkedParts(
  input: Omit<NewUser, 'password'>,
): Pick<User, 'username' | 'email' | 'email_verified' | 'profile'> {
  const username = normaliseLogin(input.username);
  const email = input.email ? normaliseLogin(input.email) : null;
  const profile = input.profile ?? {};
  refuse('user name', usernameFault(username));
  refuse('e-mail address', email === null ? undefined : emailFault(email));
  refuse('profile', profileFault(profile));
  return { username, email, email_verified: email !== null && (input.email_verified ?? false), profile };
}

function refuse(what: string, fault: string | undefined): void {
  if (fault)
    throw new Failure('invalid_input', `The ${what} ${fault}.`, { hint: 'Correct it and try again.' });
}

function known(id: string, { outcome }: { outcome: string }): void {
  if (outcome === 'unknown') throw unknown(id);
}

function unknown(id: string): Failure {
  return new Failure('not_found', `There is no user with the id ${id}.`, {
    hint: 'List the users to see their ids.',
  });
}

function taken(user: User): Failure {
  return new Failure('conflict', `The user name "${user.username}" or the e-mail address is taken.`, {
    hint: 'Choose another one, or change the user that has it.',
  });
}
