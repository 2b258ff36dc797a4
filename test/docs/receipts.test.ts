// What backup.md says of backups that are removed where another credential is: their receipts are brought to the server.

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import { describeEngines, inTurn } from '../setup/engines.ts';
import { Host } from './host.ts';

const guide = await readFile(
  path.join(import.meta.dirname, '..', '..', 'docs', 'operate', 'backup.md'),
  'utf8',
);

describeEngines('what was removed elsewhere', (engine) => {
  const story = inTurn(engine);
  story(
    'is no loss to `backup verify` once its receipts are here, and until then it is one',
    async () => {
      await using host = await Host.make(engine, {
        AUTHSERVER_BACKUP_TARGETS: 'near=backups?keep=last:1',
        AUTHSERVER_BACKUP_MINIMUM: '1',
        AUTHSERVER_BACKUP_PRUNE: 'false',
        AUTHSERVER_BACKUP_SCHEDULE: 'off',
      });
      /** Makes a backup that verify has seen, and removes those before it on another machine. */
      const night = `
      set -e
      authserver backup create && authserver backup verify --all
      grep '^#' recovery-sheet.txt > trust.txt
      AUTHSERVER_STATE_DIR=elsewhere authserver backup prune --recovery-key trust.txt
    `;
      const verify = () => host.run('authserver backup verify --all --json');
      const [bring = ''] = /^ssh .*receipts\.ndjson.*$/m.exec(guide) ?? [];
      const asWritten = `ssh() { cat elsewhere/receipts.ndjson; }\n${bring}`;

      expect(await host.run(`authserver backup create; ${night}`)).toMatchObject({ code: 0 });
      expect(await verify()).toMatchObject({ code: 1, stdout: expect.stringContaining('"missing":[{') });
      // The whole file is brought each time, with what is there already.
      expect(await host.run(`${asWritten}\n${asWritten}`)).toMatchObject({ code: 0 });
      expect(await verify()).toMatchObject({ code: 0, stdout: expect.stringContaining('"missing":[]') });
    },
    240_000,
  );
});
