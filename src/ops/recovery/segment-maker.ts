/** Makes segments for whoever opens backups, each once however many shelves it goes to. */
import { createHash } from 'node:crypto';
import type { Encryption } from '../../archive/age.ts';
import { encrypt } from '../../archive/age.ts';
import { makeIdentity, recipientOf } from '../../archive/age-keys.ts';
import { keyName, segmentName } from '../../archive/log/names.ts';
import { type Sealing, type Segment, type SegmentClaim, sealSegment } from '../../archive/log/segment.ts';
import type { Random } from '../../kernel/random.ts';
import type { BackupIdentity } from '../backup/identity.ts';
import type { Stretch } from './spool-view.ts';

/** A segment, and the file that has to lie beside it. */
export interface MadeSegment extends Segment {
  readonly key: KeyFile | undefined;
}

/** A passphrase takes a second to apply: it opens the key of a chain, and that the segments. */
export interface KeyFile {
  readonly name: string;
  readonly bytes: Buffer;
}

interface ChainKey {
  readonly recipient: string;
  readonly file: KeyFile;
}

/** So many are kept for shelves that come for them a little later. */
const KEPT = 4;

export class SegmentMaker {
  readonly #random: Random;
  readonly #made = new Map<string, Promise<MadeSegment>>();
  readonly #keys = new Map<string, Promise<ChainKey>>();

  constructor(random: Random) {
    this.#random = random;
  }

  ofChanges(stretch: Stretch, isMerged: boolean, identity: BackupIdentity): Promise<MadeSegment> {
    const { header, pieces, size, ...range } = stretch;
    const { chain, deployment_id, restore_epoch, schema_version } = header;
    return this.#once(segmentName({ chain, ...range, isMerged }), (name) =>
      this.make(
        name,
        { kind: 'changes', chain, deployment_id, restore_epoch, schema_version, ...range },
        pieces,
        identity,
      ),
    );
  }

  /** Failures: `invalid_input` without a recipient. */
  async make(
    name: string,
    claim: SegmentClaim,
    plain: readonly Uint8Array[],
    { encryption, signer }: BackupIdentity,
  ): Promise<MadeSegment> {
    const { key, ...to } = await this.#sealing(claim.chain, encryption);
    const sealing: Sealing = { ...to, key: key?.name ?? null, signer, random: this.#random };
    return { ...(await sealSegment(name, claim, plain, sealing)), key };
  }

  async #sealing(chain: string, encryption: Encryption): Promise<{ encryption: Encryption; key?: KeyFile }> {
    if (encryption.kind !== 'passphrase') return { encryption };
    const { recipient, file } = await this.#keyOf(chain, encryption);
    return { encryption: { kind: 'age', recipients: [recipient] }, key: file };
  }

  #keyOf(chain: string, encryption: Extract<Encryption, { kind: 'passphrase' }>): Promise<ChainKey> {
    const known = `${chain} ${createHash('sha256').update(encryption.passphrase).digest('hex')}`;
    const key = this.#keys.get(known) ?? makeChainKey(chain, encryption, this.#random);
    this.#keys.set(known, key);
    key.catch(() => this.#keys.delete(known));
    return key;
  }

  #once(name: string, make: (name: string) => Promise<MadeSegment>): Promise<MadeSegment> {
    const known = this.#made.get(name);
    if (known) return known;
    const made = make(name);
    this.#made.set(name, made);
    made.catch(() => this.#made.delete(name));
    const [oldest] = this.#made.keys();
    if (this.#made.size > KEPT && oldest !== undefined) this.#made.delete(oldest);
    return made;
  }
}

async function makeChainKey(
  chain: string,
  encryption: Extract<Encryption, { kind: 'passphrase' }>,
  random: Random,
): Promise<ChainKey> {
  const identity = makeIdentity(random);
  const pieces: Buffer[] = [];
  for await (const piece of encrypt(once(Buffer.from(`${identity}\n`)), encryption, random))
    pieces.push(piece);
  const name = keyName(chain, random.bytes(8).toString('hex'));
  return { recipient: recipientOf(identity), file: { name, bytes: Buffer.concat(pieces) } };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}
