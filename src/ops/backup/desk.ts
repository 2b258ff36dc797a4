/** What the verbs about backups are done with. */
import type { Encryption, Identities } from '../../archive/age.ts';
import type { CatalogEntry } from '../../archive/catalog.ts';
import type { Trust } from '../../archive/signature.ts';
import type { AuditTrail } from '../../audit/trail.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Ids } from '../../kernel/ids.ts';
import type { Log } from '../../kernel/log.ts';
import type { Meter } from '../../kernel/metrics.ts';
import type { Random } from '../../kernel/random.ts';
import type { Aggregates } from '../../store/store.ts';
import type { Proof } from '../verify/proof.ts';
import type { BackupIdentity } from './identity.ts';
import type { KeyText } from './one-unit.ts';
import type { KeyRows, Packer } from './pack.ts';
import type { BackupPlace } from './place.ts';
import type { Receipts } from './receipts.ts';

export interface ProofSubject {
  readonly archive: AsyncIterable<Uint8Array>;
  readonly file?: { readonly size: number; readonly sha256: string };
  readonly id?: string;
  readonly deploymentId?: string;
  readonly identities: Identities;
  readonly trust: Trust;
  /** Of the tar within, bytes, where it is known: what a restore needs room for. */
  readonly unpackedSize?: number;
}

/** Restores a backup into a scratch database and tries it. Failures: `interrupted`, `unavailable`, `refused`. */
export type Prover = (
  subject: ProofSubject,
  watch: { readonly signal: AbortSignal; readonly progress: (step: string) => void },
) => Promise<Proof>;

/** The identity, with the key that signs as a text that goes into the archive. */
export interface SigningIdentity extends BackupIdentity {
  readonly signingKey: { readonly name: string; readonly text: string };
}

export interface BackupDesk {
  readonly store: Pick<Aggregates, 'settings' | 'leases' | 'deployment'>;
  readonly audit: Pick<AuditTrail, 'record'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  readonly log: Log;
  readonly meter: Meter;
  /** Where this process runs, for whoever finds a lease taken. */
  readonly runner: string;
  readonly program: string;
  /** A folder of this process's machine for archives that are being made. */
  readonly spool: string;
  /** All targets, or the named one. Failures: `invalid_input`. */
  places(only?: string): Promise<readonly BackupPlace[]>;
  identity(): Promise<SigningIdentity>;
  /** How a backup is encrypted; undefined while there is nobody whom one could be for. Failures: `configuration`. */
  encryption(): Promise<Encryption | undefined>;
  /** Whose signatures count; makes nothing. */
  trust(): Promise<Trust>;
  readonly receipts: Receipts;
  readonly pack: Packer;
  readonly prove: Prover;
  /** The private halves that are files now. */
  readKeys(): Promise<readonly KeyText[]>;
  /** A token signed by the key that is active in these rows; null when it cannot sign. */
  signCanary(rows: KeyRows): Promise<string | null>;
  /** Which moments a restore reaches besides those of the backups; undefined where there is no recovery log. */
  windows?(
    places: readonly BackupPlace[],
    trust: Trust,
    entries: readonly CatalogEntry[],
  ): Promise<readonly RecoveryWindow[]>;
  /** Takes away what of the recovery log is older than every backup that stays; says how many pieces that were. */
  expireLog?(place: BackupPlace, oldest: CatalogEntry | undefined): Promise<number>;
  /** Tells whoever waits for it that there is a verified backup. Never rejects. */
  heartbeat(): Promise<void>;
  /** The effective settings; secrets are fingerprints. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** A time, ms, of which every moment can be restored. */
export interface RecoveryWindow {
  readonly from: number;
  readonly to: number;
}

/** Who asked; the audit trail keeps it. */
export interface BackupCaller {
  readonly actor: 'admin:operator' | 'admin:api' | 'system';
  readonly ip: string | null;
}
