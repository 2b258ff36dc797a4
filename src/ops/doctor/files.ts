/** Where files lie, who may read them, and whether there is room. */
import type { Facts, FileMode, Place } from './facts.ts';
import { failing, type Trouble, type Verdict, verdict, warning } from './finding.ts';
import { natureOf } from './mounts.ts';
import { shellWord, sizeText } from './words.ts';

export function judgePlaces({ places }: Pick<Facts, 'places'>): Verdict {
  const types = [...new Set(places.map(({ type }) => type))].join(', ');
  const concerns = Map.groupBy(places, (place) => `${concernOf(place)} ${place.mountPoint}`);
  return verdict(
    `everything lies where it may (${types})`,
    [...concerns.values()].map((those) => placeTrouble(those)),
  );
}

const SETTINGS: Readonly<Record<Place['role'], string>> = {
  state: 'state_dir',
  database: 'storage.sqlite.path',
  keys: 'signing.key_path',
  backups: 'backup.targets',
};

type Concern = 'memory' | 'container' | 'remote database' | 'remote' | 'userspace' | 'none';

function concernOf({ role, type }: Place): Concern {
  switch (natureOf(type)) {
    case 'memory':
      return 'memory';
    case 'layered':
      return 'container';
    case 'network':
      // Backups may well lie elsewhere; that is what they are for.
      return role === 'backups' ? 'none' : role === 'database' ? 'remote database' : 'remote';
    case 'userspace':
      return role === 'backups' ? 'none' : 'userspace';
    case 'local':
      return 'none';
  }
}

/** @param places those that share a mount and a concern */
function placeTrouble(places: readonly Place[]): Trouble | undefined {
  const [first] = places;
  if (first === undefined) return undefined;
  const concern = concernOf(first);
  const names = places.map(({ name, path }) => `${name} (${path})`).join(', ');
  const where = `on ${first.type} at ${first.mountPoint}: ${names}`;
  const keys = [...new Set(places.map(({ role }) => SETTINGS[role]))].join(', ');
  const move = `Move them to a local disk, and say so in ${keys}.`;
  switch (concern) {
    case 'none':
      return undefined;
    case 'memory':
      return failing(`in memory, and gone when the machine stops, ${where}`, move);
    case 'container':
      return warning(
        `in a layer that goes when the container is replaced, ${where}`,
        `Mount a volume there, or say in ${keys} where one is.`,
      );
    case 'remote database':
      return failing(
        `over a network, where locks and flushes do not hold and SQLite loses data, ${where}`,
        move,
      );
    case 'remote':
      return warning(`over a network, where locks may not hold, ${where}`, move);
    case 'userspace':
      return warning(`in user space, where nobody knows what is on disk, ${where}`, move);
  }
}

/** A restore lays the staged database and the safety copy beside the present one. */
export function judgeSpace({ space }: Pick<Facts, 'space'>): Verdict {
  const { path, free, database, archive } = space;
  const needed = 2 * database + archive;
  return verdict(`${sizeText(free)} free at ${path}; a restore needs about ${sizeText(needed)}`, [
    free >= needed
      ? undefined
      : failing(
          `${sizeText(free)} free at ${path}, and a restore needs about ${sizeText(needed)} (the database twice and its largest backup)`,
          'Make room there now: in a disaster there is no time. `authserver purge` and `authserver restore forget` may help.',
        ),
  ]);
}

const OTHERS = 0o007;
const GROUP = 0o070;

export function judgeModes({ modes }: Pick<Facts, 'modes'>): Verdict {
  return verdict(
    `${modes.length} files and folders with secrets are closed to other users`,
    modes.map(modeTrouble),
  );
}

function modeTrouble({ path, what, mode, isFolder, allowed }: FileMode): Trouble | undefined {
  const isOpen = (mode & OTHERS) !== 0;
  const isShared = allowed === 'owner' && (mode & GROUP) !== 0;
  if (!isOpen && !isShared) return undefined;
  const shown = (mode & 0o777).toString(8).padStart(4, '0');
  const wanted = isFolder ? '700' : allowed === 'owner' ? '600' : '640';
  const hint = `\`chmod ${wanted} ${shellWord(path)}\``;
  return isOpen
    ? failing(`${what} ${path} is open to every user of this machine (mode ${shown})`, hint)
    : warning(`${what} ${path} is open to its group (mode ${shown})`, hint);
}
