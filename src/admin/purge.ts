import { z } from 'zod';
import { readBody } from '../http/json-body.ts';
import type { PurgeProgress, PurgeReport } from '../ops/purge-report.ts';
import { chooseTargets } from '../ops/purge-targets.ts';
import type { AdminParts, AdminRoute } from './admin-route.ts';
import { longVerb } from './long-verb.ts';

const purgeBody = z.strictObject({
  /** Names of targets; null for all. */
  only: z.array(z.string().max(100)).max(100).nullable().default(null),
  /** Seconds; 0 for none. */
  timeout: z
    .number()
    .min(0)
    .max(30 * 86_400)
    .default(600),
  dry_run: z.boolean().default(false),
});

/** POST /admin/purge takes away what has run out, and tells how far it is in JSON lines; POST /admin/purge/stop ends it. */
export function purgeRoutes({ purge, stopping }: AdminParts): AdminRoute[] {
  return longVerb<z.output<typeof purgeBody>, PurgeProgress, PurgeReport>(
    {
      path: '/admin/purge',
      read(request) {
        const body = readBody(purgeBody, request.json ?? {});
        chooseTargets(body.only);
        return body;
      },
      run: ({ timeout, ...request }, watch, { actor, ip }) =>
        purge.run({ ...request, timeout: timeout * 1000 }, watch, { actor, ip }),
    },
    stopping,
  );
}
