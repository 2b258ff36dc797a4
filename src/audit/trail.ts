/**
 * audit: what happened and who did it, appended to a chain of hashes. It must not know why something was done or whether
 * it was right; it never stands in the way of what it records.
 */
import type { Clock } from '../kernel/clock.ts';
import { asFailure } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import { type Meter, silentMeter } from '../kernel/metrics.ts';
import type { AuditStore } from '../store/store.ts';
import type { AuditAction } from './actions.ts';

export interface AuditEntry {
  readonly action: AuditAction;
  /** Who did it: `user:<id>`, `client:<id>`, `admin:<name>`, `system`, or `anonymous` before anybody has proven who they are. */
  readonly actor: string;
  readonly client_id?: string | null;
  readonly user_id?: string | null;
  readonly ip?: string | null;
  /** What else a reader needs; never a secret. */
  readonly detail?: Readonly<Record<string, unknown>>;
}

export interface AuditTrailParts {
  readonly store: Pick<AuditStore, 'append'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter?: Meter;
}

export class AuditTrail {
  readonly #store: Pick<AuditStore, 'append'>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #meter: Meter;
  #lost = 0;

  constructor({ store, clock, log, meter = silentMeter }: AuditTrailParts) {
    this.#meter = meter;
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
  }

  /** How many events could not be kept since the start. */
  get lost(): number {
    return this.#lost;
  }

  /** Keeps an event. Never rejects: what cannot be kept goes to the log, as an error, and is counted. */
  async record(entry: AuditEntry): Promise<void> {
    const at = this.#clock.now();
    this.#meter.counter('authserver_audit_events_total', { action: entry.action }).add();
    try {
      await this.#store.append({
        event: {
          at,
          action: entry.action,
          actor: storable(entry.actor),
          client_id: entry.client_id == null ? null : storable(entry.client_id),
          user_id: entry.user_id == null ? null : storable(entry.user_id),
          ip: entry.ip == null ? null : storable(entry.ip),
          detail_json: JSON.stringify(entry.detail ?? {}),
        },
      });
    } catch (error) {
      this.#lost += 1;
      this.#meter.counter('authserver_audit_events_lost_total').add();
      const { message, detail } = asFailure(error);
      this.#log.error(
        { event: { ...entry, at }, reason: message, detail },
        'an audit event could not be kept',
      );
    }
  }
}

/** Text that every engine gives back unchanged, or the chain would not verify: well-formed Unicode without U+0000. */
function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd');
}
