/**
 * signin: the pages that a person meets (sign in, consent, sign out, account, errors), all of which work without scripts.
 * It owns what they say and what their forms do; it must not know the protocol: after a step it sends the browser back to
 * the flow's resume path with the handle of the stored request, and that is all.
 */
import type { Route } from '../http/exchange.ts';
import { accountRoutes } from './account.ts';
import { consentRoutes } from './consent.ts';
import type { SignInDependencies } from './dependencies.ts';
import { homeRoutes } from './home.ts';
import { signInRoutes } from './sign-in.ts';
import { signOutRoutes } from './sign-out.ts';
import { styleRoutes } from './style.ts';

/** Every page, with paths below the issuer's path. */
export function signinRoutes(dependencies: SignInDependencies): readonly Route[] {
  return [
    ...homeRoutes(dependencies),
    ...signInRoutes(dependencies),
    ...consentRoutes(dependencies),
    ...signOutRoutes(dependencies),
    ...accountRoutes(dependencies),
    ...styleRoutes(),
  ];
}
