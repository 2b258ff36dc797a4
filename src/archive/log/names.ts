/** What the files of the recovery log are called, on the shelves of backups: all of them begin with `log.`. */
import type { Shelf, ShelfFile } from '../targets/shelf.ts';

export interface SegmentName {
  readonly name: string;
  readonly chain: string;
  readonly first: number;
  readonly last: number;
  /** It was put together from smaller ones. */
  readonly isMerged: boolean;
}

/** What a shelf has of one chain; nothing of it has been checked. */
export interface ChainFiles {
  readonly chain: string;
  /** In the order of their first frames; of two that begin alike, the longer one first. */
  readonly segments: readonly SegmentName[];
  readonly hasHead: boolean;
  /** Files that hold the keys of a chain, where a passphrase opens it. */
  readonly keys: readonly string[];
}

const PREFIX = 'log.';
const SEGMENT = /^log\.(?<chain>[0-9a-z]{26})\.(?<first>\d{12})-(?<last>\d{12})\.(?<merged>hour\.)?seg$/;
const OTHER = /^log\.(?<chain>[0-9a-z]{26})\.(?:head|(?<key>[0-9a-f]{16}\.key))$/;

export function isLogChain(text: string): boolean {
  return /^[0-9a-z]{26}$/.test(text);
}

export function segmentName({ chain, first, last, isMerged }: Omit<SegmentName, 'name'>): string {
  return `${PREFIX}${chain}.${digits(first)}-${digits(last)}.${isMerged ? 'hour.' : ''}seg`;
}

export function headName(chain: string): string {
  return `${PREFIX}${chain}.head`;
}

/** @param id 16 hexadecimal digits */
export function keyName(chain: string, id: string): string {
  return `${PREFIX}${chain}.${id}.key`;
}

export function readSegmentName(name: string): SegmentName | undefined {
  const { chain = '', first, last, merged } = SEGMENT.exec(name)?.groups ?? {};
  if (first === undefined || last === undefined) return undefined;
  return { name, chain, first: Number(first), last: Number(last), isMerged: merged !== undefined };
}

/** The log on a shelf, chain by chain in the order of their ids, so by age. Failures: those of a Shelf. */
export async function listLog(
  shelf: Shelf,
  { chain, signal }: { readonly chain?: string; readonly signal?: AbortSignal } = {},
): Promise<readonly ChainFiles[]> {
  const prefix = chain === undefined ? PREFIX : `${PREFIX}${chain}.`;
  const found = new Map<string, { segments: SegmentName[]; hasHead: boolean; keys: string[] }>();
  for await (const { name } of beginningWith(shelf, prefix, signal)) {
    const segment = readSegmentName(name);
    const other = OTHER.exec(name)?.groups;
    const of = segment?.chain ?? other?.['chain'];
    if (of === undefined) continue;
    const files = found.get(of) ?? { segments: [], hasHead: false, keys: [] };
    found.set(of, files);
    if (segment) files.segments.push(segment);
    else if (other?.['key'] !== undefined) files.keys.push(name);
    else files.hasHead = true;
  }
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([of, files]) => ({ ...files, chain: of, segments: files.segments.sort(byFirst) }));
}

/** How far they reach without a gap, from `from` on; `from - 1` when none holds that. */
export function reachOf(segments: readonly SegmentName[], from: number): number {
  let reach = from - 1;
  for (const { first, last } of segments) if (first <= reach + 1 && last > reach) reach = last;
  return reach;
}

/** Those that a merged one among them holds too. */
export function withinMerged<Named extends SegmentName>(segments: readonly Named[]): readonly Named[] {
  const merged = segments.filter(({ isMerged }) => isMerged);
  return segments.filter(
    ({ isMerged, first, last }) =>
      !isMerged && first > 0 && merged.some((one) => one.first <= first && last <= one.last),
  );
}

function byFirst(a: SegmentName, b: SegmentName): number {
  return a.first - b.first || b.last - a.last;
}

/** A shelf lists what comes after a text; what follows the prefix is left alone. */
async function* beginningWith(
  shelf: Shelf,
  prefix: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ShelfFile, void> {
  for await (const file of shelf.list(prefix, signal)) {
    if (!file.name.startsWith(prefix)) return;
    yield file;
  }
}

function digits(number: number): string {
  return String(number).padStart(12, '0');
}
