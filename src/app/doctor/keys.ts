/** The signing keys as the doctor sees them: each is tried where it is kept, and nothing is mended on the way. */
import { existsSync } from 'node:fs';
import * as nodeDisk from 'node:fs/promises';
import type { Clock } from '../../kernel/clock.ts';
import { makeIds } from '../../kernel/ids.ts';
import { silentLog } from '../../kernel/log.ts';
import { systemRandom } from '../../kernel/random.ts';
import type { KeyDesk } from '../../keys/desk.ts';
import { inspectKeys, type KeyFinding } from '../../keys/inspection.ts';
import { EMPTY_VIEW, knownView } from '../../keys/key-view.ts';
import type { Disk } from '../../keys/stores/keyfile.ts';
import { type Absent, absent, type Facts } from '../../ops/doctor/facts.ts';
import type { Store } from '../../store/store.ts';
import type { Config } from '../config.ts';
import { openKeyCustody } from '../keys.ts';

/** How late a server may be with what is due, ms. */
const PATIENCE = 60_000;

/** @param serverRuns whether somebody is there who does what is due */
export async function gatherKeys(
  config: Config,
  store: Store,
  { clock, serverRuns }: { readonly clock: Clock; readonly serverRuns: boolean },
): Promise<Facts['keys'] | Absent> {
  const records = await store.keys.list({});
  if (records.length === 0) return absent('there are no keys yet: the first start makes one');
  if (config.signing.key_store === 'keyfile' && !existsSync(config.signing.key_path))
    return { findings: [lostFolder(config)] };
  const random = systemRandom;
  const parts = { store, clock, random, ids: makeIds(clock, random), log: silentLog, disk: onlookersDisk };
  const custody = await openKeyCustody(config, parts);
  try {
    const view = knownView(records, EMPTY_VIEW, clock.now());
    const { findings } = await inspectKeys(
      deskOf(config, view, { store: store.keys, keyStores: custody, clock }),
      serverRuns ? PATIENCE : Number.POSITIVE_INFINITY,
    );
    return { findings };
  } finally {
    custody.close();
  }
}

/** To look for single keys in it would tell the same of each. */
function lostFolder({ signing: { key_path } }: Config): KeyFinding {
  return {
    kid: '-',
    state: 'unknown',
    ok: false,
    finding: `the folder of the signing keys is not there: ${key_path}`,
    repair:
      'See that signing.key_path is right and its volume is mounted; lost for good: `authserver keys recover --help`',
  };
}

function deskOf(
  { signing, oauth, keys }: Config,
  view: ReturnType<KeyDesk['view']>,
  { store, keyStores, clock }: Pick<KeyDesk['parts'], 'store' | 'keyStores' | 'clock'>,
): KeyDesk {
  const timing = {
    jwksMaxAge: signing.jwks_max_age,
    longestLifetime: oauth.access_token_lifetime,
    idTokenLifetime: oauth.id_token_lifetime,
    rotationInterval: keys.rotation_interval,
    clockSkew: signing.clock_skew,
  };
  return {
    parts: {
      store,
      keyStores,
      clock,
      timing,
      algorithm: signing.algorithm,
      log: silentLog,
      installationIsNew: false,
    },
    view: () => view,
    refresh: async () => undefined,
    tick: async () => undefined,
    tell: () => undefined,
  };
}

/** A file system on which modes stay as they were found, and what crashes have left stays where it lies. */
const onlookersDisk: Disk = {
  ...nodeDisk,
  async open(path, flags) {
    if (flags !== 'r')
      throw new TypeError(`${String(path)} would be written, where nothing is to be changed`);
    const handle = await nodeDisk.open(path, 'r');
    handle.chmod = async () => undefined;
    return handle;
  },
  // Looks whether it is there, as making it would.
  mkdir: (async (path: string) => {
    await nodeDisk.stat(path);
  }) as Disk['mkdir'],
  chmod: async () => undefined,
  unlink: async () => undefined,
  rename: async () => undefined,
};
