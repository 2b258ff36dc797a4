/** The drills that a server makes by itself, as its settings say; and whether one is overdue. */
import { hostname } from 'node:os';
import type { Clock } from '../../kernel/clock.ts';
import { formatDuration } from '../../kernel/duration.ts';
import { RememberedDrills } from '../../ops/drill/history.ts';
import { scheduleDrills } from '../../ops/drill/schedule.ts';
import type { Store } from '../../store/store.ts';
import type { Rooms } from '../compose.ts';
import type { Config } from '../config.ts';
import type { Check } from '../health.ts';

const SYSTEM = { actor: 'system', ip: null } as const;
const HOUR = 3_600_000;

/** Undefined where the settings say no. */
export function drillOnSchedule(rooms: Rooms): AsyncDisposable | undefined {
  const { config, store, clock, random, ids, log } = rooms;
  const { schedule } = config.drill;
  if (schedule === 'off') return undefined;
  return scheduleDrills({
    schedule,
    remembered: new RememberedDrills(store.settings),
    installedAt: async () => (await store.deployment.get({})).created_at,
    async rehearse(name, signal) {
      // Loaded when it is needed: it brings a second server with it.
      const { rehearse } = await import('./drill.ts');
      const { recordDrill } = await import('../../ops/drill/record.ts');
      const { signReport } = await import('../../ops/drill/report.ts');
      const { openSigningKey } = await import('../backup/signing-key.ts');
      const { makeDrillDesk } = await import('./desk.ts');
      const watch = { progress: () => undefined, signal };
      const report = await rehearse(config, { name, key: undefined }, { clock, random, log }, watch);
      const signed = await signReport(report, openSigningKey(config.state_dir, random));
      return recordDrill(makeDrillDesk(rooms), signed, SYSTEM);
    },
    leases: store.leases,
    clock,
    ids,
    runner: `${hostname()}, process ${process.pid}`,
    log,
  });
}

type Stores = Pick<Store, 'settings' | 'deployment'>;

/** How long ago the last drill was that has passed, ms; where there was none, the age of the installation. */
export async function drillAge({ settings, deployment }: Stores, clock: Clock): Promise<number> {
  const last = await new RememberedDrills(settings).lastPassed();
  const since = last?.at ?? (await deployment.get({})).created_at;
  return Math.max(0, clock.now() - since);
}

/** What `/ready?ops` says of drills: something only where they are to happen by themselves. */
export async function drillHealth({ drill }: Config, store: Stores, clock: Clock): Promise<Check> {
  if (drill.schedule === 'off') return { ok: true };
  const age = await drillAge(store, clock);
  if (age <= drill.max_age) return { ok: true };
  const shown = formatDuration(Math.floor(age / HOUR) * HOUR);
  return {
    ok: false,
    problem: `no drill has passed for ${shown}; drill.max_age is ${formatDuration(drill.max_age)}`,
  };
}
