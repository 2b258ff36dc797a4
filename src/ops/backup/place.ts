/**
 * ops/backup: making backups, listing them and keeping as many as wanted. It knows targets, records and keys; it must not
 * know which engine is backed up, how the settings are written, or what a route looks like.
 */
import type { RetentionPolicy } from '../../archive/retention.ts';
import type { Shelf } from '../../archive/targets/shelf.ts';
import type { Target } from '../../archive/targets/target.ts';

/** A place where backups lie. */
export interface BackupPlace {
  readonly target: Target;
  /** The same place for what is no backup: segments of the recovery log. */
  readonly shelf: Shelf;
  readonly policy: RetentionPolicy;
}
