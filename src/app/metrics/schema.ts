import type { MigrationPlan } from '../../store/migrations/plan.ts';
import type { Registry } from './registry.ts';
import type { Source } from './sources.ts';

/** The schema changes at an upgrade only, and asking takes a connection of its own, ms. */
const FRESHNESS = 30_000;
/** Who waits for a migration wants to see its end, ms. */
const FRESHNESS_WHILE_PENDING = 1000;

/** How far the database's schema is. */
export function schemaSource(
  registry: Registry,
  plan: () => Promise<Pick<MigrationPlan, 'applied' | 'pending'>>,
): Source {
  let isCurrent = false;
  return {
    name: 'schema',
    get freshness() {
      return isCurrent ? FRESHNESS : FRESHNESS_WHILE_PENDING;
    },
    async ask() {
      const { applied, pending } = await plan();
      isCurrent = pending.length === 0;
      const newest = Math.max(0, ...applied.map(({ version }) => version));
      registry.replace('authserver_schema_version', [{ labels: {}, value: newest }]);
      registry.replace('authserver_schema_pending_steps', [{ labels: {}, value: pending.length }]);
    },
  };
}
