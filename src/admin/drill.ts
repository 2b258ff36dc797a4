import { z } from 'zod';
import { readBody } from '../http/json-body.ts';
import type { DrillReport } from '../ops/drill/report.ts';
import type { AdminParts, AdminRoute } from './admin-route.ts';
import { longVerb } from './long-verb.ts';

const drillBody = z.strictObject({
  /** The report as two lines: itself, and the signature over it. */
  report: z.string().max(500_000),
});

/** POST /admin/drills keeps the signed report of a drill that a command on this machine has done. */
export function drillRoutes({ drills, stopping }: AdminParts): AdminRoute[] {
  return longVerb<z.output<typeof drillBody>, never, DrillReport>(
    {
      path: '/admin/drills',
      read: (request) => readBody(drillBody, request.json ?? {}),
      async run({ report }, _, caller) {
        const { recordDrill } = await import('../ops/drill/record.ts');
        return recordDrill(await drills(), report, caller);
      },
    },
    stopping,
  );
}
