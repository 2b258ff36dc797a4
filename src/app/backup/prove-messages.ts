/** What the two ends of a proof say to each other. */
import type { LogFields } from '../../kernel/log.ts';
import type { ProofSubject } from '../../ops/backup/desk.ts';
import type { Proof } from '../../ops/verify/proof.ts';
import type { FailureParcel } from '../../store/failure-parcel.ts';
import type { Config } from '../config.ts';

/** What the thread is started with. */
export interface ProofJob {
  readonly config: Config;
  /** The bytes are asked for. */
  readonly subject: Omit<ProofSubject, 'archive'>;
}

export type FromProver =
  | { readonly wants: 'bytes' }
  | { readonly step: string }
  | { readonly level: 'debug' | 'warn'; readonly fields: LogFields; readonly text: string }
  | { readonly proof: Proof }
  | { readonly failure: FailureParcel; readonly cannotRead: boolean };

/** Each wish for bytes has one answer: some, none at the end, or why there are no more. */
export type ToProver = { readonly bytes: Uint8Array | null } | { readonly broken: FailureParcel };
