/** When a key is published, may sign, and stops verifying. All times in milliseconds. */
import type { SigningKeyRecord } from '../store/records.ts';

export interface Timing {
  /** How long verifiers may cache the JWK set. */
  readonly jwksMaxAge: number;
  /** The longest lifetime of any token by the settings, ID tokens included; clients and resources may have longer ones. */
  readonly longestLifetime: number;
  /** The lifetime of ID tokens, of which no record is kept. */
  readonly idTokenLifetime: number;
  /** How far the clocks of two machines may differ. */
  readonly clockSkew: number;
  /** The age at which the signing key is replaced by itself; 0 for never. */
  readonly rotationInterval: number;
}

/**
 * How long a process may go on with what it last read of the keys. Every time below allows for it: another process may
 * publish a new key, or stop signing with the old one, that much later.
 */
export const VIEW_LIFETIME = 15_000;

/** When a key made now may begin to sign: every cached JWK set without it has run out by then. */
export function activatesAt(now: number, timing: Pick<Timing, 'jwksMaxAge' | 'clockSkew'>): number {
  return now + timing.jwksMaxAge + timing.clockSkew + VIEW_LIFETIME;
}

/** When a key that stops signing now may stop verifying: its last token has run out by then. */
export function retiresAt(now: number, longestLifetime: number, timing: Timing): number {
  return now + longestLifetime + retirementMargin(timing);
}

/** How long a key verifies after the end of its last token. */
export function retirementMargin(timing: Timing): number {
  return timing.clockSkew + VIEW_LIFETIME;
}

/** Whether verifiers may trust the key: also when nobody has yet recorded that a retiring key's time is over. */
export function isPublished(key: SigningKeyRecord, now: number): boolean {
  if (key.state === 'retiring') return !isDueToRetire(key, now);
  return key.state === 'pending' || key.state === 'active';
}

/** Whether what the key once signed was signed by us, for all we know. */
export function wasEverTrusted(key: SigningKeyRecord): boolean {
  return key.state !== 'compromised';
}

export function isDueToRetire(key: SigningKeyRecord, now: number): boolean {
  return key.state === 'retiring' && key.retires_at !== null && key.retires_at <= now;
}

export function isDueToSign(key: SigningKeyRecord, now: number): boolean {
  return key.state === 'pending' && key.activates_at <= now;
}
