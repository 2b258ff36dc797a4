/**
 * What is left to do before a restored database can be served in which no key signs, because the one that did was dropped as
 * compromised after the backup. No key is made in its place (docs/decisions/0012), and the one that followed it is the better
 * one: clients know it, and what it has signed goes on verifying.
 */
import path from 'node:path';
import { readKeyPair } from '../../keys/key-pair.ts';
import { importCommand, RECOVER_NEW } from '../../keys/recovery.ts';
import type { SigningKeyRecord } from '../../store/records.ts';
import type { Config } from '../config.ts';
import type { Files } from './files.ts';
import { keyIdOf } from './key-files.ts';

/** A signing key as the database knows it whose place is taken. */
export type FormerKey = Pick<
  SigningKeyRecord,
  'kid' | 'state' | 'created_at' | 'activated_at' | 'retired_at'
>;

interface Surroundings {
  readonly files: Files;
  readonly config: Config;
  readonly formerKeys: readonly FormerKey[];
}

/**
 * The same of a restore that is only planned, as far as the present database tells.
 * @param moment ms, of which the state is going to be
 */
export async function wayOnAfter(moment: number, at: Surroundings): Promise<string | undefined> {
  const then = at.formerKeys.filter(({ created_at }) => created_at <= moment);
  const [signed] = then.filter(began).toSorted((a, b) => Number(b.activated_at) - Number(a.activated_at));
  const waits = then.some((key) => !began(key) && key.state !== 'compromised' && !ended(key));
  if (signed?.state !== 'compromised' || waits) return undefined;
  const dropped = at.formerKeys.filter(({ state }) => state === 'compromised');
  return wayOn(new Set([...then, ...dropped].map(({ kid }) => kid)), at);

  function began({ activated_at }: FormerKey): boolean {
    return activated_at !== null && activated_at <= moment;
  }

  function ended({ retired_at }: FormerKey): boolean {
    return retired_at !== null && retired_at <= moment;
  }
}

/** What to do. @param known the ids of the keys that the restored database has rows of */
export async function wayOn(known: ReadonlySet<string>, at: Surroundings): Promise<string> {
  const places = await strayFiles(known, at);
  const last = at.formerKeys.find(({ state }) => state === 'active')?.kid;
  const place = last === undefined ? undefined : places.get(last);
  if (place !== undefined) return `\`${importCommand(place)}\`, which signs with the key that followed it`;
  const [unsure, ...others] = places.values();
  if (unsure === undefined) return `\`${RECOVER_NEW}\`, which makes a new one`;
  const rest = others.length === 0 ? '' : ` (or ${others.join(', ')})`;
  return `\`${importCommand(unsure)}\`${rest} where that is the key that signed here last; otherwise move it away, and \`${RECOVER_NEW}\``;
}

/** Where private halves lie that the restored database has no row of, by their ids. */
async function strayFiles(
  known: ReadonlySet<string>,
  { files, config: { signing } }: Surroundings,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  if (signing.key_store !== 'keyfile') return found;
  for (const name of await files.names(signing.key_path)) {
    const kid = keyIdOf(name);
    if (kid === undefined || known.has(kid)) continue;
    const place = path.join(signing.key_path, name);
    if (readKeyPair((await files.read(place)) ?? '')?.kid === kid) found.set(kid, place);
  }
  return found;
}
