/** How a backup target is written in the settings: `name=/folder` or `name=s3://bucket/prefix?region=...`. */
import path from 'node:path';
import { parseDuration } from '../../kernel/duration.ts';
import { readHttpUrl } from './http-url.ts';

/** How many to keep of each kind; what is left out is 0. */
export interface TargetKeep {
  readonly last?: number;
  readonly hourly?: number;
  readonly daily?: number;
  readonly weekly?: number;
  readonly monthly?: number;
  readonly yearly?: number;
}

export interface FolderTarget {
  readonly kind: 'folder';
  readonly name: string;
  /** Absolute. */
  readonly folder: string;
  /** Undefined: as `backup.keep` says. */
  readonly keep: TargetKeep | undefined;
}

export interface BucketTarget {
  readonly kind: 's3';
  readonly name: string;
  readonly bucket: string;
  /** Empty, or ends with a slash. */
  readonly prefix: string;
  readonly region: string;
  readonly endpoint: string | undefined;
  readonly pathStyle: boolean;
  readonly storageClass: string | undefined;
  /** Retention in ms. */
  readonly lock: { readonly mode: 'governance' | 'compliance'; readonly retention: number } | undefined;
  /** Bytes. */
  readonly partSize: number | undefined;
  readonly keep: TargetKeep | undefined;
}

export type TargetChoice = FolderTarget | BucketTarget;

/** What the text says, or what is wrong with it: the rest of the sentence "backup.targets ...". */
export type ReadTarget = { readonly target: TargetChoice } | { readonly problem: string };

/** A comma parts two targets only where a target begins behind it: `keep=daily:7,weekly:4` has commas too. */
export const BETWEEN_TARGETS = /,(?=\s*[a-z][a-z0-9_-]*=(?:s3:|[a-z][a-z0-9+.-]*:\/\/|[./~]))/i;

const NAMED = /^([a-z][a-z0-9_-]{0,31})=(.+)$/s;
const KEEP_KINDS: readonly string[] = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'];
const MIB = 1024 * 1024;
const CREDENTIALS = 'credentials come from AWS_* variables or the role of the machine';

/** Reads one item of `backup.targets`. */
export function readTarget(text: string): ReadTarget {
  const [, name, place] = NAMED.exec(text.trim()) ?? [];
  if (name === undefined || place === undefined) {
    return wrong(text, 'is not name=/folder or name=s3://bucket/prefix (names: a-z, 0-9, - and _)');
  }
  try {
    return { target: place.startsWith('s3:') ? bucketTarget(name, place) : folderTarget(name, place) };
  } catch (error) {
    if (error instanceof Misread) return wrong(text, error.message);
    throw error;
  }
}

/** What is thrown within this file only. */
class Misread extends Error {}

/** Never repeats a secret: there is no place for one in a target. */
function wrong(text: string, problem: string): ReadTarget {
  const shown = text.includes('@') ? (text.split('=')[0] ?? '') : text;
  return { problem: `holds ${JSON.stringify(shown.slice(0, 100))}, which ${problem}` };
}

function folderTarget(name: string, place: string): FolderTarget {
  const at = place.lastIndexOf('?keep=');
  const folder = at < 0 ? place : place.slice(0, at);
  const keep = at < 0 ? undefined : readKeep(place.slice(at + '?keep='.length));
  // Such as gs://bucket, which would be a folder on this disk.
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(folder)) throw new Misread('is neither a folder nor s3://bucket');
  if (folder === '' || folder.startsWith('~')) throw new Misread('names no folder');
  if (/\?[a-z_]+=/.test(folder))
    throw new Misread('has something behind its "?" that is not keep=daily:7,weekly:4');
  return { kind: 'folder', name, folder: path.resolve(folder), keep };
}

