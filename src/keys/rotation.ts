/** How keys take turns: published, then signing, then verifying what is left. */
import { Failure } from '../kernel/errors.ts';
import { type KeyDesk, longestLifetime, records } from './desk.ts';
import { discardUnpublished, newRecord } from './first-key.ts';
import { activatesAt, isDueToRetire, isDueToSign, retirementMargin, retiresAt } from './lifecycle.ts';

export interface Rotation {
  readonly kid: string;
  /** ms, when the new key begins to sign. */
  readonly activates_at: number;
  /** False when a key was waiting already: then this is that one, and no other was made. */
  readonly started: boolean;
}

/** Publishes a key that takes over later; see `Keyring.rotate`. */
export async function rotate(desk: KeyDesk): Promise<Rotation> {
  const { store, keyStores, algorithm, timing, clock } = desk.parts;
  const keyStore = keyStores.home;
  await desk.refresh();
  const waiting = pending(desk);
  if (waiting !== undefined) return { ...waiting, started: false };

  const pair = await keyStore.create(algorithm);
  const now = clock.now();
  const key = newRecord(pair, keyStore, { now, activatesAt: activatesAt(now, timing) });
  const { outcome } = await store.addPending({ key });
  if (outcome === 'taken') await discardUnpublished(store, keyStore, key.kid);
  else desk.tell({ action: 'key.published', kid: key.kid }, 'published a new signing key');
  await desk.refresh();
  if (outcome === 'added') return { kid: key.kid, activates_at: key.activates_at, started: true };
  const theirs = pending(desk);
  if (theirs !== undefined) return { ...theirs, started: false };
  throw new Failure('conflict', 'Another rotation took place at the same time.', {
    hint: 'List the keys, then decide.',
  });
}

/** Lets the pending key take over where its time has come and its private half is here. */
export async function promoteDue(desk: KeyDesk): Promise<void> {
  const { store, timing, clock } = desk.parts;
  const due = records(desk).find((key) => isDueToSign(key, clock.now()));
  if (due === undefined || !desk.view().signers.has(due.kid)) return;
  const { kid } = due;
  const longest = await longestLifetime(desk);
  const now = clock.now();
  const { outcome } = await store.activate({
    kid,
    now,
    retires_at: retiresAt(now, longest, timing),
    margin: retirementMargin(timing),
  });
  await desk.refresh();
  if (outcome === 'activated')
    desk.tell({ action: 'key.activated', kid }, 'a new signing key has taken over');
}

/** Records that keys have retired whose last token has run out. */
export async function retireDue(desk: KeyDesk): Promise<void> {
  const { store, clock } = desk.parts;
  const now = clock.now();
  const due = records(desk).filter((key) => isDueToRetire(key, now));
  if (due.length === 0) return;
  const { retired } = await store.retireDue({ now });
  await desk.refresh();
  if (retired === 0) return;
  for (const { kid } of due) desk.tell({ action: 'key.retired', kid }, 'a signing key has retired');
}

function pending(desk: KeyDesk): Pick<Rotation, 'kid' | 'activates_at'> | undefined {
  const found = records(desk).find(({ state }) => state === 'pending');
  return found && { kid: found.kid, activates_at: found.activates_at };
}
