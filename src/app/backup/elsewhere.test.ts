import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { engines } from '../../../test/setup/engines.ts';
import { MADE_AT } from '../../archive/archive.test-kit.ts';
import { publish } from '../../archive/targets/publish.test-kit.ts';
import { makeTarget } from '../../archive/targets/target.ts';
import { loadConfig } from '../config.ts';
import { Logged } from '../recovery/logged.test-kit.ts';
import { pruneElsewhere } from './elsewhere.ts';

const here = engines.some(({ name }) => name === 'sqlite');

describe.skipIf(!here)('a prune without the database (needs the sqlite engine)', () => {
  it('takes away what of the recovery log no backup needs any more, and nothing else', async () => {
    await using logged = new Logged({ seed: 81 });
    logged.now = MADE_AT - 200_000;
    await logged.open();
    await logged.live(5);
    await logged.shipAll();
    await logged.live(5);
    expect(logged.now).toBeLessThan(MADE_AT);
    await logged.shipAll();
    // The last of them says when the log goes on from.
    const old = logged.segments().slice(0, -1);
    expect(old.length).toBeGreaterThan(0);
    logged.now = MADE_AT;
    const base = logged.base();
    await logged.live(5);
    await logged.shipAll();
    const [{ shelf }] = logged.shelves as [(typeof logged.shelves)[0]];
    const { deploymentId, signer } = logged;
    await publish(makeTarget('local', shelf), 1, { by: signer, deploymentId });

    const { config } = await loadConfig({
      file: undefined,
      terminal: false,
      env: {
        AUTHSERVER_STATE_DIR: path.join(logged.folder, 'elsewhere'),
        AUTHSERVER_BACKUP_TARGETS: `local=${logged.shelfFolders[0]}`,
      },
    });
    const sheet = { identities: [], signers: [signer.publicKey], deploymentId };
    const report = await pruneElsewhere(config, {
      sheet,
      deployment: undefined,
      target: null,
      dry_run: false,
      // The clock of this machine may stand anywhere.
      accept: ['future_dated', 'clock_jumped', 'kept_set_shrinks'],
      signal: new AbortController().signal,
    });
    expect(report.targets).toMatchObject([{ outcome: 'pruned', removed: [], log_pieces: old.length }]);
    expect(logged.segments().filter((name) => old.includes(name))).toEqual([]);
    expect((await logged.restore(base, 'end')).replayed).toMatchObject({ complete: true, faults: [] });
  });
});
