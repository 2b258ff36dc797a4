import type { Health } from '../health.ts';
import type { Registry } from './registry.ts';
import type { Source } from './sources.ts';

/** Whether the database answers, as the probes have it. */
export function databaseSource(registry: Registry, health: Pick<Health, 'database'>): Source {
  return {
    name: 'database',
    freshness: 0,
    async ask() {
      const { ok } = await health.database();
      registry.replace('authserver_database_up', [{ labels: {}, value: ok ? 1 : 0 }]);
    },
  };
}
