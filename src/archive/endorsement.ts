/**
 * Endorsements: one who signs backups vouches for another of the same deployment. They lie beside the backups, so that a
 * recovery sheet which names the first signer leads to those that came after it.
 */
import { z } from 'zod';
import { Failure } from '../kernel/errors.ts';
import { FORMAT } from './format.ts';
import { readRecord } from './manifest.ts';
import { readSigned, type Signer, signLine, type Trust } from './signature.ts';
import type { Shelf } from './targets/shelf.ts';
import { readSmall, writeSmall } from './targets/small-file.ts';

/** `signer.KEY.BY.ndjson`: both public keys; what counts is what is signed. */
const endorsement = z.strictObject({
  type: z.literal('authserver.signer'),
  format: z.literal(FORMAT),
  deployment_id: z.string().min(1),
  /** Whose signatures count from now on. */
  public_key: z.string(),
  /** ms */
  at: z.int().nonnegative(),
});

type Endorsement = Readonly<z.output<typeof endorsement>>;

const PREFIX = 'signer.';
const NAME = /^signer\.(?<key>[A-Za-z0-9_-]{43})\.(?<by>[A-Za-z0-9_-]{43})\.ndjson$/;
const LONGEST = 4096;
/** Whoever can write to a target can put files there to keep us busy. */
const MOST = 1000;

/** Failures: those of a Shelf. */
export async function endorse(
  shelf: Shelf,
  { deploymentId, publicKey, at }: { deploymentId: string; publicKey: string; at: number },
  signer: Signer,
): Promise<void> {
  const note: Endorsement = {
    type: 'authserver.signer',
    format: FORMAT,
    deployment_id: deploymentId,
    public_key: publicKey,
    at,
  };
  await writeSmall(shelf, `${PREFIX}${publicKey}.${signer.publicKey}.ndjson`, await signLine(signer, note));
}

/** Removes what was ever said for this key. Failures: those of a Shelf. */
export async function withdrawEndorsements(shelf: Shelf, publicKey: string): Promise<void> {
  const ours = `${PREFIX}${publicKey}.`;
  const names: string[] = [];
  for await (const { name } of shelf.list(ours)) {
    if (!name.startsWith(ours)) break;
    names.push(name);
  }
  for (const name of names) await shelf.remove(name);
}

export interface EndorsementReading {
  /** Undefined: of whatever deployment those who are trusted sign for. */
  readonly deploymentId: string | undefined;
  /** Who is believed in nothing, whoever vouches for them. */
  readonly distrusted?: Trust;
  readonly signal?: AbortSignal;
}

/** Whom these trust: they themselves, and whomever one of them vouches for, and so on. Failures: those of a Shelf. */
export async function trustFrom(shelf: Shelf, trust: Trust, reading: EndorsementReading): Promise<Trust> {
  const { distrusted = [] } = reading;
  const links = (await readLinks(shelf, reading)).filter(({ key }) => !distrusted.includes(key));
  const found = new Set(trust.filter((key) => !distrusted.includes(key)));
  // A set goes through what is added to it while it is gone through.
  for (const by of found) for (const link of links) if (link.by === by) found.add(link.key);
  return [...found];
}

interface Link {
  readonly key: string;
  readonly by: string;
}

async function readLinks(
  shelf: Shelf,
  { deploymentId, signal }: EndorsementReading,
): Promise<readonly Link[]> {
  const links: Link[] = [];
  let looked = 0;
  for await (const { name } of shelf.list(PREFIX, signal)) {
    if (!name.startsWith(PREFIX) || looked === MOST) break;
    if (!NAME.test(name)) continue;
    looked += 1;
    const link = linkIn(await readSmall(shelf, name, LONGEST, signal), name, deploymentId);
    if (link) links.push(link);
  }
  return links;
}

/** Undefined for what is not as somebody has signed it. */
function linkIn(bytes: Buffer, name: string, deploymentId: string | undefined): Link | undefined {
  const signed = readSigned(bytes);
  if (!signed) return undefined;
  try {
    const { public_key, deployment_id } = readRecord(endorsement, signed.line, name);
    const isOurs = deploymentId === undefined || deployment_id === deploymentId;
    return isOurs ? { key: public_key, by: signed.signedBy } : undefined;
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}
