/** The head of a chain: a small signed file, written again and again, that says until when the log is complete. */
import { z } from 'zod';
import { Failure } from '../../kernel/errors.ts';
import { readRecord } from '../manifest.ts';
import { checkTrust, readSigned, type Signer, signLine } from '../signature.ts';
import type { Shelf } from '../targets/shelf.ts';
import { readSmall, writeSmall } from '../targets/small-file.ts';
import { headName } from './names.ts';
import { chainMembers, damagedSegment, type SegmentReading } from './segment.ts';

const count = z.int().nonnegative();

const chainHead = z.strictObject({
  type: z.literal('authserver.log-head'),
  ...chainMembers,
  /** When the chain began, ms. */
  begun_at: count,
  /** The last frame, or row; 0 when there is none yet. */
  last: count,
  /** Whatever was committed until then, ms, is in the chain. */
  until: count,
});

export type ChainHead = Readonly<z.output<typeof chainHead>>;

const LONGEST = 16 * 1024;

/** Failures: those of a Shelf. */
export async function writeHead(
  shelf: Shelf,
  head: Omit<ChainHead, 'type' | 'format'>,
  signer: Signer,
): Promise<void> {
  const signed = await signLine(signer, { type: 'authserver.log-head', format: 1, ...head });
  await writeSmall(shelf, headName(head.chain), signed);
}

/** Failures: `not_found`; `refused` when it is not as it was written, or not of that deployment. */
export async function readHead(
  shelf: Shelf,
  chain: string,
  { deploymentId, trust, signal }: SegmentReading,
): Promise<ChainHead> {
  const name = headName(chain);
  const signed = readSigned(await readSmall(shelf, name, LONGEST, signal));
  if (!signed) throw damagedSegment(name, 'its signature does not hold');
  checkTrust(signed.signedBy, trust);
  const head = readRecord(chainHead, signed.line, name);
  if (head.deployment_id !== deploymentId || head.chain !== chain) {
    throw new Failure('refused', `The log head ${name} belongs to another deployment or chain.`);
  }
  return head;
}
