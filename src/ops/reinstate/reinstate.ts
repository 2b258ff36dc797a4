/** Puts things back into the database that is served. Twice is as good as once: what is there is not put there again. */
import type { AuditTrail } from '../../audit/trail.ts';
import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import type { Watch } from '../../kernel/watch.ts';
import { REVOCATIONS_KEPT } from '../purge-targets.ts';
import { addConsents, ConsentWalk } from './consents.ts';
import { gatherRows, lookAt, type Prospect, type ReinstateStores } from './outlook.ts';
import type { PickedRow } from './picker.ts';
import type { ReinstateReport, ReinstateRequest, ThingReport } from './report.ts';

export interface ReinstateDesk {
  readonly store: ReinstateStores;
  readonly audit: Pick<AuditTrail, 'record'>;
  readonly clock: Clock;
  readonly program: string;
  /** Rows that were laid down under a name; they may be read more than once. Failures: `configuration`. */
  former(name: string): AsyncIterable<PickedRow>;
}

/** Who asked; the audit trail keeps it. */
export interface ReinstateCaller {
  readonly actor: 'admin:operator' | 'admin:api';
  readonly ip: string | null;
}

/** Tokens that a step looks at. */
const STRETCH = 2000;

/**
 * Looks at everything first, and writes nothing where there is a conflict that the request does not settle: then `outcome`
 * is `conflict`. Failures: `refused` for a backup of another deployment or one that is too old, `conflict` when somebody
 * changes the same at that moment, `interrupted`, `unavailable`.
 */
export async function reinstate(
  desk: ReinstateDesk,
  request: ReinstateRequest,
  { signal }: Pick<Watch<never>, 'signal'>,
  caller: ReinstateCaller,
): Promise<ReinstateReport> {
  const { store } = desk;
  const seen = await checkRequest(desk, request);
  const rows = await gatherRows(desk.former(request.rows));
  const asked = { store, clock: desk.clock, rows, seen, policy: request.on_conflict };
  const prospects: Prospect[] = [];
  for (const thing of request.things) prospects.push(await lookAt(thing, asked));
  const isBlocked =
    prospects.some(({ report }) => report.action === 'left') && request.on_conflict !== 'keep';
  const walk = new ConsentWalk(store, prospects);
  const tell = (outcome: ReinstateReport['outcome']): ReinstateReport => ({
    outcome,
    dry_run: request.dry_run,
    backup: request.backup,
    state_of: request.state_of,
    things: prospects.map(({ report }) => report),
    consents: walk.report,
  });
  if (request.dry_run || isBlocked) {
    if (!isBlocked) await walk.run(desk.former(request.rows), seen, async (consents) => consents.length);
    return tell(isBlocked ? 'conflict' : 'planned');
  }
  const done: Prospect[] = [];
  try {
    for (const prospect of inOrder(prospects)) {
      heed(signal);
      if (await write(desk, prospect)) done.push(prospect);
    }
    await walk.run(desk.former(request.rows), seen, async (consents) => {
      heed(signal);
      return addConsents(store, consents);
    });
  } finally {
    // Whatever stopped it: what is back is on record.
    await record(desk, request, { prospects, done, consents: walk.report.added }, caller);
  }
  return tell('done');
}

/** The last revocation that the backup knows. */
async function checkRequest(desk: ReinstateDesk, request: ReinstateRequest): Promise<string> {
  const { id } = await desk.store.deployment.get({});
  if (request.deployment_id !== id) {
    throw new Failure('refused', `The backup is of another deployment: ${request.deployment_id}.`, {
      detail: `this deployment is ${id}`,
      hint: 'Take a backup of this deployment: `authserver backup list`.',
    });
  }
  if (request.program !== desk.program) {
    throw new Failure(
      'refused',
      `The server that runs here is version ${desk.program}, not ${request.program}.`,
      {
        hint: 'Restart it, so that both are of one version, and run the command again.',
      },
    );
  }
  const isKnown = request.state_of >= desk.clock.now() - REVOCATIONS_KEPT;
  if (request.seen !== null && isKnown) return request.seen;
  throw new Failure('refused', 'Nobody knows any more what was revoked since that backup was made.', {
    detail:
      request.seen === null ? 'it is older than the record of revocations' : 'it is older than 400 days',
    hint: 'Take a newer backup. Or look at what it holds (`authserver backup extract`) and make the thing anew.',
  });
}

const ORDER = ['client', 'user', 'resource'];

function inOrder(prospects: readonly Prospect[]): readonly Prospect[] {
  return prospects.toSorted((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
}

/** Whether there was anything to do. */
async function write(desk: ReinstateDesk, prospect: Prospect): Promise<boolean> {
  const { action } = prospect.report;
  if (action === 'add') expectWritten(await add(desk, prospect), prospect.report);
  else if (action === 'replace') expectWritten(await replace(desk, prospect), prospect.report);
  else return false;
  return true;
}

async function add({ store, clock }: ReinstateDesk, prospect: Prospect): Promise<string> {
  if (prospect.kind === 'resource')
    return (await store.resources.create({ resource: prospect.former })).outcome;
  const { until } = prospect;
  if (prospect.kind === 'user') return (await store.reinstate.user({ ...prospect.former, until })).outcome;
  await voidTokens(store, prospect.report.id, clock.now());
  return (await store.reinstate.client({ ...prospect.former, until })).outcome;
}

/** Metadata only: whether it is in force, and its credentials, stay as they are now. */
async function replace({ store, clock }: ReinstateDesk, prospect: Prospect): Promise<string> {
  const updated_at = clock.now();
  if (prospect.kind === 'resource')
    return (await store.resources.update({ resource: { ...prospect.former, updated_at } })).outcome;
  if (prospect.kind === 'user')
    return (await store.users.update({ user: { ...prospect.former.user, updated_at } })).outcome;
  return (await store.clients.update({ client: { ...prospect.former.client, updated_at } })).outcome;
}

async function voidTokens(store: ReinstateStores, client_id: string, now: number): Promise<void> {
  for (let after: number | null = now; after !== null; ) {
    const step: { next: number | null } = await store.reinstate.voidTokens({
      client_id,
      now,
      after,
      limit: STRETCH,
    });
    after = step.next;
  }
}

const WRITTEN: readonly string[] = ['reinstated', 'created', 'updated'];

function expectWritten(outcome: string, { kind, id }: ThingReport): void {
  if (WRITTEN.includes(outcome)) return;
  throw new Failure('conflict', `Somebody has changed ${kind} ${id}, or taken its name, just now.`, {
    detail: outcome,
    hint: 'Nothing of it was written. Run the command again: it looks at everything anew.',
  });
}

async function record(
  { audit }: ReinstateDesk,
  { backup, state_of }: ReinstateRequest,
  work: {
    readonly prospects: readonly Prospect[];
    readonly done: readonly Prospect[];
    readonly consents: number;
  },
  caller: ReinstateCaller,
): Promise<void> {
  const touched = work.consents > 0 ? work.prospects.filter(({ kind }) => kind !== 'resource') : [];
  for (const prospect of new Set([...work.done, ...touched])) {
    const { kind, id, action, held, password, secrets } = prospect.report;
    await audit.record({
      action: `${kind}.reinstated`,
      ...caller,
      ...(kind === 'user' && { user_id: id }),
      ...(kind === 'client' && { client_id: id }),
      detail: { id, backup, state_of, action, held, password, secrets, consents: work.consents },
    });
  }
}

function heed(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw new Failure('interrupted', 'It was stopped before everything was back.', {
    hint: 'What was put back so far is back. Run it again: it goes on with what is missing.',
  });
}
