// The bugs that the fault suite must catch: what each changes in which source file, and the check that has to fail on it.

import type { CheckName } from '../checks.ts';
import type { Change } from './seed.ts';

export interface SeededBug {
  readonly name: string;
  readonly changes: readonly Change[];
  readonly caughtBy: CheckName;
  /** How it fails, so that it is this bug that was found, and not some accident of the seeding. */
  readonly says: RegExp;
}

const FOLDER = 'src/archive/targets/folder.ts';
const KEY_FILE = 'src/keys/stores/keyfile.ts';
const STATE = 'src/app/state-dir.ts';
const SWAP = 'src/app/restore/swap.ts';
const PRUNE = 'src/ops/backup/prune.ts';
const CREATE = 'src/ops/backup/create.ts';
const TABLES = 'src/ops/verify/tables.ts';
const AFTERCARE = 'src/ops/restore/aftercare.ts';

export const BUGS: readonly SeededBug[] = [
  {
    name: 'an archive is not flushed',
    changes: [{ file: FOLDER, snippet: '      await this.#attempt(() => handle.sync());\n', instead: '' }],
    caughtBy: 'a put into a folder, cut off at every step',
    says: /is listed and not whole .*data lost/,
  },
  {
    name: 'the folder of the archives is not flushed',
    changes: [
      {
        file: FOLDER,
        snippet: '      throw error;\n    }\n    await this.#flush(this.#folder);\n',
        instead: '      throw error;\n    }\n',
      },
    ],
    caughtBy: 'a put into a folder, cut off at every step',
    says: /a backup that was made is gone .*names lost/,
  },
  {
    name: 'an archive has its name from the beginning',
    changes: [
      {
        file: FOLDER,
        snippet: 'const partial = `.',
        instead: 'const partial = name ?? `.',
      },
    ],
    caughtBy: 'a put into a folder, cut off at every step',
    says: /is listed and not whole/,
  },
  {
    name: 'a partial counts in the listing',
    changes: [
      {
        file: 'src/archive/targets/target.ts',
        snippet: '    if (!record) return undefined;\n    const archive',
        instead: '    const archive',
      },
      {
        file: 'src/archive/targets/target.ts',
        snippet: '      record,\n      archive: archive &&',
        instead: '      record: record ?? Buffer.alloc(0),\n      archive: archive &&',
      },
    ],
    caughtBy: 'a backup, cut off at every step',
    says: /is listed and not whole/,
  },
  {
    name: 'a private key gets its name before it is flushed',
    changes: [
      {
        file: KEY_FILE,
        snippet: '      await handle.writeFile(text);\n      await handle.sync();\n',
        instead:
          "      await handle.writeFile(text);\n      await this.#disk.rename(path, path.slice(0, -'.tmp'.length));\n      await handle.sync();\n",
      },
      { file: KEY_FILE, snippet: '        await this.#disk.rename(temporary, path);\n', instead: '' },
    ],
    caughtBy: 'a key file, cut off at every step',
    says: /data lost: "t"/,
  },
  {
    name: 'a state file is not flushed',
    changes: [
      {
        file: STATE,
        snippet: '      writeFileSync(handle, content);\n      fsyncSync(handle);\n',
        instead: '      writeFileSync(handle, content);\n',
      },
    ],
    caughtBy: 'a state file, cut off at every step',
    says: /data lost: "d"/,
  },
  {
    name: 'the log of the database before stays in its place',
    changes: [
      { file: SWAP, snippet: "kept === null ? [] : [...SIDECARS, '']", instead: "kept === null ? [] : ['']" },
    ],
    caughtBy: 'a swap of files, cut off at every step',
    says: /old log/,
  },
  {
    name: 'a restore is applied at every start',
    changes: [
      {
        file: SWAP,
        snippet: '    await files.move(fresh, database);\n  }\n  await files.remove(staged);\n',
        instead: "    await files.write(database, (await files.read(fresh)) ?? '');\n  }\n",
      },
      {
        file: 'src/app/restore/finish.ts',
        snippet: '  await removeJournal(files, config.state_dir);\n  log.info(',
        instead: '  log.info(',
      },
    ],
    caughtBy: 'a swap of files, cut off at every step',
    says: /restore\.json|another start changes nothing|before-restore-1/,
  },
  {
    name: 'a decision to restore is not flushed',
    changes: [
      {
        file: 'src/app/restore/files.ts',
        snippet: '      await handle.writeFile(text);\n      await handle.sync();\n',
        instead: '      await handle.writeFile(text);\n',
      },
    ],
    caughtBy: 'a swap of files, cut off at every step',
    says: /data lost|cannot be read/,
  },
  {
    name: 'a backup goes before its receipt is there',
    changes: [
      {
        file: PRUNE,
        snippet: '  await parts.writeReceipt(removal);\n  try {\n    await target.remove(id);\n',
        instead: '  try {\n    await target.remove(id);\n    await parts.writeReceipt(removal);\n',
      },
    ],
    caughtBy: 'a prune, cut off at every step',
    says: /is gone without a receipt/,
  },
  {
    name: 'a prune removes more than its plan',
    changes: [
      {
        file: PRUNE,
        snippet: 'plan.decisions.filter(({ keeps }) => !keeps).reverse()',
        instead: 'plan.decisions.slice(1).reverse()',
      },
    ],
    caughtBy: 'a prune, cut off at every step',
    says: /are gone/,
  },
  {
    name: 'a prune goes by clocks instead of the sequence',
    changes: [
      {
        file: 'src/archive/retention.ts',
        snippet: 'return b.sequence - a.sequence ||',
        instead: 'return b.madeAt - a.madeAt ||',
      },
    ],
    caughtBy: 'a prune by clocks that lie',
    says: /the newest by sequence stay/,
  },
  {
    name: 'a backup is verified without having been read back',
    changes: [
      {
        file: CREATE,
        snippet: 'each.file && (await readBack(each.place, made.id, each.file, this.#signal));',
        instead: "each.file && ('same' as const);",
      },
    ],
    caughtBy: 'a target that does not give back what it was given',
    says: /verified/,
  },
  {
    name: 'a key is missing from the backup',
    changes: [
      {
        file: CREATE,
        snippet: 'privateKeys: [...keys.privateKeys, signingKey]',
        instead: 'privateKeys: [...keys.privateKeys.slice(1), signingKey]',
      },
    ],
    caughtBy: 'the keys of a backup',
    says: /is not in the backup/,
  },
  {
    name: 'what a killed run has left stays in the spool',
    changes: [
      {
        file: 'src/ops/backup/spool.ts',
        snippet: '      if (OURS.test(name)) await rm(path.join(this.#folder, name), { force: true });\n',
        instead: '',
      },
    ],
    caughtBy: 'a backup, cut off at every step',
    says: /\.part/,
  },
  {
    name: 'an empty database passes the verification',
    changes: [
      { file: TABLES, snippet: 'else if (total.rows !== rows)', instead: 'else if (total.rows > rows)' },
      {
        file: TABLES,
        snippet: 'else if (total.digest !== digest)',
        instead: 'else if (total.rows > 0 && total.digest !== digest)',
      },
    ],
    caughtBy: 'tables that came out of a restore',
    says: /empty/,
  },
  {
    name: 'a revocation is not replayed',
    changes: [
      {
        file: AFTERCARE,
        snippet: '      await take({ revocation, restored_at: now, now });\n',
        instead:
          "      if (revocation.kind !== 'user_disabled') await take({ revocation, restored_at: now, now });\n",
      },
    ],
    caughtBy: 'access that was taken away before a restore',
    says: /who was disabled stays so/,
  },
  {
    name: 'sessions outlive a restore',
    changes: [
      { file: AFTERCARE, snippet: "request.sessions === 'end' ?", instead: "request.sessions !== 'end' ?" },
    ],
    caughtBy: 'access that was taken away before a restore',
    says: /a session outlived the restore/,
  },
  {
    name: 'a segment of the log is shipped without the digest of the one before',
    changes: [
      {
        file: 'src/ops/recovery/segment-maker.ts',
        snippet: "{ kind: 'changes', chain, deployment_id, restore_epoch, schema_version, ...range },",
        instead:
          "{ kind: 'changes', chain, deployment_id, restore_epoch, schema_version, ...range, before: '0'.repeat(64) },",
      },
    ],
    caughtBy: 'the recovery log, read to its end',
    says: /frames do not follow|missing or cannot be read/,
  },
];
