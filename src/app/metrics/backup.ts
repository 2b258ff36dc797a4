import type { Clock } from '../../kernel/clock.ts';
import { RememberedBackups } from '../../ops/backup/remembered.ts';
import type { Store } from '../../store/store.ts';
import type { Registry } from './registry.ts';
import type { Source } from './sources.ts';

/** A backup comes a few times a day; its age goes on by itself, ms. */
const FRESHNESS = 15_000;

/** How old the last backup is that counts, whoever made it. */
export function backupSource(
  registry: Registry,
  { store, clock }: { readonly store: Pick<Store, 'settings' | 'deployment'>; readonly clock: Clock },
): Source {
  const remembered = new RememberedBackups(store.settings);
  return {
    name: 'backup',
    freshness: FRESHNESS,
    async ask() {
      const last = await remembered.lastVerified();
      const since = last?.made_at ?? (await store.deployment.get({})).created_at;
      registry.gauge('authserver_backup_verified_age_seconds', () => Math.max(0, clock.now() - since) / 1000);
      registry.gauge('authserver_backup_size_bytes', () => last?.size ?? 0);
      registry.gauge('authserver_backup_rto_seconds', () => (last?.rto_ms ?? 0) / 1000);
    },
  };
}
