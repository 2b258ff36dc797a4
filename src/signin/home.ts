import { paths } from '../flow/paths.ts';
import type { Incoming, Outgoing, Route } from '../http/exchange.ts';
import type { SignInDependencies } from './dependencies.ts';
import { page, sessionOf } from './visit.ts';

/** What this server is, where to sign in, and where programs find the rest. */
export function homeRoutes(dependencies: SignInDependencies): readonly Route[] {
  const handle = (request: Incoming) => showHome(dependencies, request);
  return [{ method: 'GET', path: paths.home, kind: 'page', body: 'none', handle }];
}

async function showHome(dependencies: SignInDependencies, request: Incoming): Promise<Outgoing> {
  const session = await sessionOf(dependencies, request);
  const frame = { title: 'Welcome', ...(session && { username: session.username }) };
  return page(200, dependencies.pages.render('home', frame, { issuer: dependencies.issuer }));
}
