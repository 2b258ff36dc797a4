/** What happens to a copy in a drill. Whatever is named here lies in the scratch folder, or in a scratch schema. */
import { closeSync, openSync, readdirSync, readSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { asFailure, Failure } from '../../kernel/errors.ts';
import type { Disasters } from '../../ops/drill/ground.ts';
import type { Migration } from '../../store/migrations/migration.ts';
import { timeline } from '../../store/migrations/timeline.ts';
import { migrateSchema } from '../open-store.ts';
import { type Copy, copyStateDir } from './copy.ts';

/** sqlite.org/fileformat.html section 1.3.2 */
const PAGE_SIZE_AT = 16;
const LARGEST_PAGE = 65_536;
/** Every so many pages one is overwritten, the first excepted: a file without a header would be too easy to find out. */
const STRIDE = 3;

export function disastersOf(copy: Copy): Disasters {
  return {
    async loseHost(scene) {
      const { folder, backups } = copy;
      const kept = `${backups}.kept`;
      // From now on nothing that the server writes gets anywhere.
      renameSync(backups, kept);
      await Promise.resolve(scene[Symbol.asyncDispose]()).catch(() => undefined);
      rmSync(copyStateDir({ folder }), { recursive: true, force: true });
      await emptySchema(copy);
      rmSync(backups, { recursive: true, force: true });
      renameSync(kept, backups);
    },
    async loseKeys() {
      const folder = copy.config.signing.key_path;
      const files = readdirSync(folder).filter((name) => name.endsWith('.pem'));
      for (const name of files) rmSync(path.join(folder, name));
      return files.map((name) => path.basename(name, '.pem'));
    },
    damageDatabase: async () => (copy.storage.driver === 'sqlite' ? overwritePages(copy) : dropTable(copy)),
    migrateBadly: () => migrateBadly(copy),
  };
}

async function emptySchema({ storage }: Copy): Promise<void> {
  if (storage.driver !== 'postgres') return;
  const { emptyScratchSchema } = await import('../../store/postgres/scratch-schema.ts');
  await emptyScratchSchema(storage.postgres, storage.postgres.channel ?? '');
}

async function dropTable({ storage }: Copy): Promise<string> {
  if (storage.driver !== 'postgres') throw new TypeError('a schema is in a PostgreSQL database');
  const { dropScratchTable } = await import('../../store/postgres/scratch-schema.ts');
  await dropScratchTable(storage.postgres, storage.postgres.channel ?? '', 'clients');
  return 'The table clients has been dropped, with what refers to it.';
}

function overwritePages({ storage, random }: Copy): string {
  if (storage.driver !== 'sqlite') throw new TypeError('only SQLite has a file');
  const { path: file } = storage.sqlite;
  const handle = openSync(file, 'r+');
  try {
    const header = Buffer.alloc(2);
    readSync(handle, header, 0, 2, PAGE_SIZE_AT);
    const size = header.readUInt16BE() === 1 ? LARGEST_PAGE : header.readUInt16BE();
    const pages = Math.floor(statSync(file).size / size);
    let damaged = 0;
    for (let page = 1; page < pages; page += STRIDE) {
      writeSync(handle, random.bytes(size), 0, size, page * size);
      damaged += 1;
    }
    return `${damaged} of ${pages} pages of the file have been overwritten with noise.`;
  } finally {
    closeSync(handle);
  }
}

/** In two runs: what a run that fails has done may be taken back by the engine, which is not what is rehearsed. */
async function migrateBadly({ storage, clock, random, signal }: Copy): Promise<string> {
  const [harm, halfWay] = badSteps(timeline.length);
  const run = (steps: readonly Migration[]) =>
    migrateSchema(storage, { clock, random, stop: signal, timeline: [...timeline, ...steps] });
  await run([harm]);
  try {
    await run([harm, halfWay]);
  } catch (error) {
    if (signal.aborted) throw error;
    const { message, detail = message } = asFailure(error);
    return detail;
  }
  throw new Failure('failed', 'The migration that has to fail went through.');
}

/** The first one does harm and is committed, the second one fails in its midst. */
function badSteps(after: number): readonly [Migration, Migration] {
  return [
    {
      version: after + 1,
      name: 'drill-harm',
      release: 'drill',
      statements: [
        "update users set username = 'migrated-' || id, email = null",
        'delete from consents where user_id is not null',
      ],
    },
    {
      version: after + 2,
      name: 'drill-half-way',
      release: 'drill',
      statements: [
        'create table drill_half_way (id text primary key)',
        "insert into drill_nowhere (id) values ('1')",
      ],
    },
  ];
}
