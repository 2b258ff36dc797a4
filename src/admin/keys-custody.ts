import { z } from 'zod';
import type { AuditTrail } from '../audit/trail.ts';
import type { Incoming } from '../http/exchange.ts';
import { readBody } from '../http/json-body.ts';
import type { Clock } from '../kernel/clock.ts';
import { Failure } from '../kernel/errors.ts';
import type { Ids } from '../kernel/ids.ts';
import type { Random } from '../kernel/random.ts';
import type { Watch } from '../kernel/watch.ts';
import type { Custody } from '../keys/sealing/custody.ts';
import type { ReencryptProgress, ReencryptReport } from '../keys/sealing/reencrypt.ts';
import type { ShareSet } from '../keys/sealing/shares.ts';
import type { MoveParts, MoveProgress, MoveReport } from '../keys/stores/move.ts';
import { underLease } from '../ops/lease.ts';
import type { Aggregates } from '../store/store.ts';
import { onlyHere } from './access.ts';
import type { AdminParts, AdminRoute, Caller } from './admin-route.ts';
import { longVerb } from './long-verb.ts';

/** What the verbs below need, in a server or in a process of their own. */
export interface CustodyParts {
  readonly store: Pick<Aggregates, 'keys' | 'dataKeys' | 'privateKeys' | 'settings' | 'leases'>;
  readonly custody: Custody;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly random: Random;
}

const reencryptBody = z.strictObject({ data_keys: z.boolean().default(false) });
const moveBody = z.strictObject({ to: z.string().max(64) });
const abandonBody = z.strictObject({ master_key_id: z.string().max(512) });
const sharesBody = z.strictObject({
  threshold: z.int().min(2).max(255),
  shares: z.int().min(2).max(255),
});

export type ReencryptInput = z.infer<typeof reencryptBody>;
export type MoveInput = z.infer<typeof moveBody>;
export type AbandonInput = z.infer<typeof abandonBody>;
export type SharesInput = z.infer<typeof sharesBody>;

/** Which master keys the database needs, and which the settings have. */
export interface MasterKeyReport {
  readonly needed: readonly string[];
  /** The set of recovery shares that was made last. */
  readonly shares: ShareSet | null;
}

export interface AbandonReport {
  readonly master_key_id: string;
  readonly data_keys: number;
  readonly rows: number;
}

export interface SharesReport extends ShareSet {
  /** Shown once; kept nowhere. */
  readonly texts: readonly string[];
}

/** /admin/keys/...: where private keys are and what seals them. */
export function custodyRoutes(parts: AdminParts): AdminRoute[] {
  const { stopping } = parts;
  return [
    ...longVerb<ReencryptInput, ReencryptProgress, ReencryptReport>(
      { path: '/admin/keys/reencrypt', read: reading(reencryptBody), run: withActor(parts, reencryptKeys) },
      stopping,
    ),
    ...longVerb<MoveInput, MoveProgress, MoveReport>(
      { path: '/admin/keys/move', read: reading(moveBody), run: withActor(parts, movePrivateKeys) },
      stopping,
    ),
    ...longVerb<SharesInput, never, SharesReport>(
      { path: '/admin/keys/shares', read: reading(sharesBody), run: withActor(parts, shareMasterKey) },
      stopping,
    ),
    ...longVerb<AbandonInput, never, AbandonReport>(
      { path: '/admin/keys/abandon', read: reading(abandonBody), run: withActor(parts, abandonMasterKey) },
      stopping,
    ),
    ...longVerb<object, never, MasterKeyReport>(
      {
        path: '/admin/keys/master-key',
        read: reading(z.strictObject({})),
        run: async () => masterKeyReport(parts.store),
      },
      stopping,
    ),
  ];
}

export async function reencryptKeys(
  { store, custody, audit }: CustodyParts,
  { data_keys }: ReencryptInput,
  watch: Watch<ReencryptProgress>,
  caller: Caller,
): Promise<ReencryptReport> {
  const { reencrypt } = await import('../keys/sealing/reencrypt.ts');
  const { sealedPrivateKeys } = await import('../keys/sealing/sealed-rows.ts');
  const parts = {
    store: store.dataKeys,
    dataKeys: await custody.dataKeys(),
    tables: [sealedPrivateKeys(store.privateKeys)],
  };
  const report = await reencrypt(parts, { newDataKey: data_keys }, watch);
  const { master_key_id, proven } = report;
  const { rewrapped } = report.data_keys;
  const { resealed } = report.rows;
  await audit.record({
    action: 'key.reencrypted',
    ...caller,
    detail: { master_key_id, rewrapped, resealed, proven },
  });
  return report;
}

