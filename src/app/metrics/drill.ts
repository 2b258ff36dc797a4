import type { Clock } from '../../kernel/clock.ts';
import { RememberedDrills } from '../../ops/drill/history.ts';
import type { Store } from '../../store/store.ts';
import type { Config } from '../config.ts';
import { drillAge, drillHealth } from '../drill/scheduled.ts';
import type { Registry } from './registry.ts';
import type { Source } from './sources.ts';

/** A drill comes a few times a year; its age is looked at now and then, ms. */
const FRESHNESS = 60_000;

/** How long ago the last drill has passed, and what it measured. */
export function drillSource(
  registry: Registry,
  { config, store, clock }: { config: Config; store: Pick<Store, 'settings' | 'deployment'>; clock: Clock },
): Source {
  const remembered = new RememberedDrills(store.settings);
  return {
    name: 'drill',
    freshness: FRESHNESS,
    async ask() {
      const passed = await remembered.lastPassed();
      const age = await drillAge(store, clock);
      const { ok } = await drillHealth(config, store, clock);
      const askedAt = clock.now();
      registry.gauge('authserver_drill_passed_age_seconds', () => (age + clock.now() - askedAt) / 1000);
      registry.gauge('authserver_drill_overdue', () => (ok ? 0 : 1));
      registry.gauge('authserver_drill_rto_seconds', () => (passed?.rto ?? 0) / 1000);
      registry.gauge('authserver_drill_rpo_seconds', () => (passed?.rpo ?? 0) / 1000);
    },
  };
}
