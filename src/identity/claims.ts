import type { User } from './user.ts';

/** What a profile may hold, all of it text (OpenID Connect Core 5.1); the other claims are derived from the user. */
const PROFILE_CLAIMS: readonly string[] = [
  'name',
  'family_name',
  'given_name',
  'middle_name',
  'nickname',
  'profile',
  'picture',
  'website',
  'gender',
  'birthdate',
  'zoneinfo',
  'locale',
];

/** Which claims a scope asks for (OpenID Connect Core 5.4). */
export const claimsByScope: Readonly<Record<string, readonly string[]>> = {
  profile: [...PROFILE_CLAIMS, 'preferred_username', 'updated_at'],
  email: ['email', 'email_verified'],
};

export type Claims = Readonly<Record<string, string | boolean | number>>;

/** Everything that can be said of a user; claims without a value are left out (OpenID Connect Core 5.3.2). */
function standardClaims(user: User): Claims {
  return {
    ...user.profile,
    sub: user.id,
    preferred_username: user.username,
    updated_at: Math.floor(user.updated_at / 1000),
    ...(user.email !== null && { email: user.email, email_verified: user.email_verified }),
  };
}

/** `sub`, what the scopes allow, and single claims asked for by name (OpenID Connect Core 5.5). */
export function claimsFor(user: User, scopes: readonly string[], names: readonly string[] = []): Claims {
  const wanted = new Set(['sub', ...names, ...scopes.flatMap((scope) => claimsByScope[scope] ?? [])]);
  return Object.fromEntries(Object.entries(standardClaims(user)).filter(([name]) => wanted.has(name)));
}

/** Why this cannot be a profile, or undefined when it can. */
export function profileFault(profile: Readonly<Record<string, unknown>>): string | undefined {
  for (const [name, value] of Object.entries(profile)) {
    if (!PROFILE_CLAIMS.includes(name))
      return `has "${name}", which is not one of ${PROFILE_CLAIMS.join(', ')}`;
    if (typeof value !== 'string') return `has a "${name}" that is not text`;
  }
  return undefined;
}
