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
  const program = '/opt/authserver/bin/node /opt/authserver/bin/authserver';
  const log = String.raw`>>(\S+) 2>&1 \|\| tail -n 20 \1$`;
  const commands = [
    `${program} purge --only=[a-z,-]+`,
    `${program} purge`,
    // night.test.ts has what comes of it.
    String.raw`\( ${program} backup create .* ${program} backup prune .*\)`,
    `${program} backup verify --read-data=1/7`,
  ];
  const found = jobs('authserver.crontab');
  expect(found).toHaveLength(commands.length);
  for (const [index, command] of commands.entries()) {
    expect(found[index]).toMatch(new RegExp(`${TIME}${command} ${log}`));
  }
  expect(readDeploy('cron/authserver.crontab')).toContain(
    '\nAUTHSERVER_CONFIG=/etc/authserver/config.yaml\n',
  );
});

it('the crontab for Compose runs the sidecars that the compose file has', () => {
  const found = jobs('compose.crontab');
  expect(found).toHaveLength(3);
  for (const job of found) {
    const [, file = '', service = ''] =
      new RegExp(`${TIME}cd /opt/authserver && (?:\\( )?docker compose -f (\\S+) run --rm (\\S+) `).exec(
        job,
      ) ?? [];
    expect(existsSync(path.join(root, file)), job).toBe(true);
    const [{ services }] = readDocuments(readDeploy(path.relative('deploy', file))) as [{ services: object }];
    expect(Object.keys(services)).toContain(service);
  }
});
