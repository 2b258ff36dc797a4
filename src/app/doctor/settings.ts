/** What the settings alone tell. */
import { readSchedule } from '../../kernel/cron.ts';
import { staysOnThisMachine } from '../../kernel/loopback.ts';
import type { DrillFacts, ExposureFacts, SecretFact } from '../../ops/doctor/facts.ts';
import { firstMeeting } from '../../ops/doctor/schedules.ts';
import { isEasyToGuess } from '../config/rules.ts';
import type { Config } from '../config.ts';
import { hostnameOf, passwordOf } from './dsn.ts';

/** So many coming drills are looked at. */
const DRILLS_AHEAD = 60;

export function exposureOf({ admin, server, observability, rate_limit, dcr }: Config): ExposureFacts {
  const { provider, token } = observability.metrics;
  return {
    adminHost: admin.enabled ? admin.address.host : undefined,
    publicHost: server.address.host,
    issuer: server.issuer,
    openMetrics: token === undefined && (provider === 'prometheus' || provider === 'both'),
    rateLimit: rate_limit.enabled,
    guessingLimit: rate_limit.auth_fail_max > 0,
    openRegistration: dcr.mode === 'open',
  };
}

/** Those that the rules of the configuration let pass, because a connection or an old archive may need them. */
export function secretsOf({ storage, backup, admin, observability }: Config): readonly SecretFact[] {
  const found: { name: string; secret: string | undefined; staysHere: boolean }[] = [
    { name: 'admin.api_key', secret: admin.api_key, staysHere: false },
    { name: 'observability.metrics.token', secret: observability.metrics.token, staysHere: false },
    { name: 'backup.passphrase', secret: backup.passphrase, staysHere: false },
  ];
  if (storage.driver === 'postgres') {
    const dsn = storage.postgres.dsn ?? '';
    const host = hostnameOf(dsn);
    const staysHere = host === '' || staysOnThisMachine(host);
    found.push({ name: 'the password in storage.postgres.dsn', secret: passwordOf(dsn), staysHere });
  }
  return found.flatMap(({ name, secret, staysHere }) =>
    secret === undefined
      ? []
      : [{ name, staysHere, isWeak: isEasyToGuess(secret) || /^postgres/i.test(secret) }],
  );
}

/** When a backup and a drill next begin together, ms. */
export function nextMeeting({ backup, drill }: Config, now: number): number | undefined {
  if (backup.schedule === 'off' || drill.schedule === 'off') return undefined;
  const drills = readSchedule(drill.schedule).nextRuns(DRILLS_AHEAD, new Date(now));
  const backups = readSchedule(backup.schedule);
  const before = (at: Date) => backups.nextRun(new Date(at.getTime() - 60_000))?.getTime() ?? 0;
  return firstMeeting(
    drills.map((at) => at.getTime()),
    drills.map(before),
  );
}

/** The last drill, as the database remembers it. */
export function lastDrill(value: string | undefined): DrillFacts['last'] {
  if (value === undefined) return undefined;
  const { at, name, passed } = JSON.parse(value) as { at: number; name: string; passed: boolean };
  return { at, name, passed };
}
