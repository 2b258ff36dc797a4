import type { Clock } from '../../kernel/clock.ts';
import { LAST_RUN, type Purge } from '../../ops/purge.ts';
import type { Store } from '../../store/store.ts';
import type { Registry } from './registry.ts';
import type { Source } from './sources.ts';

export interface PurgeSourceParts {
  readonly purge: Pick<Purge, 'backlog'>;
  readonly store: Pick<Store, 'settings' | 'deployment'>;
  readonly clock: Clock;
}

/** A backlog grows by the hour; a few reads a target every minute are enough to see it, ms. */
const FRESHNESS = 60_000;

/** How far behind the purge is, whoever runs it. */
export function purgeSource(registry: Registry, { purge, store, clock }: PurgeSourceParts): Source {
  const lastRun = async () => {
    const setting = await store.settings.get({ name: LAST_RUN });
    return setting === undefined ? (await store.deployment.get({})).created_at : Number(setting.value);
  };
  return {
    name: 'purge',
    freshness: FRESHNESS,
    async ask() {
      const last = await lastRun();
      registry.gauge('authserver_purge_last_run_age_seconds', () => (clock.now() - last) / 1000);
      const backlog = await purge.backlog();
      const now = clock.now();
      registry.replace(
        'authserver_purge_backlog_seconds',
        backlog.map(({ target, oldest }) => ({
          labels: { target },
          value: oldest === null ? 0 : Math.max(0, now - oldest) / 1000,
        })),
      );
    },
  };
}
