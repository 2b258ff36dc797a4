import type { AuditTrail } from '../audit/trail.ts';
import type { Incoming, Outgoing, Route } from '../http/exchange.ts';
import type { Lockout } from '../identity/lockout.ts';
import type { Sessions } from '../identity/sessions.ts';
import type { Users } from '../identity/users.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Ids } from '../kernel/ids.ts';
import type { Random } from '../kernel/random.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { Custody } from '../keys/sealing/custody.ts';
import type { BackupDesk } from '../ops/backup/desk.ts';
import type { DrillDesk } from '../ops/drill/record.ts';
import type { Purge } from '../ops/purge.ts';
import type { ReinstateDesk } from '../ops/reinstate/reinstate.ts';
import type { Verification } from '../ops/verify/verify.ts';
import type { Clients, GrantType } from '../registry/clients.ts';
import type { Resources } from '../registry/resources.ts';
import type { Aggregates } from '../store/store.ts';
import type { AdminApiKey } from './admin-api-key.ts';

/** Who is calling, once admitted: what the audit trail keeps of it. */
export interface Caller {
  /** `admin:operator` has a shell on this machine, `admin:api` the API key. */
  readonly actor: 'admin:operator' | 'admin:api';
  readonly ip: string | null;
}

/** A route that only ever runs for somebody admitted (access.ts). */
export interface AdminRoute extends Pick<Route, 'method' | 'path'> {
  readonly body: 'none' | 'json';
  handle(request: Incoming, caller: Caller): Promise<Outgoing>;
}

/** What the admin API is made of. */
export interface AdminParts {
  readonly store: Pick<
    Aggregates,
    | 'clients'
    | 'resources'
    | 'registrations'
    | 'audit'
    | 'deployment'
    | 'health'
    | 'keys'
    | 'dataKeys'
    | 'privateKeys'
    | 'settings'
    | 'leases'
  >;
  readonly clients: Clients;
  readonly resources: Resources;
  readonly users: Users;
  readonly sessions: Sessions;
  readonly keyring: Pick<Keyring, 'state' | 'rotate' | 'management' | 'timing'>;
  readonly custody: Custody;
  readonly purge: Pick<Purge, 'run'>;
  // Chores that most servers are never asked for are loaded when they are, with all that does them.
  backups(): Promise<BackupDesk>;
  reinstatement(): Promise<ReinstateDesk>;
  verification(): Promise<Verification>;
  drills(): Promise<DrillDesk>;
  readonly audit: AuditTrail;
  readonly apiKey: AdminApiKey;
  readonly lockout: Lockout;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  /** The grants that this server offers. */
  readonly grantTypes: readonly GrantType[];
  /** Aborted when the server stops: verbs that take long stop then. */
  readonly stopping: AbortSignal;
  /** What `GET /admin/status` tells besides what it asks. */
  readonly facts: {
    readonly version: string;
    readonly issuer: string;
    readonly storage: 'sqlite' | 'postgres';
  };
}
