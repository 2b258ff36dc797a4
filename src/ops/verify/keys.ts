/** Whether every key that some row needs came with the backup, and is the one that it is called. */
import type { Manifest } from '../../archive/manifest.ts';
import { thumbprint } from '../../keys/jwk.ts';
import { readKeyPair } from '../../keys/key-pair.ts';
import type { SigningKeyRecord } from '../../store/records.ts';
import type { Findings } from './proof.ts';

/** Private halves that came with the backup, PEM by key id. */
export type PrivateHalves = ReadonlyMap<string, string>;

/** States in which a key signs, or will. */
const SIGNS: ReadonlySet<string> = new Set(['active', 'pending']);

/** Holds the key rows to the private halves of the archive and to the public ones of its manifest. */
export function checkSigningKeys(
  rows: readonly SigningKeyRecord[],
  { halves, manifest }: { readonly halves: PrivateHalves; readonly manifest: Pick<Manifest, 'keys'> },
  findings: Findings,
): void {
  const published = new Map(manifest.keys.public.map(({ kid, jwk }) => [kid, thumbprint(jwk)]));
  for (const row of rows) {
    const { kid } = row;
    const known = thumbprintOf(row);
    if (known !== kid)
      findings.add(`The row of the signing key ${kid} holds the public half of another key.`);
    if (!published.has(kid)) findings.add(`The manifest does not have the public half of the key ${kid}.`);
    else if (published.get(kid) !== known)
      findings.add(`The manifest has another public half of the key ${kid} than the database.`);
    checkPrivateHalf(row, halves.get(kid), findings);
  }
  const active = rows.filter(({ state }) => state === 'active').length;
  if (rows.length > 0 && active !== 1) findings.add(`${active} signing keys are active instead of one.`);
}

function checkPrivateHalf(row: SigningKeyRecord, pem: string | undefined, findings: Findings): void {
  const { kid, state, algorithm, key_store } = row;
  if (pem === undefined) {
    if (SIGNS.has(state) && key_store === 'keyfile')
      findings.add(`The private half of the ${state} signing key ${kid} is missing from the backup.`);
    return;
  }
  const pair = readKeyPair(pem);
  if (pair === undefined) findings.add(`keys/${kid}.pem holds no private key in PEM, or a damaged one.`);
  else if (pair.kid !== thumbprintOf(row) || pair.algorithm !== algorithm)
    findings.add(`keys/${kid}.pem is another key: ${pair.kid}.`);
}

function thumbprintOf({ public_jwk_json }: SigningKeyRecord): string | undefined {
  try {
    return thumbprint(Object(JSON.parse(public_jwk_json)));
  } catch {
    return undefined;
  }
}
