/** Everything that the doctor looks at, in the order of its report. docs/operate/doctor.md says what each one means. */
import { judgeAudit } from './audit.ts';
import {
  judgeAge,
  judgeDrills,
  judgeNewest,
  judgeRecoveryKey,
  judgeSafetyCopies,
  judgeTargets,
} from './backups.ts';
import { judgeClock } from './clock.ts';
import { judgeDatabase } from './database.ts';
import { type Check, check } from './examine.ts';
import { judgeAdminListener, judgeIssuer, judgeLimits, judgeMetrics, judgeSecrets } from './exposure.ts';
import { judgeModes, judgePlaces, judgeSpace } from './files.ts';
import { judgeKeys } from './keys.ts';
import { judgeConnections, judgeDurability, judgeServer, judgeTools } from './postgres.ts';
import { judgeRecoveryLog } from './recovery-log.ts';
import { judgeSchedules } from './schedules.ts';
import { judgeIntegrity, judgeJournal, judgeLibrary } from './sqlite.ts';

export const checks: readonly Check[] = [
  check('database', 'the database and its schema', ['database'], judgeDatabase),
  check('sqlite-library', 'the version of SQLite', ['sqliteLibrary'], judgeLibrary),
  check('sqlite-journal', 'the journal of the database file', ['sqliteFile'], judgeJournal),
  check('sqlite-integrity', 'the pages of the database file', ['integrity'], judgeIntegrity),
  check('postgres-version', 'the version of PostgreSQL', ['postgres'], judgeServer),
  check('postgres-durability', 'what PostgreSQL has on disk', ['postgres'], judgeDurability),
  check('postgres-connections', 'the connections of PostgreSQL', ['postgres'], judgeConnections),
  check('postgres-tools', 'the tools of PostgreSQL', ['postgres'], judgeTools),
  check('file-systems', 'what the files lie on', ['places'], judgePlaces),
  check('free-space', 'room for a restore', ['space'], judgeSpace),
  check('file-modes', 'who may read what is secret', ['modes'], judgeModes),
  check('keys', 'the signing keys', ['keys'], judgeKeys),
  check('clock', 'the clock of this machine', ['clock'], judgeClock),
  check('audit-chain', 'the audit trail', ['audit'], judgeAudit),
  check('backup-age', 'the last verified backup', ['backups'], judgeAge),
  check('backup-newest', 'the newest backup', ['backups'], judgeNewest),
  check('backup-targets', 'where backups are', ['backups'], judgeTargets),
  check('recovery-key', 'what opens the backups', ['recoveryKey'], judgeRecoveryKey),
  check('recovery-log', 'the recovery log', ['recoveryLog'], judgeRecoveryLog),
  check('drills', 'rehearsals', ['drills'], judgeDrills),
  check('schedules', 'what happens by itself', ['schedules'], judgeSchedules),
  check('safety-copies', 'copies left behind', ['safetyCopies'], judgeSafetyCopies),
  check('admin-listener', 'who reaches the admin API', ['exposure'], judgeAdminListener),
  check('metrics', 'who reads the metrics', ['exposure'], judgeMetrics),
  check('issuer', 'the address of this server', ['exposure'], judgeIssuer),
  check('limits', 'limits on requests', ['exposure'], judgeLimits),
  check('secrets', 'secrets that people chose', ['secrets'], judgeSecrets),
];
