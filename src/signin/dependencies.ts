import type { AuditTrail } from '../audit/trail.ts';
import type { PostLogout } from '../flow/post-logout.ts';
import type { AuthorizationRequests } from '../flow/requests.ts';
import type { Sessions } from '../identity/sessions.ts';
import type { PasswordSignIn } from '../identity/sign-in.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Meter } from '../kernel/metrics.ts';
import type { Random } from '../kernel/random.ts';
import type { Clients } from '../registry/clients.ts';
import type { Resources } from '../registry/resources.ts';
import type { ConsentStore, FamilyStore } from '../store/store.ts';
import type { Pages } from './pages.ts';

/** What the pages are given. */
export interface SignInDependencies {
  readonly issuer: string;
  /** The issuer's path: empty, or `/auth`. */
  readonly prefix: string;
  readonly pages: Pages;
  readonly signIn: Pick<PasswordSignIn, 'attempt'>;
  readonly sessions: Sessions;
  readonly requests: Pick<AuthorizationRequests, 'find' | 'decide'>;
  readonly clients: Pick<Clients, 'find'>;
  readonly resources: Pick<Resources, 'findAll' | 'list'>;
  readonly consents: Pick<ConsentStore, 'save' | 'find' | 'listOfUser' | 'withdraw'>;
  readonly families: Pick<FamilyStore, 'listOfUser'>;
  /** Where a handle of the sign-out page leads; undefined for one that leads to no registered address. */
  resolvePostLogout(handle: string): Promise<PostLogout | undefined>;
  readonly audit: Pick<AuditTrail, 'record'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly meter?: Meter;
}
