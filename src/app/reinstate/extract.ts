/** `authserver backup extract`: what a backup knows of one thing, as a document. */
import { Failure } from '../../kernel/errors.ts';
import type { PickedRow } from '../../ops/reinstate/picker.ts';
import type { Thing } from '../../ops/reinstate/thing.ts';
import type { Config } from '../config.ts';
import type { BackupRequest } from './open-backup.ts';
import { type Picked, pick } from './pick.ts';

export interface ExtractRequest extends BackupRequest {
  readonly thing: Thing;
  /** With hashes of passwords, secrets and tokens. */
  readonly secrets: boolean;
}

type Document = Readonly<Record<string, unknown>>;

export interface Extract {
  readonly type: 'authserver.extract';
  readonly backup: string;
  readonly deployment_id: string;
  readonly state_of: number;
  readonly kind: Thing['kind'];
  /** The thing itself, in the columns of its table; JSON columns without `_json`, taken apart. */
  readonly [part: string]: unknown;
}

/** Consents of one thing that a document holds. */
const MOST = 100_000;

/** Failures: as `pick`; `refused` for a client with more consents than a document holds. */
export async function extract(
  config: Config,
  { thing, secrets, ...request }: ExtractRequest,
  signal: AbortSignal,
): Promise<Extract> {
  const gathered = new Gathered(secrets);
  const picked = await pick(config, { ...request, things: [thing] }, (rows) => gathered.take(rows), signal);
  return { ...headOf(picked, thing), ...gathered.document(thing) };
}

function headOf({ backup, deployment_id, state_of }: Picked, { kind }: Thing): Extract {
  return { type: 'authserver.extract', backup, deployment_id, state_of, kind };
}

class Gathered {
  readonly #secrets: boolean;
  readonly #rows = new Map<PickedRow['table'], Document[]>();

  constructor(secrets: boolean) {
    this.#secrets = secrets;
  }

  async take(rows: AsyncIterable<PickedRow>): Promise<void> {
    for await (const { table, row } of rows) {
      const of = this.#rows.get(table) ?? [];
      if (of.length >= MOST) throw tooMany();
      of.push(shown({ ...row }, this.#secrets));
      this.#rows.set(table, of);
    }
  }

  document({ kind }: Thing): Document {
    const of = (table: PickedRow['table']) => this.#rows.get(table) ?? [];
    if (kind === 'user')
      return { user: of('users')[0], password: of('passwords')[0] ?? null, consents: of('consents') };
    if (kind === 'client')
      return { client: of('clients')[0], secrets: of('client_secrets'), consents: of('consents') };
    return { resource: of('resources')[0] };
  }
}

/** Columns that end in `hash` are left out unless secrets are asked for. */
function shown(row: Document, secrets: boolean): Document {
  return Object.fromEntries(
    Object.entries(row).flatMap(([column, value]) => {
      if (/(^|_)hash$/.test(column)) return secrets ? [[column, value]] : [];
      if (column.endsWith('_json') && typeof value === 'string')
        return [[column.slice(0, -'_json'.length), JSON.parse(value) as unknown]];
      return [[column, value]];
    }),
  );
}

function tooMany(): Failure {
  return new Failure('refused', `It has more than ${MOST} consents, which no document holds.`, {
    hint: 'Restore the backup elsewhere and look at it there: `authserver restore BACKUP --into PATH`.',
  });
}
