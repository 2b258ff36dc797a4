import type { UserRecord } from '../store/records.ts';

const MAX_USERNAME = 128;
const MAX_EMAIL = 254;

/** A person who can sign in; `id` is the `sub` of their tokens. */
export interface User {
  readonly id: string;
  readonly username: string;
  readonly email: string | null;
  readonly email_verified: boolean;
  readonly status: UserRecord['status'];
  /** Standard claims besides name and e-mail (OpenID Connect Core 5.1). */
  readonly profile: Readonly<Record<string, string>>;
  readonly created_at: number;
  readonly updated_at: number;
}

/**
 * A user name or e-mail address as it is stored and compared: what looks the same is the same. Lower case can bring
 * forth pairs that compose, so the text is composed a second time.
 */
export function normaliseLogin(text: string): string {
  return text.normalize('NFKC').trim().toLowerCase().normalize('NFKC');
}

/** Why a normalised text cannot be a user name, or undefined when it can. */
export function usernameFault(username: string): string | undefined {
  if (username === '') return 'must not be empty';
  if ([...username].length > MAX_USERNAME) return `must not be longer than ${MAX_USERNAME} characters`;
  if (/\p{White_Space}/u.test(username)) return 'must not contain white space';
  if (/\p{C}/u.test(username)) return 'must not contain control or invisible characters';
  return undefined;
}

/** Why a normalised text cannot be an e-mail address, or undefined when it can. */
export function emailFault(email: string): string | undefined {
  if (email.length > MAX_EMAIL) return `must not be longer than ${MAX_EMAIL} characters`;
  if (!/^[^\s@\p{C}]+@[^\s@\p{C}]+$/u.test(email)) return 'must look like name@host';
  return undefined;
}

export function readUser(record: UserRecord): User {
  return {
    id: record.id,
    username: record.username,
    email: record.email,
    email_verified: record.email_verified === 1,
    status: record.status,
    profile: JSON.parse(record.profile_json),
    created_at: record.created_at,
    updated_at: record.updated_at,
  };
}

export function writeUser(user: User): UserRecord {
  const { profile, email_verified, ...rest } = user;
  return { ...rest, email_verified: email_verified ? 1 : 0, profile_json: JSON.stringify(profile) };
}
