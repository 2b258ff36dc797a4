import { z } from 'zod';
import { isBackupId } from '../archive/backup-id.ts';
import { SIGNER_KEY } from '../archive/signature.ts';
import { readBody } from '../http/json-body.ts';
import type { CreateProgress, CreateReport } from '../ops/backup/create-report.ts';
import type { KeyReport } from '../ops/backup/key.ts';
import { labelFault, MOST_TAGS, REASON, TAG } from '../ops/backup/label.ts';
import type { ListReport } from '../ops/backup/list.ts';
import type { PinReport } from '../ops/backup/pin.ts';
import type { PruneReport } from '../ops/backup/prune.ts';
import { onlyHere } from './access.ts';
import type { AdminParts, AdminRoute } from './admin-route.ts';
import { longVerb } from './long-verb.ts';

const label = (kind: Parameters<typeof labelFault>[1]) =>
  z.string().superRefine((text, context) => {
    const message = labelFault(text, kind);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });
const targetName = z.string().max(64).nullable().default(null);

const createBody = z.strictObject({
  target: targetName,
  tags: z.array(label(TAG)).max(MOST_TAGS).default([]),
  plaintext: z.boolean().default(false),
  verify: z.boolean().default(true),
});
const listBody = z.strictObject({ target: targetName });
const pinBody = z.strictObject({
  id: z.string().refine(isBackupId, 'must be the id of a backup'),
  pinned: z.boolean(),
  reason: label(REASON).default(''),
});
const pruneBody = z.strictObject({
  target: targetName,
  dry_run: z.boolean().default(false),
  accept: z.array(z.enum(['future_dated', 'clock_jumped', 'kept_set_shrinks'])).default([]),
});
const keyBody = z.strictObject({
  recipient: z.string().regex(/^age1[a-z0-9]{58}$/, 'must be an age recipient'),
});

const signerBody = z.strictObject({
  signer: z.string().regex(SIGNER_KEY, 'must be a public signing key'),
});

/** POST /admin/backups makes one; the routes below it list, pin and remove backups and look after the recovery key. */
export function backupRoutes({ backups, stopping }: AdminParts): AdminRoute[] {
  return [
    ...longVerb<z.output<typeof createBody>, CreateProgress, CreateReport>(
      {
        path: '/admin/backups',
        read: (request) => readBody(createBody, request.json ?? {}),
        run: async (input, watch, caller) => {
          if (input.plaintext)
            onlyHere(
              caller,
              'A backup that is not encrypted is not made over the network.',
              'authserver backup create --plaintext',
            );
          const { createBackup } = await import('../ops/backup/create.ts');
          return createBackup(await backups(), input, watch, caller);
        },
      },
      stopping,
    ),
    ...longVerb<z.output<typeof listBody>, never, ListReport>(
      {
        path: '/admin/backups/list',
        read: (request) => readBody(listBody, request.json ?? {}),
        async run(input, { signal }) {
          const { listBackups } = await import('../ops/backup/list.ts');
          return listBackups(await backups(), { ...input, signal });
        },
      },
      stopping,
    ),
    ...longVerb<z.output<typeof pinBody>, never, PinReport>(
      {
        path: '/admin/backups/pin',
        read: (request) => readBody(pinBody, request.json ?? {}),
        async run(input, _, caller) {
          const { pinBackup } = await import('../ops/backup/pin.ts');
          return pinBackup(await backups(), input, caller);
        },
      },
      stopping,
    ),
    ...longVerb<z.output<typeof pruneBody>, never, PruneReport>(
      {
        path: '/admin/backups/prune',
        read: (request) => readBody(pruneBody, request.json ?? {}),
        async run(input, { signal }, caller) {
          const { pruneBackups } = await import('../ops/backup/prune.ts');
          return pruneBackups(await backups(), input, signal, caller);
        },
      },
      stopping,
    ),
    ...keyRoutes({ backups, stopping }),
  ];
}

function keyRoutes({ backups, stopping }: Pick<AdminParts, 'backups' | 'stopping'>): AdminRoute[] {
  const verbs = () => import('../ops/backup/key.ts');
  return [
    ...longVerb<unknown, never, KeyReport>(
      {
        path: '/admin/backups/key',
        read: () => undefined,
        run: async () => (await verbs()).showKey(await backups()),
      },
      stopping,
    ),
    ...longVerb<z.output<typeof keyBody>, never, KeyReport>(
      {
        path: '/admin/backups/key/confirm',
        read: (request) => readBody(keyBody, request.json ?? {}),
        run: async ({ recipient }, _, caller) =>
          (await verbs()).confirmKey(await backups(), recipient, caller),
      },
      stopping,
    ),
    ...longVerb<z.output<typeof keyBody>, never, KeyReport>(
      {
        path: '/admin/backups/key/replace',
        read: (request) => readBody(keyBody, request.json ?? {}),
        run: async ({ recipient }, _, caller) => {
          onlyHere(
            caller,
            'Whom backups are for is not changed over the network.',
            'authserver backup key replace',
          );
          return (await verbs()).replaceKey(await backups(), recipient, caller);
        },
      },
      stopping,
    ),
    ...longVerb<z.output<typeof signerBody>, never, KeyReport>(
      {
        path: '/admin/backups/key/distrust',
        read: (request) => readBody(signerBody, request.json ?? {}),
        run: async ({ signer }, _, caller) => {
          onlyHere(
            caller,
            'Whose signatures count is not changed over the network.',
            'authserver backup key distrust',
          );
          return (await verbs()).distrustSigner(await backups(), signer, caller);
        },
      },
      stopping,
    ),
  ];
}
