import { existsSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { readDeploy, readDocuments, root } from './folder.ts';

/** Lines that run something: five fields of time and a command, with the variables of the file filled in. */
function jobs(file: string): readonly string[] {
  const lines = readDeploy(`cron/${file}`)
    .split('\n')
    .filter((line) => line && !line.startsWith('#'));
  const assignment = /^([A-Z_]+)=(.*)$/;
  const variables = new Map(
    lines.flatMap((line) => [assignment.exec(line)?.slice(1, 3) as [string, string]]).filter(Boolean),
  );
  return lines
    .filter((line) => !assignment.test(line))
    .map((line) => line.replaceAll(/\$([A-Z_]+)/g, (_whole, name: string) => variables.get(name) ?? ''));
}

const TIME = String.raw`^(?:[\d*/,-]+ ){5}`;

it('the crontab runs the program where the units of systemd have it, and mails what fails', () => {
  const found = jobs('authserver.crontab');
  expect(found).toHaveLength(2);
  for (const job of found) {
    expect(job).toMatch(
      new RegExp(
        `${TIME}/opt/authserver/bin/node /opt/authserver/bin/authserver purge( --only=[a-z,-]+)? >>(\\S+) 2>&1 \\|\\| tail -n 20 \\2$`,
      ),
    );
  }
  expect(readDeploy('cron/authserver.crontab')).toContain(
    '\nAUTHSERVER_CONFIG=/etc/authserver/config.yaml\n',
  );
});

it('the crontab for Compose runs the sidecar that the compose file has', () => {
  const [job = '', ...more] = jobs('compose.crontab');
  expect(more).toEqual([]);
  const [, file = '', service = ''] =
    new RegExp(`${TIME}cd /opt/authserver && docker compose -f (\\S+) run --rm (\\S+) `).exec(job) ?? [];
  expect(existsSync(path.join(root, file))).toBe(true);
  const [{ services }] = readDocuments(readDeploy(path.relative('deploy', file))) as [{ services: object }];
  expect(Object.keys(services)).toContain(service);
});
