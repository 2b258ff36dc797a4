import { z } from 'zod';
import { isBackupId } from '../archive/backup-id.ts';
import { readBody } from '../http/json-body.ts';
import { CONFLICT_POLICIES, type ReinstateReport } from '../ops/reinstate/report.ts';
import { THING_KINDS } from '../ops/reinstate/thing.ts';
import { onlyHere } from './access.ts';
import type { AdminParts, AdminRoute } from './admin-route.ts';
import { longVerb } from './long-verb.ts';

const id = z.string().min(1).max(200);

const reinstateBody = z.strictObject({
  backup: z.string().refine(isBackupId, 'must be the id of a backup'),
  deployment_id: id,
  program: id,
  state_of: z.int().min(0),
  seen: z.string().max(100).nullable(),
  things: z
    .array(z.strictObject({ kind: z.enum(THING_KINDS), id: z.string().min(1), name: z.string() }))
    .min(1)
    .max(100),
  // A name that becomes part of a path.
  rows: z.string().regex(/^rows_[0-9a-z]{26}$/, 'must be the name of rows that were laid down'),
  on_conflict: z.enum(CONFLICT_POLICIES),
  dry_run: z.boolean(),
});

/** POST /admin/reinstate puts things back whose rows a command on this machine has laid down out of a backup. */
export function reinstateRoutes({ reinstatement, stopping }: AdminParts): AdminRoute[] {
  return longVerb<z.output<typeof reinstateBody>, never, ReinstateReport>(
    {
      path: '/admin/reinstate',
      read: (request) => readBody(reinstateBody, request.json ?? {}),
      async run(input, watch, caller) {
        onlyHere(
          caller,
          'Nothing is taken back from a backup over the network.',
          'authserver restore BACKUP --only user:ID',
        );
        const { reinstate } = await import('../ops/reinstate/reinstate.ts');
        return reinstate(await reinstatement(), input, watch, caller);
      },
    },
    stopping,
  );
}
