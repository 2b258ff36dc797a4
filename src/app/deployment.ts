/** Whose database is it? The state directory keeps the id of the deployment that it belongs to, and so does the database. */
import { Failure } from '../kernel/errors.ts';
import { readState, stateFiles, writeState } from './state-dir.ts';

/** What accepts an empty database in the place of the one that the state directory knows. */
const NEW_DEPLOYMENT = 'new';

/** Who has lost everything must not be sent to make an empty database. */
export const LOST =
  'For one that was lost: `authserver restore --latest --recovery-key FILE`, with the recovery sheet; `authserver backup list --recovery-key FILE` shows what there is.';

/**
 * @param found the id in the database; undefined where it is empty
 * @param accepted what somebody named as the one that the state directory is to go over to
 * Failures: `refused` when the state directory belongs to another deployment, or another was accepted
 */
export function checkDeployment(stateDir: string, found: string | undefined, accepted?: string): void {
  if (accepted === undefined) checkKnown(stateDir, found);
  else checkAccepted(accepted, found);
}

/** Ties the state directory to the deployment, after everything that could be refused. */
export function rememberDeployment(stateDir: string, id: string | undefined): void {
  if (id === undefined || knownDeployment(stateDir) === id) return;
  writeState(stateDir, stateFiles.deployment, `${id}\n`);
}

function checkKnown(stateDir: string, found: string | undefined): void {
  const known = knownDeployment(stateDir);
  if (known === undefined || known === found) return;
  if (found === undefined) {
    throw new Failure('refused', `The database is empty, and ${stateDir} belongs to deployment ${known}.`, {
      detail: 'the settings name another database than before, or its volume is not mounted',
      hint: `See that the settings name the right database. ${LOST} To begin anew on purpose: \`authserver migrate --accept-deployment ${NEW_DEPLOYMENT}\`.`,
    });
  }
  throw new Failure('refused', `The database belongs to deployment ${found}, and ${stateDir} to ${known}.`, {
    detail: 'the settings name another database or another state directory than before',
    hint: `See that the settings name the right ones. If this database is to be served from here, as after a restore: \`authserver migrate --accept-deployment ${found}\`.`,
  });
}

function checkAccepted(named: string, found: string | undefined): void {
  if (named === (found ?? NEW_DEPLOYMENT)) return;
  throw new Failure(
    'refused',
    found === undefined
      ? `The database is empty: it does not belong to deployment ${named}.`
      : `The database belongs to deployment ${found}, not to ${named}.`,
    {
      hint: `If that is the one you mean: \`authserver migrate --accept-deployment ${found ?? NEW_DEPLOYMENT}\`.`,
    },
  );
}

function knownDeployment(stateDir: string): string | undefined {
  return readState(stateDir, stateFiles.deployment)?.trim() || undefined;
}
