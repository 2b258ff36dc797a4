import type { SettingStore } from '../../store/store.ts';
import type { Config } from '../config.ts';
import type { Registry } from './registry.ts';
import type { Source } from './sources.ts';

/** Asking takes a connection of its own; the lag grows by the second, and its limit is a minute, ms. */
const FRESHNESS = 15_000;

/** How far behind the archive of a PostgreSQL database is, whoever keeps it. */
export function pointInTimeSource(registry: Registry, config: Config, settings: SettingStore): Source {
  return {
    name: 'point_in_time',
    freshness: FRESHNESS,
    async ask() {
      const { rememberedStatus } = await import('../pgbackrest/status.ts');
      const { ok, recovery_lag_seconds: lag } = await rememberedStatus(config, settings);
      registry.replace('authserver_recovery_ready', [{ labels: {}, value: ok ? 1 : 0 }]);
      // Where nobody can tell, 0 would be a lie.
      registry.replace('authserver_recovery_lag_seconds', [{ labels: {}, value: lag ?? Number.NaN }]);
    },
  };
}
