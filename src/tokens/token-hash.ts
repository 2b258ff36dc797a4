import { createHash } from 'node:crypto';
import type { Algorithm } from '../keys/jwk.ts';

/**
 * `at_hash`: the left half of the hash that the ID token's algorithm uses (OpenID Connect Core 3.1.3.6). EdDSA with Ed25519
 * hashes with SHA-512 (RFC 8032 section 5.1).
 */
export function tokenHash(token: string, algorithm: Algorithm): string {
  const digest = createHash(algorithm === 'EdDSA' ? 'sha512' : 'sha256')
    .update(token, 'ascii')
    .digest();
  return digest.subarray(0, digest.length / 2).toString('base64url');
}
