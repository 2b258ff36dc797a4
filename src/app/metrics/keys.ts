import type { Clock } from '../../kernel/clock.ts';
import type { Meter } from '../../kernel/metrics.ts';
import type { Keyring } from '../../keys/keyring.ts';
import { planRotation } from '../../ops/rotate.ts';
import type { KeyCustody } from '../keys.ts';
import type { Registry } from './registry.ts';
import type { Source } from './sources.ts';
import { metricTable } from './table.ts';

/** The states that a key goes through, as the table lists them. */
const STATES = metricTable['authserver_signing_keys']?.labels['state'] as readonly string[];

/** Keys that verifiers see. There are few of these; keys that have retired only add up. */
const PUBLISHED: readonly string[] = ['pending', 'active', 'retiring'];

/** Where private keys are kept. The settings say it, and they do not change while the server runs. */
export function measureCustody(meter: Meter, custody: Pick<KeyCustody, 'state'>): void {
  const { key_store, data_encryption, master_key_id } = custody.state();
  const labels = { key_store, data_encryption, master_key_id: master_key_id ?? '' };
  meter.gauge('authserver_key_custody_info', () => 1, labels);
  meter.gauge('authserver_data_keys', () => custody.state().data_keys);
}

/** What the keyring knows of the signing keys; it costs no query. */
export function keySource(
  registry: Registry,
  keyring: Pick<Keyring, 'state' | 'timing'>,
  clock: Clock,
): Source {
  registry.gauge('authserver_signing_ready', () => (keyring.state().signing === null ? 0 : 1));
  registry.gauge('authserver_signing_key_problems', () => keyring.state().problems.length);
  return {
    name: 'keys',
    freshness: 0,
    async ask() {
      const { keys } = keyring.state();
      const now = clock.now();
      const published = keys.filter(({ state }) => PUBLISHED.includes(state));
      const until = (time: number | null) => ((time ?? now) - now) / 1000;
      const { scheduled_at } = planRotation(keyring, now);
      registry.replace(
        'authserver_signing_key_rotation_due_seconds',
        scheduled_at === null ? [] : [{ labels: {}, value: until(scheduled_at) }],
      );
      registry.replace(
        'authserver_signing_keys',
        STATES.map((state) => ({
          labels: { state },
          value: keys.filter((key) => key.state === state).length,
        })),
      );
      registry.replace(
        'authserver_signing_key_info',
        published.map(({ kid, state, algorithm, key_store }) => ({
          labels: { kid, state, algorithm, key_store },
          value: 1,
        })),
      );
      registry.replace(
        'authserver_signing_key_age_seconds',
        published.map(({ kid, state, created_at }) => ({
          labels: { kid, state },
          value: (now - created_at) / 1000,
        })),
      );
      registry.replace(
        'authserver_signing_key_activation_seconds',
        published.flatMap(({ kid, state, activates_at }) =>
          state === 'pending' ? [{ labels: { kid }, value: until(activates_at) }] : [],
        ),
      );
      registry.replace(
        'authserver_signing_key_retirement_seconds',
        published.flatMap(({ kid, state, retires_at }) =>
          state === 'retiring' ? [{ labels: { kid }, value: until(retires_at) }] : [],
        ),
      );
    },
  };
}
