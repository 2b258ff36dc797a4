import { z } from 'zod';
import { isBackupId } from '../archive/backup-id.ts';
import { readBody } from '../http/json-body.ts';
import type {
  LearnReport,
  VerifyProgress,
  VerifyReport,
  VerifyRequest,
} from '../ops/verify/verify-report.ts';
import type { AdminParts, AdminRoute } from './admin-route.ts';
import { longVerb } from './long-verb.ts';

const verifyBody = z.strictObject({
  /** `latest`, `all`, or one by its id. */
  which: z
    .union([z.literal('latest'), z.literal('all'), z.strictObject({ id: z.string().max(100) })])
    .default('latest'),
  /** The name of a target; null for all. */
  target: z.string().max(100).nullable().default(null),
  /** Of those that have passed before, only every n-th is read again. */
  part: z.int().min(1).max(1000).nullable().default(null),
  /** Lets go of backups that are gone without a receipt. */
  accept_missing: z.boolean().default(false),
});

const learnBody = z.strictObject({
  ids: z.array(z.string().refine(isBackupId, 'must be the id of a backup')).max(1000),
});

/**
 * POST /admin/backups/verify restores backups into a scratch database and tries them, with what the settings open; it tells
 * how far it is in JSON lines. POST /admin/backups/verify/stop ends it. POST /admin/backups/verified has it remember what
 * was verified elsewhere, by the signed proofs that lie beside the backups.
 */
export function backupVerifyRoutes({ verification, stopping }: AdminParts): AdminRoute[] {
  return [
    ...longVerb<VerifyRequest, VerifyProgress, VerifyReport>(
      {
        path: '/admin/backups/verify',
        read(request) {
          const { accept_missing, ...body } = readBody(verifyBody, request.json ?? {});
          return { ...body, acceptMissing: accept_missing };
        },
        run: async (request, watch, { actor, ip }) =>
          (await verification()).run(request, watch, { actor, ip }),
      },
      stopping,
    ),
    ...longVerb<z.output<typeof learnBody>, never, LearnReport>(
      {
        path: '/admin/backups/verified',
        read: (request) => readBody(learnBody, request.json ?? {}),
        run: async ({ ids }, { signal }, { actor, ip }) =>
          (await verification()).learn(ids, signal, { actor, ip }),
      },
      stopping,
    ),
  ];
}