export async function movePrivateKeys(
  { store, custody, audit, clock, ids }: CustodyParts,
  { to }: MoveInput,
  watch: Watch<MoveProgress>,
  caller: Caller,
): Promise<MoveReport> {
  const parts: MoveParts = {
    keys: store.keys,
    privateKeys: store.privateKeys,
    keyStores: custody,
    onMoved: (move) => audit.record({ action: 'key.moved', ...caller, detail: { ...move, to } }),
  };
  const { moveKeys } = await import('../keys/stores/move.ts');
  // Two in opposite directions would each remove the copy that the other one has proven.
  const run = await underLease({ leases: store.leases, clock, ids }, 'move-keys', (lost) =>
    moveKeys(parts, to, { ...watch, signal: AbortSignal.any([watch.signal, lost]) }),
  );
  if (run.outcome === 'held') {
    throw new Failure('conflict', 'Private keys are being moved already.', {
      hint: 'Let that end, then run the command again. A run that was killed gives way after a minute.',
    });
  }
  return run.value;
}

export async function shareMasterKey(
  { store, custody, audit, clock, random }: CustodyParts,
  { threshold, shares }: SharesInput,
  _: Watch<never>,
  caller: Caller,
): Promise<SharesReport> {
  onlyHere(caller, 'Recovery shares do not travel over the network.', 'authserver keys shares create');
  const { makeShares } = await import('../keys/sealing/shares.ts');
  const { current } = await custody.masters();
  if (current.secret === undefined) {
    throw new Failure(
      'refused',
      `The master key ${current.id} is not in this process and cannot be shared.`,
      {
        hint: 'Vault has recovery keys of its own: see its documentation on `operator init`.',
      },
    );
  }
  const { needed } = await masterKeyReport(store);
  const others = needed.filter((id) => id !== current.id);
  if (others.length > 0) {
    throw new Failure(
      'refused',
      `The database still needs ${others.join(', ')}, which shares of ${current.id} would not rebuild.`,
      { hint: 'Run `authserver keys reencrypt`, then make the shares.' },
    );
  }
  const { set, texts } = await makeShares(current.secret, { threshold, shares, now: clock.now() }, random);
  const setting = { name: SHARES_SETTING, value: JSON.stringify(set), updated_at: clock.now() };
  await store.settings.put({ setting, if_absent: false });
  await audit.record({ action: 'master_key.shared', ...caller, detail: { ...set } });
  return { ...set, texts };
}

/** For those who have lost a master key for good. */
export async function abandonMasterKey(
  { store, custody, audit }: CustodyParts,
  { master_key_id }: AbandonInput,
  _: Watch<never>,
  caller: Caller,
): Promise<AbandonReport> {
  onlyHere(caller, 'What is sealed is not given up over the network.', 'authserver keys abandon');
  const { needed } = await masterKeyReport(store);
  if (!needed.includes(master_key_id)) {
    throw new Failure('not_found', `Nothing is sealed under the master key ${master_key_id}.`, {
      hint: needed.length === 0 ? 'Nothing is sealed at all.' : `The database needs ${needed.join(', ')}.`,
    });
  }
  // A key that cannot be read now may be the very one.
  const masters = custody.state().data_encryption === 'none' ? undefined : await custody.masters();
  if (masters?.all.some(({ id }) => id === master_key_id)) {
    throw new Failure('refused', `The settings have the master key ${master_key_id}: nothing is lost.`, {
      hint: 'To replace it: authserver keys reencrypt',
    });
  }
  const report = { master_key_id, ...(await store.dataKeys.abandon({ master_key_id })) };
  await audit.record({ action: 'master_key.abandoned', ...caller, detail: report });
  return report;
}

export async function masterKeyReport(
  store: Pick<Aggregates, 'dataKeys' | 'settings'>,
): Promise<MasterKeyReport> {
  const rows = await store.dataKeys.list({});
  const kept = await store.settings.get({ name: SHARES_SETTING });
  return {
    needed: [...new Set(rows.map(({ master_key_id }) => master_key_id))],
    shares: kept === undefined ? null : (JSON.parse(kept.value) as ShareSet),
  };
}

const SHARES_SETTING = 'master_key_shares';

type Verb<Input, Progress, Report> = (
  parts: CustodyParts,
  input: Input,
  watch: Watch<Progress>,
  caller: Caller,
) => Promise<Report>;

function withActor<Input, Progress, Report>(parts: AdminParts, verb: Verb<Input, Progress, Report>) {
  return (input: Input, watch: Watch<Progress>, caller: Caller) => verb(parts, input, watch, caller);
}

function reading<Schema extends z.ZodType>(schema: Schema): (request: Incoming) => z.infer<Schema> {
  return ({ json }) => readBody(schema, json);
}
