/** What others can reach, and what they can guess. */
import { staysOnThisMachine } from '../../kernel/loopback.ts';
import type { Facts } from './facts.ts';
import { failing, type Verdict, verdict, warning } from './finding.ts';

export function judgeAdminListener({ exposure }: Pick<Facts, 'exposure'>): Verdict {
  const { adminHost } = exposure;
  if (adminHost === undefined) return verdict('the admin API listens on no address', []);
  return verdict(`the admin API listens on ${adminHost} alone`, [
    isReachable(adminHost)
      ? warning(
          `the admin API listens on ${adminHost}, without TLS: whoever reaches it may guess its key or read it on the way`,
          'Leave admin.address on loopback (`:9001`), or see that only the network of your operators reaches it.',
        )
      : undefined,
  ]);
}

export function judgeMetrics({ exposure }: Pick<Facts, 'exposure'>): Verdict {
  const { adminHost, openMetrics } = exposure;
  const open = openMetrics && adminHost !== undefined && isReachable(adminHost);
  return verdict('the metrics are open to nobody else', [
    open
      ? warning(
          `/metrics is open to whoever reaches ${adminHost}`,
          'Set observability.metrics.token to 32 random characters, and give it to the scraper.',
        )
      : undefined,
  ]);
}

export function judgeIssuer({ exposure: { issuer, publicHost } }: Pick<Facts, 'exposure'>): Verdict {
  const url = new URL(issuer);
  const local = staysOnThisMachine(url.hostname);
  return verdict(`clients know this server as ${issuer}`, [
    url.protocol === 'http:' && !local
      ? failing(
          `the issuer ${issuer} is plain http: tokens and passwords can be read on the way`,
          'Set server.issuer to an https:// address.',
        )
      : undefined,
    local && isReachable(publicHost)
      ? warning(
          `the server listens on ${publicHost}, and clients elsewhere are told that it is ${issuer}`,
          'Set server.issuer to the https:// address that they use.',
        )
      : undefined,
  ]);
}

export function judgeLimits({ exposure }: Pick<Facts, 'exposure'>): Verdict {
  const { rateLimit, guessingLimit, openRegistration } = exposure;
  return verdict('requests, failed sign-ins and registrations are limited', [
    rateLimit ? undefined : warning('requests are not limited', 'Set rate_limit.enabled to true.'),
    guessingLimit
      ? undefined
      : failing(
          'passwords may be guessed as often as anybody likes',
          'Set rate_limit.auth_fail_max to 10, or to some other number above 0.',
        ),
    openRegistration
      ? warning(
          'anybody may register a client',
          'If that is not meant: set dcr.mode to admin_only or to approved_redirects.',
        )
      : undefined,
  ]);
}

export function judgeSecrets({ secrets }: Pick<Facts, 'secrets'>): Verdict {
  return verdict(
    'no secret of the settings is one that everybody knows',
    secrets.map(({ name, isWeak, staysHere }) => {
      if (!isWeak) return undefined;
      const finding = `${name} is easy to guess`;
      const hint = 'Take what `openssl rand -base64 24` prints.';
      return staysHere ? warning(finding, hint) : failing(finding, hint);
    }),
  );
}

/** From another machine. */
function isReachable(host: string): boolean {
  return !staysOnThisMachine(host.includes(':') ? `[${host}]` : host);
}
