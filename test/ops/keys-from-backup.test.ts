// Lost private keys come back from a backup by one command, and nobody notices.

import { readdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { describeEngines, freshStorage } from '../setup/engines.ts';
import { TestServer } from '../setup/server.ts';

describeEngines('keys recover --from-backup', (engine) => {
  test('puts back what the backup holds, and nothing where nothing is missing', {
    timeout: 180_000,
  }, async () => {
    await using storage = await freshStorage(engine);
    await using server = await TestServer.prepare({ storage, env: { AUTHSERVER_BACKUP_SCHEDULE: 'off' } });
    await server.start();
    const sheet = path.join(server.stateDir, 'sheet.txt');
    await writeFile(sheet, server.recoverySheet, { mode: 0o600 });
    expect(await server.cli(['backup', 'create', '--json'])).toMatchObject({ code: 0 });
    await server.stop();

    const folder = path.join(server.stateDir, 'keys');
    const [name = ''] = await readdir(folder);
    const kid = path.basename(name, '.pem');
    await rename(path.join(folder, name), path.join(server.stateDir, 'elsewhere'));
    const recover = ['keys', 'recover', '--from-backup', 'latest', '--json'];
    const closed = await server.cli(recover);
    expect(closed).toMatchObject({ code: 3, stdout: '' });
    expect(closed.stderr).toContain('--recovery-key');

    const back = await server.cli([...recover, '--recovery-key', sheet]);
    expect(back).toMatchObject({ code: 0 });
    expect(JSON.parse(back.stdout)).toMatchObject({ keys: [{ kid, state: 'active', outcome: 'restored' }] });
    expect(await readdir(folder)).toEqual([name]);
    await server.start();
    const again = await server.cli([...recover, '--recovery-key', sheet]);
    expect(JSON.parse(again.stdout)).toMatchObject({ keys: [{ kid, outcome: 'known' }] });
    expect(await server.cli([...recover, '--new'])).toMatchObject({ code: 2 });
  });
});
