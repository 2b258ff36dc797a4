/** Whether the keys are what the database says, and where it says. */
import { asFailure } from '../kernel/errors.ts';
import type { KeyState, SigningKeyRecord } from '../store/records.ts';
import { isSpent } from './clearing.ts';
import { type KeyDesk, lastWord, storeOf, strayKeys } from './desk.ts';
import { thumbprint } from './jwk.ts';
import { parseJws, verifySignature } from './jws.ts';
import type { RingKey } from './key-view.ts';
import { isDueToRetire, isDueToSign } from './lifecycle.ts';
import { FROM_BACKUP, importCommand, RECOVER_NEW } from './recovery.ts';
import { strayCopies } from './stores/move.ts';

/** What was found of one key. */
export interface KeyFinding {
  readonly kid: string;
  /** `unknown`: a private half that belongs to no key of the database. */
  readonly state: KeyState | 'unknown';
  readonly ok: boolean;
  readonly finding: string;
  /** What mends it; null where nothing has to be. */
  readonly repair: string | null;
}

export interface KeyVerification {
  readonly ok: boolean;
  /** At least one for each key; the first is about all of them where something is wrong with the set. */
  readonly findings: readonly KeyFinding[];
}

/** Looks at every key; what is due is done before, so that whatever is overdue afterwards is in trouble. */
export async function verifyKeys(desk: KeyDesk): Promise<KeyVerification> {
  await desk.tick();
  await desk.refresh();
  return inspectKeys(desk, 0);
}

/**
 * Looks at every key that the desk knows, and changes nothing.
 * @param patience how long, ms, what is due may wait for whoever is to do it
 */
export async function inspectKeys(desk: KeyDesk, patience: number): Promise<KeyVerification> {
  const findings = aboutTheSet(desk);
  const kept = await keptHalves(desk);
  for (const key of desk.view().keys.values())
    findings.push(...(await aboutKey(desk, key, { kept, patience })));
  for (const { kid, place } of await strayKeys(desk)) {
    findings.push({
      kid,
      state: 'unknown',
      ok: false,
      finding: `${place} is a private key that the database does not know; it is not used`,
      repair: aboutStray(desk, place),
    });
  }
  const { store: keys, keyStores } = desk.parts;
  for (const { row, store } of await strayCopies({ keys, keyStores })) {
    // What became of the private halves of ended keys is told with them.
    if (isEnded(row)) continue;
    findings.push({
      kid: row.kid,
      state: row.state,
      ok: false,
      finding: `${store.locate(row.kid)} is a copy; the key is kept in the key store "${row.key_store}"`,
      repair: `authserver keys move --to ${row.key_store} removes it`,
    });
  }
  return { ok: findings.every(({ ok }) => ok), findings };
}

/** Nobody can tell whose it is: it is to sign only where nothing else does, and somebody knows that it did. */
function aboutStray({ view }: KeyDesk, place: string): string {
  const away =
    'move it to another folder: it may be of another installation, or of a start on another database';
  if (view().signer !== undefined) return away;
  return `where it is the key that signed here last: ${importCommand(place)}; otherwise ${away}`;
}

/** The ids of the private halves in each store that is ours to clear; one that does not answer is as good as empty here. */
type Kept = ReadonlyMap<string, ReadonlySet<string>>;

async function keptHalves({ parts, view }: KeyDesk): Promise<Kept> {
  const names = new Set([...view().keys.values()].map(({ record }) => record.key_store));
  const kept = new Map<string, ReadonlySet<string>>();
  for (const name of names) {
    const keyStore = await parts.keyStores.named(name).catch(() => undefined);
    kept.set(name, new Set(keyStore?.external ? [] : await keyStore?.list().catch(() => [])));
  }
  return kept;
}

function aboutTheSet({ view }: KeyDesk): KeyFinding[] {
  const active = [...view().keys.values()].filter(({ record }) => record.state === 'active');
  if (active.length === 1) return [];
  return [{ kid: '-', state: 'unknown', ok: false, finding: 'no key is active', repair: RECOVER_NEW }];
}

