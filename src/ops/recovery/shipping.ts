/**
 * ops/recovery: the recovery log on its way to the shelves of backups, and back. It knows the spool, segments and shelves; it
 * must not know what a batch changes, nor how a restore goes. Here: what whoever ships is given, and what it tells.
 */
import type { Shelf } from '../../archive/targets/shelf.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Log } from '../../kernel/log.ts';
import type { Random } from '../../kernel/random.ts';
import type { Store } from '../../store/store.ts';
import type { BackupIdentity } from '../backup/identity.ts';

export interface LogShelf {
  readonly name: string;
  readonly shelf: Shelf;
}

/** All in ms, but `mergeSize`, which is bytes. */
export interface ShippingPace {
  readonly interval: number;
  /** Between two looks at what lies on a shelf. */
  readonly look: number;
  /** What is older is merged into larger segments. */
  readonly mergeAge: number;
  /** So is what is more than this. */
  readonly mergeSize: number;
}

export const PACE: ShippingPace = {
  interval: 1000,
  look: 60_000,
  mergeAge: 3_600_000,
  mergeSize: 8 * 2 ** 20,
};

export interface ShipperParts {
  readonly shelves: readonly LogShelf[];
  /** Of the spool. */
  readonly folder: string;
  readonly store: Pick<Store, 'settings' | 'health' | 'revocations'>;
  /** Asked again for each shipment: recipients may change. */
  identity(): Promise<BackupIdentity>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly pace: ShippingPace;
  readonly events: ShippingEvents;
}

export interface ShippingEvents {
  /** The chain that is written now, when it is seen for the first time. */
  chainSeen(chain: SeenChain): void;
  /** What was shipped is not there as it should be; a new chain begins. */
  chainBroke(shelf: string): void;
  shipped(shelf: string, bytes: number): void;
}

export interface SeenChain {
  readonly chain: string;
  /** ms: a backup that was made from then on can be taken forward. */
  readonly begunAt: number;
  /** Why the one before it ended. */
  readonly reason: string;
}

/** How it goes with one shelf. */
export interface ShelfState {
  readonly shelf: string;
  /** Age, ms, of the oldest commit that the shelf lacks; 0 when it lacks none. */
  readonly lag: number;
  readonly problem: string | undefined;
}
