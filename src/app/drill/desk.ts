/** Where reports of drills are kept, and whose signatures on them count. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { AuditTrail } from '../../audit/trail.ts';
import type { DrillDesk } from '../../ops/drill/record.ts';
import { type DrillReport, readReport } from '../../ops/drill/report.ts';
import type { Store } from '../../store/store.ts';
import { backupTrust } from '../backup/identity.ts';
import { readSigningKey } from '../backup/signing-key.ts';
import type { Config } from '../config.ts';
import { stateFiles, writeState } from '../state-dir.ts';

export function makeDrillDesk({
  config,
  store,
  audit,
}: {
  readonly config: Config;
  readonly store: Pick<Store, 'settings'>;
  readonly audit: Pick<AuditTrail, 'record'>;
}): DrillDesk {
  return {
    settings: store.settings,
    audit,
    async trust() {
      const own = readSigningKey(config.state_dir)?.publicKey;
      const all = await backupTrust(config, store);
      return own === undefined ? all : [own, ...all];
    },
    keep(name, text) {
      mkdirSync(historyFolder(config), { recursive: true, mode: 0o700 });
      writeState(historyFolder(config), name, text);
    },
  };
}

export interface ListedDrill {
  /** Null for a file that cannot be believed. */
  readonly report: DrillReport | null;
  readonly file: string;
}

/** The reports that this machine has kept, the newest first. Failures: `configuration` when the signing key is unreadable. */
export function listDrills(config: Config): readonly ListedDrill[] {
  const folder = historyFolder(config);
  const own = readSigningKey(config.state_dir)?.publicKey;
  const trust = [...(own === undefined ? [] : [own]), ...config.backup.trusted_signers];
  return namesIn(folder).map((name) => {
    const file = path.join(folder, name);
    try {
      return { report: readReport(readFileSync(file, 'utf8'), trust), file };
    } catch {
      return { report: null, file };
    }
  });
}

/** Ids sort by age. */
function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => /^drl_[0-9a-z]{26}\.json$/.test(name))
      .sort()
      .reverse();
  } catch {
    return [];
  }
}

export function historyFolder({ state_dir }: Config): string {
  return path.join(state_dir, stateFiles.drills);
}