async function aboutKey(
  desk: KeyDesk,
  key: RingKey,
  { kept, patience }: { readonly kept: Kept; readonly patience: number },
): Promise<KeyFinding[]> {
  const { kid, state } = key.record;
  const wrong = (finding: string, repair: string): KeyFinding => ({ kid, state, ok: false, finding, repair });
  const findings: KeyFinding[] = [];
  if (thumbprint(JSON.parse(key.record.public_jwk_json)) !== kid)
    findings.push(
      wrong('its public half in the database is another key', 'restore the database from a backup'),
    );
  const { clock, timing } = desk.parts;
  if (isOfTheFuture(key.record, clock.now() + timing.clockSkew))
    findings.push(
      wrong(
        `was made at ${new Date(key.record.created_at).toISOString()}, when some clock was ahead, and keeps others from waiting`,
        `set the clocks, then authserver keys retire ${lastWord(kid)}`,
      ),
    );
  const overdue = overdueSince(key.record, clock.now() - patience);
  if (overdue !== undefined)
    findings.push(
      wrong(
        `${overdue.what} since ${new Date(overdue.since).toISOString()} and has not`,
        'see what the log says',
      ),
    );
  const exposed = await exposure(desk, key.record);
  if (exposed !== undefined)
    findings.push(
      wrong(exposed, `if one of them may have read it: authserver keys rotate --compromised ${kid}`),
    );
  const half = await aboutPrivateHalf(desk, key, kept);
  if (!half.ok || findings.length === 0) findings.push({ kid, state, ...half });
  return findings;
}

/** It would begin to sign so much later than another one that is made now. */
function isOfTheFuture({ state, created_at }: SigningKeyRecord, now: number): boolean {
  return state === 'pending' && created_at > now;
}

function overdueSince(key: SigningKeyRecord, now: number): { what: string; since: number } | undefined {
  if (isDueToSign(key, now)) return { what: 'should sign', since: key.activates_at };
  if (isDueToRetire(key, now)) return { what: 'should have retired', since: key.retires_at ?? now };
  return undefined;
}

/** Asked before anything reads the private half, which would close it again. */
async function exposure(desk: KeyDesk, record: SigningKeyRecord): Promise<string | undefined> {
  const keyStore = await storeOf(desk, record).catch(() => undefined);
  return keyStore?.exposure?.(record.kid).catch(() => undefined);
}

type Half = Pick<KeyFinding, 'ok' | 'finding' | 'repair'>;

async function aboutPrivateHalf(desk: KeyDesk, key: RingKey, kept: Kept): Promise<Half> {
  const { record } = key;
  if (isEnded(record)) return aboutRemains(desk, record, kept);
  const trouble = await probe(desk, key);
  if (trouble === undefined) return { ok: true, finding: 'signs, and its signature verifies', repair: null };
  if (record.state === 'retiring')
    return { ok: true, finding: 'verifies; its private half is not usable and not needed', repair: null };
  const lastWay = record.state === 'active' ? RECOVER_NEW : `authserver keys retire ${lastWord(record.kid)}`;
  const ways = [
    ...(record.key_store === 'keyfile' ? [`out of the newest backup: ${FROM_BACKUP}`] : []),
    'with a copy: authserver keys import FILE',
    `when it is lost for good: ${lastWay}`,
  ];
  return { ok: false, finding: trouble, repair: ways.join('; ') };
}

/** Signs with the private half where it is kept, and holds the signature to the public half of the database. */
async function probe(desk: KeyDesk, { record, publicKey }: RingKey): Promise<string | undefined> {
  try {
    const keyStore = await storeOf(desk, record);
    if (keyStore === undefined) return `the settings do not open its key store "${record.key_store}"`;
    const signer = await keyStore.signer(record);
    const jws = parseJws(await signer.sign('probe', { kid: record.kid }));
    const valid = jws !== undefined && (await verifySignature(jws, record.algorithm, publicKey));
    return valid ? undefined : 'what it signs does not verify';
  } catch (error) {
    return asFailure(error).message;
  }
}

const REMAINS = {
  retired: 'its public half is kept for hints',
  compromised: 'out of use; nothing that it signed is accepted',
};

type Ended = SigningKeyRecord & { readonly state: keyof typeof REMAINS };

function isEnded(record: SigningKeyRecord): record is Ended {
  return record.state === 'retired' || record.state === 'compromised';
}

function aboutRemains(desk: KeyDesk, record: Ended, kept: Kept): Half {
  if (!isSpent(desk, record) || !kept.get(record.key_store)?.has(record.kid))
    return { ok: true, finding: REMAINS[record.state], repair: null };
  const repair =
    record.state === 'retired'
      ? `authserver keys retire ${lastWord(record.kid)}`
      : `authserver keys rotate --compromised ${record.kid} --yes`;
  return { ok: false, finding: 'its private half is still there, though nothing needs it', repair };
}
