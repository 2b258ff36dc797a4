/** What the copy of a drill is made from: a backup that exists only for it, or the newest that the recovery key opens. */
import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { makeIdentity, recipientOf } from '../../archive/age-keys.ts';
import { makeBackupId } from '../../archive/backup-id.ts';
import { type OpenArchive, openArchive } from '../../archive/reader.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Random } from '../../kernel/random.ts';
import type { Watch } from '../../kernel/watch.ts';
import { KeyMissing, type KeyText, keysOf } from '../../ops/backup/one-unit.ts';
import type { DrillProgress } from '../../ops/drill/run.ts';
import { makePacker } from '../backup/pack.ts';
import { settingsForArchive } from '../backup/settings-copy.ts';
import type { SigningKey } from '../backup/signing-key.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import { readSnapshot } from '../snapshots.ts';
import { programVersion } from '../version.ts';

/** What opens the newest backup, where somebody has brought it. */
export interface RecoveryKey {
  readonly recoveryKeyFile: string;
}

interface OriginParts {
  readonly clock: Clock;
  readonly random: Random;
  /** Signs the backup that is made for the drill. */
  readonly signer: SigningKey;
  /** The archive is put together here. */
  readonly file: string;
  readonly watch: Watch<Pick<DrillProgress, 'step'>>;
}

const KEY_FILE = /^([A-Za-z0-9_-]{1,128})\.pem$/;
/** Keys that are rotated all the time may be missing from a snapshot once, not always. */
const SNAPSHOTS = 3;

/**
 * The newest backup of the targets that was proven, opened. Failures: those of `openBackup`.
 */
export async function openNewest(
  config: Config,
  key: RecoveryKey,
  signal: AbortSignal,
): Promise<OpenArchive> {
  const { LATEST, openBackup } = await import('../reinstate/open-backup.ts');
  const request = { ...key, backup: LATEST, target: undefined, passphraseFile: undefined, trust: [] };
  return openBackup(config, request, signal);
}

/**
 * A backup of the present state, which only this process can open. The live database and the key files are only read.
 * Failures: `failed` when a key is missing, `refused`, `unavailable`, `interrupted`.
 */
export async function packFresh(config: Config, parts: OriginParts): Promise<OpenArchive> {
  for (let tried = 1; ; tried++) {
    try {
      return await packOnce(config, { ...parts, file: `${parts.file}.${tried}` });
    } catch (error) {
      if (!(error instanceof KeyMissing) || tried === SNAPSHOTS) throw error;
    }
  }
}

async function packOnce(config: Config, parts: OriginParts): Promise<OpenArchive> {
  const { clock, random, signer, file, watch } = parts;
  const { signal } = watch;
  const deploymentId = await deploymentOf(config, parts);
  const once = makeIdentity(random);
  const madeAt = clock.now();
  const id = makeBackupId(1, madeAt, random);
  const read = [await keyTexts(config)];
  const pack = makePacker(config, programVersion(), () => signer.pem);
  await pack(
    {
      ...{ id, sequence: 1, deploymentId, madeAt, tags: ['drill'], file },
      encryption: { kind: 'age', recipients: [recipientOf(once)] },
    },
    {
      begun: () => undefined,
      async tail(rows) {
        read.push(await keyTexts(config));
        const settings = settingsForArchive(config);
        return { ...keysOf(rows, read), config: `${JSON.stringify({ settings, canary: null })}\n` };
      },
    },
    { signal, progress: ({ rows, of }) => watch.progress({ step: `copying row ${rows} of ${of}` }) },
  );
  const reading = { identities: [once], trust: [signer.publicKey], id, deploymentId, signal };
  return openArchive(createReadStream(file), reading);
}

async function deploymentOf(config: Config, { clock, watch }: OriginParts): Promise<string> {
  const wanted = { clock, tables: ['settings'], signal: watch.signal };
  await using snapshot = await readSnapshot(storageChoice(config), wanted);
  return snapshot.head.deployment.id;
}

/** Read as they lie there: to open the key store would tidy it up. */
async function keyTexts({ signing }: Config): Promise<readonly KeyText[]> {
  const names = await readdir(signing.key_path).catch(() => []);
  const found = names.flatMap((name) => {
    const kid = KEY_FILE.exec(name)?.[1];
    return kid === undefined ? [] : [{ kid, file: path.join(signing.key_path, name) }];
  });
  // One that was listed may be gone by now.
  const texts = found.map(async ({ kid, file }) => ({
    kid,
    pem: await readFile(file, 'utf8').catch(() => ''),
  }));
  return (await Promise.all(texts)).filter(({ pem }) => pem !== '');
}
