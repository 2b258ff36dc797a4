/** What the two ends of the making of an archive say to each other. */
import type { ArchiveTail, Written } from '../../archive/writer.ts';
import type { KeyRows, PackProgress, PackRequest } from '../../ops/backup/pack.ts';
import type { FailureParcel } from '../../store/failure-parcel.ts';
import type { StorageChoice } from '../open-store.ts';

/** What the thread is started with. */
export interface PackJob {
  readonly request: PackRequest;
  readonly storage: StorageChoice;
  /** PKCS #8 of the key that signs. */
  readonly signingKey: string;
  readonly program: string;
}

export type FromPacker =
  | { readonly begun: true }
  | { readonly progress: PackProgress }
  | { readonly rows: KeyRows }
  | { readonly written: Written }
  | { readonly failure: FailureParcel };

export interface ToPacker {
  readonly tail: ArchiveTail;
}