function bucketTarget(name: string, place: string): BucketTarget {
  const url = URL.canParse(place) ? new URL(place) : undefined;
  if (url?.protocol !== 's3:' || url.hostname === '') throw new Misread('has no bucket');
  if (url.username || url.password || url.hash || url.port) {
    throw new Misread(`must hold no user, password, port or fragment; ${CREDENTIALS}`);
  }
  const options = new Options(url.searchParams);
  const prefix = readPath(url.pathname).replace(/^\/+|\/+$/g, '');
  const endpoint = options.take('endpoint');
  if (endpoint !== undefined) checkEndpoint(endpoint);
  const pathStyle = options.take('path_style') ?? 'false';
  if (pathStyle !== 'true' && pathStyle !== 'false')
    throw new Misread('has a path_style that is neither true nor false');
  const partSize = options.take('part_size');
  const lock = options.take('lock');
  const keep = options.take('keep');
  const target: BucketTarget = {
    kind: 's3',
    name,
    bucket: url.hostname,
    prefix: prefix === '' ? '' : `${prefix}/`,
    region: options.take('region') ?? 'us-east-1',
    endpoint,
    pathStyle: pathStyle === 'true',
    storageClass: readStorageClass(options.take('storage_class')),
    lock: lock === undefined ? undefined : readLock(lock),
    partSize: partSize === undefined ? undefined : readPartSize(partSize),
    keep: keep === undefined ? undefined : readKeep(keep),
  };
  options.end();
  return target;
}

function checkEndpoint(text: string): void {
  const url = readHttpUrl(text);
  if (!url) throw new Misread('has an endpoint that is no http:// or https:// address');
  if (url.username || url.password)
    throw new Misread(`has an endpoint with a user or a password; ${CREDENTIALS}`);
}

function readPath(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Misread('has a prefix with a "%" that is followed by no two digits of UTF-8');
  }
}

/** Parameters, each at most once and none unknown: a lock that is misspelt must not be a bucket without one. */
class Options {
  readonly #params: URLSearchParams;

  constructor(params: URLSearchParams) {
    this.#params = params;
  }

  take(name: string): string | undefined {
    const [value, ...more] = this.#params.getAll(name);
    if (more.length > 0) throw new Misread(`has ${name} twice`);
    if (value === '') throw new Misread(`has an empty ${name}`);
    this.#params.delete(name);
    return value;
  }

  end(): void {
    const [unknown] = this.#params.keys();
    if (unknown === undefined) return;
    throw new Misread(
      `has ${JSON.stringify(unknown)}, which is none of region, endpoint, path_style, storage_class, lock, part_size, keep`,
    );
  }
}

/** A backup is read back to be proven. */
function readStorageClass(text: string | undefined): string | undefined {
  if (text !== 'GLACIER' && text !== 'DEEP_ARCHIVE') return text;
  throw new Misread(
    `has a storage_class that answers after hours, so that nothing there could be proven (GLACIER_IR answers at once)`,
  );
}

function readLock(text: string): NonNullable<BucketTarget['lock']> {
  const [mode, time = '', ...more] = text.split(':');
  const retention = parseDuration(time);
  if ((mode !== 'governance' && mode !== 'compliance') || !retention || more.length > 0) {
    throw new Misread('has a lock that is not such as governance:30d or compliance:90d');
  }
  return { mode, retention };
}

function readPartSize(text: string): number {
  const count = /^(\d{1,4})MiB$/.exec(text)?.[1];
  if (count === undefined || Number(count) < 5 || Number(count) > 5120)
    throw new Misread('has a part_size that is not between 5MiB and 5120MiB');
  return Number(count) * MIB;
}

function readKeep(text: string): TargetKeep {
  const keep: Record<string, number> = {};
  for (const item of text.split(',')) {
    const [, kind = '', count = ''] = /^([a-z]+):(\d{1,5})$/.exec(item.trim()) ?? [];
    if (!KEEP_KINDS.includes(kind) || Object.hasOwn(keep, kind)) {
      throw new Misread(`has a keep that is not such as daily:7,weekly:4 (of ${KEEP_KINDS.join(', ')})`);
    }
    keep[kind] = Number(count);
  }
  if (Object.values(keep).every((count) => count === 0)) throw new Misread('would keep nothing');
  return keep;
}
