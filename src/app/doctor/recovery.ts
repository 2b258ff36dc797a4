/** How far the recovery log reaches. */
import { setTimeout as sleep } from 'node:timers/promises';
import { asFailure } from '../../kernel/errors.ts';
import type { BackupPlace } from '../../ops/backup/place.ts';
import type { Absent, LogShelfFacts, RecoveryLogFacts } from '../../ops/doctor/facts.ts';
import { surveyLog } from '../../ops/recovery/survey.ts';
import { POSITION, readPosition } from '../../store/change-frame.ts';
import type { Onlooker } from '../../store/onlooker.ts';
import { backupTrust } from '../backup/identity.ts';
import { openPlaces } from '../backup/places.ts';
import { isLogged } from '../database.ts';
import { ifAny, type Visit } from './visit.ts';

/** What was committed just now may be on its way; it gets so long, ms, at most. */
const LONGEST_WAIT = 10_000;

export async function gatherRecoveryLog(visit: Visit): Promise<RecoveryLogFacts | Absent> {
  const { config } = visit;
  if (config.storage.driver === 'sqlite') {
    return isLogged(config) ? visit.read((onlooker) => shippedLog(visit, onlooker)) : { by: 'nobody' };
  }
  const { rememberedStatus } = await import('../pgbackrest/status.ts');
  return visit.read(async ({ store }) => ({
    by: 'postgres',
    status: await rememberedStatus(config, store.settings),
  }));
}

async function shippedLog(visit: Visit, { store }: Onlooker): Promise<RecoveryLogFacts> {
  const { config, clock } = visit;
  // Asked before the targets: whatever is committed later need not be there.
  const position = readPosition((await store.settings.get({ name: POSITION }))?.value);
  const places = await openPlaces(config, clock);
  const reading = {
    deploymentId: (await store.deployment.get({})).id,
    trust: await backupTrust(config, store),
  };
  const look = () => Promise.all(places.map((place) => lookAt(place, reading, position?.chain)));
  const serverRuns = await visit.serverRuns();
  let shelves = await look();
  if (serverRuns && shelves.some(({ last }) => last < (position?.batch ?? 0))) {
    await sleep(Math.min(3 * config.recovery.interval + 1000, LONGEST_WAIT));
    shelves = await look();
  }
  const backups = await ifAny(visit.backups());
  const made = (backups?.backups ?? []).map(({ madeAt }) => madeAt);
  const newestBackup = made.length === 0 ? undefined : Math.max(...made);
  return { by: 'server', serverRuns, batch: position?.batch, shelves, newestBackup };
}

async function lookAt(
  { target, shelf }: BackupPlace,
  reading: { readonly deploymentId: string; readonly trust: readonly string[] },
  chain: string | undefined,
): Promise<LogShelfFacts> {
  const { name } = target;
  const nothing = { name, trouble: undefined, last: 0, until: undefined, from: undefined, faults: [] };
  try {
    const chains = await surveyLog({ ...reading, shelves: [{ name, shelf }] });
    const found = chains.find((each) => each.chain === chain);
    if (found === undefined) return nothing;
    const { last, until, from, faults } = found;
    return { name, trouble: undefined, last, until, from, faults };
  } catch (error) {
    return { ...nothing, trouble: asFailure(error).message };
  }
}
