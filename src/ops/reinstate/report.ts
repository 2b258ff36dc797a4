/** What putting things back would do, or has done. */
import type { HeldBack } from '../../store/store.ts';
import type { FoundThing } from './picker.ts';

export const CONFLICT_POLICIES = ['report', 'keep', 'replace'] as const;
/** `report`: nothing is written when there is one; `keep`: what is there stays; `replace`: what is there becomes as it was. */
export type ConflictPolicy = (typeof CONFLICT_POLICIES)[number];

export interface ReinstateRequest {
  /** The id of the backup. */
  readonly backup: string;
  readonly deployment_id: string;
  /** The version that has laid the rows down. */
  readonly program: string;
  /** Whatever was committed by then is in the backup, ms. */
  readonly state_of: number;
  /** The last revocation that the backup knows; null where it is older than the record of revocations. */
  readonly seen: string | null;
  readonly things: readonly FoundThing[];
  /** Under which name the rows were laid down. */
  readonly rows: string;
  readonly on_conflict: ConflictPolicy;
  readonly dry_run: boolean;
}

export type Conflict =
  /** Somebody else has it: `column` is `username`, `email` or `uri`; `id` for what was removed and made again. */
  | { readonly kind: 'taken'; readonly column: string; readonly by: string }
  /** It is there, and is not as it was. */
  | { readonly kind: 'differs'; readonly columns: readonly string[] };

export interface ThingReport extends FoundThing {
  /** `none`: it is there as it was; `left`: a conflict, and what is there stays. */
  readonly action: 'add' | 'replace' | 'none' | 'left';
  readonly conflicts: readonly Conflict[];
  /** What was taken away since the backup, and does not come back. */
  readonly held: readonly HeldBack[];
  /** When it was removed, ms; null where it is there, or nobody knows. */
  readonly removed_at: number | null;
  /** Whether the password comes back; null for what has none. */
  readonly password: boolean | null;
  /** How many client secrets come back. */
  readonly secrets: number;
}

export interface ConsentReport {
  readonly added: number;
  /** There already, whatever they say now. */
  readonly present: number;
  /** Withdrawn since, and not coming back. */
  readonly withdrawn: number;
  /** Of users or clients that are not there. */
  readonly orphaned: number;
  /** Some of these: take them back in the same run, and their consents come too. */
  readonly missing: readonly string[];
}

export interface ReinstateReport {
  readonly outcome: 'planned' | 'done' | 'conflict';
  readonly dry_run: boolean;
  readonly backup: string;
  readonly state_of: number;
  readonly things: readonly ThingReport[];
  readonly consents: ConsentReport;
}
