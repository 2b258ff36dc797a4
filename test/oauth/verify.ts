// Owns how a stranger checks our tokens: with `jose`, from the published key set alone.

import { createLocalJWKSet, type JWTVerifyOptions, type JWTVerifyResult, jwtVerify } from 'jose';
import { ISSUER, type Product } from './product.ts';

/** Verifies a JWT with the keys that the server publishes at this moment. Throws what `jose` throws. */
export async function verifyJwt(
  product: Product,
  jwt: string,
  options: JWTVerifyOptions = {},
): Promise<JWTVerifyResult> {
  const { json } = await product.get('/.well-known/jwks.json');
  return jwtVerify(jwt, createLocalJWKSet(json), {
    issuer: ISSUER,
    currentDate: new Date(product.clock.now()),
    ...options,
  });
}

/** Verifies an access token as RFC 9068 section 4 asks of a resource server. */
export function verifyAccessToken(
  product: Product,
  jwt: string,
  audience: string | string[],
): Promise<JWTVerifyResult> {
  return verifyJwt(product, jwt, { typ: 'at+jwt', audience });
}
