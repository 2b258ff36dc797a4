/** Rotation of the signing key: what it would do and when, and the schedule that does it by itself. */
import type { AuditTrail } from '../audit/trail.ts';
import { asFailure } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { Keyring, KeyringState, KeyStatus, Rotation } from '../keys/keyring.ts';
import { activatesAt, retiresAt } from '../keys/lifecycle.ts';
import { type LeaseParts, underLease } from './lease.ts';

export interface RotationPlan {
  /** The key that signs now. */
  readonly signing: string | null;
  /** A key that is published already: a rotation makes no other. */
  readonly waiting: string | null;
  /** ms, when the waiting key, or one that is made now, begins to sign. */
  readonly signs_from: number;
  /** ms, until when the former key verifies at least: longer where clients have longer tokens. */
  readonly former_verifies_until: number;
  /** ms, when the schedule rotates next; null where it does not, or where a key waits. */
  readonly scheduled_at: number | null;
}

export function planRotation(keyring: Pick<Keyring, 'timing' | 'state'>, now: number): RotationPlan {
  const { timing } = keyring;
  const state = keyring.state();
  const waiting = state.keys.find((key) => key.state === 'pending');
  const signs_from = Math.max(now, waiting?.activates_at ?? activatesAt(now, timing));
  const due = dueAt(state, timing.rotationInterval);
  return {
    signing: state.signing,
    waiting: waiting?.kid ?? null,
    signs_from,
    former_verifies_until: retiresAt(signs_from, timing.longestLifetime, timing),
    scheduled_at: due === undefined ? null : Math.max(now, due),
  };
}

export interface ScheduleParts extends LeaseParts {
  readonly keyring: Pick<Keyring, 'timing' | 'state' | 'reload' | 'rotate'>;
  readonly audit: AuditTrail;
  readonly log: Log;
}

/** How long, ms, a rotation that failed is left alone. */
const RETRY_AFTER = 600_000;

/** Rotates when the key that signs is old enough: one server of the deployment does, and says so. */
export class RotationSchedule {
  readonly #parts: ScheduleParts;
  #notBefore = 0;
  #running = false;

  constructor(parts: ScheduleParts) {
    this.#parts = parts;
  }

  /** To be called every few seconds; costs nothing while nothing is due. Never throws: trouble is logged. */
  async tick(): Promise<Rotation | undefined> {
    const { clock, log } = this.#parts;
    if (this.#running || clock.now() < this.#notBefore || !this.#isDue()) return undefined;
    this.#running = true;
    try {
      return await this.#run();
    } catch (error) {
      const { code, message, hint, detail } = asFailure(error);
      log.error({ code, hint, detail }, `the signing key is due for rotation, which failed: ${message}`);
      this.#notBefore = clock.now() + RETRY_AFTER;
      return undefined;
    } finally {
      this.#running = false;
    }
  }

  async #run(): Promise<Rotation | undefined> {
    const { keyring, audit, log } = this.#parts;
    const run = await underLease(this.#parts, 'rotate', async () => {
      // Another server may have been first.
      await keyring.reload();
      return this.#isDue() ? keyring.rotate() : undefined;
    });
    const rotation = run.outcome === 'done' ? run.value : undefined;
    if (!rotation?.started) return rotation;
    const { kid, activates_at } = rotation;
    log.info(
      { kid, activates_at },
      'the signing key has reached keys.rotation_interval; its successor is published',
    );
    await audit.record({
      action: 'key.rotation_asked',
      actor: 'system',
      detail: { kid, started: true, why: 'interval' },
    });
    return rotation;
  }

  #isDue(): boolean {
    const { keyring, clock } = this.#parts;
    const due = dueAt(keyring.state(), keyring.timing.rotationInterval);
    return due !== undefined && due <= clock.now();
  }
}

/** ms, when the signing key is to be replaced; undefined while another one waits, or nothing can sign. */
function dueAt({ keys }: KeyringState, interval: number): number | undefined {
  if (interval === 0 || keys.some(({ state }) => state === 'pending')) return undefined;
  const active = keys.find(({ state, usable }) => state === 'active' && usable);
  return active && since(active) + interval;
}

function since({ activated_at, activates_at }: KeyStatus): number {
  return activated_at ?? activates_at;
}
