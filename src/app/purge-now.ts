import type { Watch } from '../kernel/watch.ts';
import type { PurgeRequest } from '../ops/purge.ts';
import { logTarget, type PurgeProgress, type PurgeReport } from '../ops/purge-report.ts';
import type { Config } from './config.ts';
import { perform } from './day-two.ts';
import { makeLog } from './log.ts';
import { purgeSource } from './metrics/purge.ts';
import { makePurge } from './purge.ts';

/** Purges where the store is: in the server that runs here, or in this process. Failures: `unavailable`, `refused`. */
export async function purgeNow(
  config: Config,
  request: PurgeRequest,
  watch: Watch<PurgeProgress>,
): Promise<PurgeReport> {
  let loggedHere = false;
  const report = await perform<PurgeProgress, PurgeReport>(
    config,
    {
      path: '/admin/purge',
      body: { ...request, timeout: request.timeout / 1000 },
      here: (workshop, told) => {
        loggedHere = true;
        const { metrics } = workshop;
        const purge = makePurge({ ...workshop, meter: metrics.meter });
        metrics.add((registry) => purgeSource(registry, { ...workshop, purge }));
        return purge.run(request, told, { actor: 'admin:operator', ip: null });
      },
    },
    watch,
  );
  // What a server did is in its log; whoever asked, or their journal, is to see it too.
  if (!loggedHere && !report.dry_run) {
    const log = makeLog(config.observability.logging);
    for (const target of report.targets) logTarget(log, target);
  }
  return report;
}
