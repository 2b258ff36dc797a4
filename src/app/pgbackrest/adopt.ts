import { Failure } from '../../kernel/errors.ts';
import { plainPath, plainStanza, readConfiguration } from '../../ops/point-in-time/configuration.ts';
import type { Repository } from '../../ops/point-in-time/repository.ts';
import type { Config } from '../config.ts';
import { prepareStateDir } from '../state-dir.ts';
import { Owner } from './owner.ts';
import { asPlace, postgresOf, writeNote } from './place.ts';
import { PgBackRest } from './tool.ts';

/**
 * On a new machine: takes a configuration of pgBackRest, written by hand, for the one that `restore --to` reads from. The
 * repository is only looked at. @param file of the user who runs PostgreSQL
 * Failures: `refused` on SQLite or for the wrong user; `not_found`, `failed` with what pgBackRest says.
 */
export async function adoptRepository(
  config: Config,
  file: string,
  stanza: string | undefined,
): Promise<Repository> {
  postgresOf(config);
  const path = plainPath(file, '--adopt');
  const written = readConfiguration((await Owner.of(path).read(path)) ?? '');
  const note = { config: path, stanza: plainStanza(stanza ?? written.stanza ?? '') };
  const repository = await new PgBackRest(asPlace(note)).info();
  if (!repository.ok) {
    throw new Failure('failed', `${path} leads to nothing that can be restored: ${repository.message}.`, {
      hint: 'See that repo1-path, repo1-cipher-pass and the name of the stanza are those of the former machine.',
    });
  }
  prepareStateDir(config.state_dir);
  writeNote(config, note);
  return repository;
}
