/** What the store promises about tokens. */
import { describe, expect, it } from 'vitest';
import { DAY, HOUR, issuanceRow, MINUTE, NOW, newId, refreshRow } from './rows.ts';
import { atOnce, rotationOf, tally, type World } from './world.ts';

export function describeTokens(world: () => World): void {
  describe('refresh', () => describeRefresh(world));
  describe('families', () => describeFamilies(world));
  describe('issuances', () => describeIssuances(world));
  describe('replays', () => describeReplays(world));
}

function describeRefresh(world: () => World): void {
  it('spends a token for a successor and an access token', async () => {
    const { store } = world();
    const granted = await world().granted();
    const rotation = rotationOf(granted, { now: NOW + HOUR });
    expect(await store.refresh.rotate(rotation)).toEqual({ outcome: 'rotated' });
    const { token, family } = granted;
    const spent = {
      ...token,
      spent_at: NOW + HOUR,
      successor_salt: rotation.successor_salt,
      successor_hash: rotation.successor.token_hash,
    };
    expect(await store.refresh.find(token)).toEqual({ token: spent, family });
    expect(await store.refresh.find(rotation.successor)).toEqual({ token: rotation.successor, family });
    expect(await world().isLive(rotation.issuance, NOW)).toBe(true);
    const next = rotationOf({ ...granted, token: rotation.successor });
    expect(await store.refresh.rotate(next)).toEqual({ outcome: 'rotated' });
  });

  it('has one winner among 20 at once without a retry window; the others are reuse', async () => {
    const { store } = world();
    const granted = await world().granted();
    const answers = await atOnce(20, () => world().rotate(granted));
    const { rotated, ...others } = tally(answers);
    expect(rotated).toBe(1);
    expect((others['reused'] ?? 0) + (others['revoked'] ?? 0)).toBe(19);
    expect(others['reused']).toBeGreaterThan(0);
    expect(await store.families.find({ id: granted.family.id })).toMatchObject({
      revoked_at: NOW,
      revoked_reason: 'refresh_token_reused',
    });
    expect(await world().isLive(granted.issuance)).toBe(false);
  });

  it('gives 20 at once within the retry window the same successor, each with an access token', async () => {
    const { store } = world();
    const granted = await world().granted();
    const rotations = Array.from({ length: 20 }, () => rotationOf(granted, { retry_window: 10_000 }));
    const answers = await Promise.all(rotations.map((rotation) => store.refresh.rotate(rotation)));
    expect(tally(answers)).toEqual({ rotated: 1, retried: 19 });
    const winner = rotations[answers.findIndex((answer) => answer.outcome === 'rotated')];
    for (const answer of answers) {
      if (answer.outcome === 'retried') expect(answer.successor_salt).toBe(winner?.successor_salt);
    }
    for (const { issuance } of rotations) expect(await world().isLive(issuance)).toBe(true);
    const kept = await Promise.all(rotations.map(({ successor }) => store.refresh.find(successor)));
    expect(kept.filter(Boolean)).toHaveLength(1);
  });

  it('lets a retry in at the end of the window; later it is reuse and revokes the family', async () => {
    const granted = await world().granted();
    const retry_window = 10_000;
    await world().rotate(granted, { retry_window });
    const repeat = (now: number) => world().rotate(granted, { retry_window, now });
    expect(await repeat(NOW + retry_window)).toMatchObject({ outcome: 'retried' });
    expect(await repeat(NOW + retry_window + 1)).toEqual({ outcome: 'reused' });
    expect(await repeat(NOW + retry_window + 2)).toEqual({ outcome: 'revoked' });
    expect(await world().hasLiveFamily(granted.user)).toBe(false);
  });

  it('takes a repeat for reuse once the successor has been spent, even within the window', async () => {
    const { store } = world();
    const granted = await world().granted();
    const first = rotationOf(granted, { retry_window: 10_000 });
    await store.refresh.rotate(first);
    await world().rotate({ ...granted, token: first.successor });
    expect(await world().rotate(granted, { retry_window: 10_000 })).toEqual({ outcome: 'reused' });
    expect(await world().hasLiveFamily(granted.user)).toBe(false);
  });

  it('rotates one millisecond before the end of the token and not at it', async () => {
    const granted = await world().granted();
    const { expires_at } = granted.token;
    expect(await world().rotate(granted, { now: expires_at })).toEqual({ outcome: 'expired' });
    const successor = refreshRow(granted.family.id, { expires_at: expires_at + DAY });
    expect(await world().rotate(granted, { now: expires_at - 1, successor })).toEqual({ outcome: 'rotated' });
  });

  it('cuts the successor to the absolute end of the family, after which nothing is given', async () => {
    const { store } = world();
    const granted = await world().granted();
    const end = granted.family.expires_at;
    const successor = refreshRow(granted.family.id, { expires_at: end + DAY });
    await world().rotate(granted, { successor });
    expect((await store.refresh.find(successor))?.token.expires_at).toBe(end);
    const heir = { ...granted, token: successor };
    const retry_window = 10_000;
    const last = refreshRow(granted.family.id, { expires_at: end + DAY });
    expect(await world().rotate(heir, { now: end - 1, successor: last, retry_window })).toEqual({
      outcome: 'rotated',
    });
    expect(await world().rotate(heir, { now: end, retry_window })).toEqual({ outcome: 'expired' });
    expect(await world().rotate({ ...granted, token: last }, { now: end })).toEqual({ outcome: 'expired' });
  });

  it('gives nothing in a revoked family, and nothing for an unknown token', async () => {
    const { store } = world();
    const granted = await world().granted();
    await store.families.revoke({ id: granted.family.id, now: NOW, reason: 'asked' });
    expect(await world().rotate(granted)).toEqual({ outcome: 'revoked' });
    expect((await store.refresh.find(granted.token))?.token.spent_at).toBeNull();
    const unknown = { ...granted, token: refreshRow(granted.family.id) };
    expect(await world().rotate(unknown)).toEqual({ outcome: 'unknown' });
    expect(await store.refresh.find({ token_hash: newId('none') })).toBeUndefined();
  });

  it('leaves nothing behind when it fails midway: the token is unspent', async () => {
    const { store } = world();
    const granted = await world().granted();
    const rotation = rotationOf(granted);
    const twice = { ...rotation, issuance: { ...rotation.issuance, jti: granted.issuance.jti } };
    await expect(store.refresh.rotate(twice)).rejects.toMatchObject({ code: 'conflict' });
    expect(await store.refresh.find(granted.token)).toMatchObject({ token: granted.token });
    expect(await store.refresh.find(rotation.successor)).toBeUndefined();
    expect(await store.refresh.rotate(rotation)).toEqual({ outcome: 'rotated' });
  });
}

function describeFamilies(world: () => World): void {
  it('revokes a family once; its tokens end with it', async () => {
    const { store } = world();
    const { family, issuance } = await world().granted();
    const revoke = { id: family.id, now: NOW + 1, reason: 'asked' };
    expect(tally(await atOnce(5, () => store.families.revoke(revoke)))).toEqual({ revoked: 1, unknown: 4 });
    expect(await store.families.find({ id: family.id })).toEqual({
      ...family,
      revoked_at: NOW + 1,
      revoked_reason: 'asked',
    });
    expect(await world().isLive(issuance)).toBe(false);
    expect(await store.families.revoke({ ...revoke, id: newId('fam') })).toEqual({ outcome: 'unknown' });
    expect(await store.families.find({ id: newId('fam') })).toBeUndefined();
  });

  it('lists the live families of a user, until their end and not at it', async () => {
    const { store } = world();
    const kept = await world().granted();
    const revoked = await world().granted('openid', kept);
    await world().granted();
    await store.families.revoke({ id: revoked.family.id, now: NOW, reason: 'asked' });
    const list = (now: number) => store.families.listOfUser({ user_id: kept.user.id, now });
    expect(await list(kept.family.expires_at - 1)).toEqual([kept.family]);
    expect(await list(kept.family.expires_at)).toEqual([]);
  });
}

function describeIssuances(world: () => World): void {
  it('records a token of a client, live until its end and not at it', async () => {
    const { store } = world();
    const issuance = issuanceRow({ client_id: (await world().client()).id });
    await store.issuances.record({ issuance });
    const { jti, expires_at } = issuance;
    expect(await store.issuances.findLive({ jti, now: expires_at - 1 })).toEqual(issuance);
    expect(await store.issuances.findLive({ jti, now: expires_at })).toBeUndefined();
    expect(await store.issuances.findLive({ jti: newId('jti'), now: NOW })).toBeUndefined();
  });

  it('records a token id once', async () => {
    const { store } = world();
    const issuance = issuanceRow();
    await store.issuances.record({ issuance });
    await expect(store.issuances.record({ issuance })).rejects.toMatchObject({ code: 'conflict' });
  });

  it('revokes one token once, and no other', async () => {
    const { store } = world();
    const client_id = (await world().client()).id;
    const [first, second] = [issuanceRow({ client_id }), issuanceRow({ client_id })];
    for (const issuance of [first, second]) await store.issuances.record({ issuance });
    const revoke = { jti: first.jti, now: NOW };
    expect(tally(await atOnce(5, () => store.issuances.revoke(revoke)))).toEqual({ revoked: 1, unknown: 4 });
    expect(await world().isLive(first)).toBe(false);
    expect(await world().isLive(second)).toBe(true);
  });

  it('ends with its client, and is not brought back by a later one with the same id', async () => {
    const { store } = world();
    const client = await world().client();
    const issuance = issuanceRow({ client_id: client.id });
    await store.issuances.record({ issuance });
    expect(await world().isLive(issuance)).toBe(true);
    await store.clients.remove({ id: client.id, now: NOW });
    await world().client({ ...client, created_at: issuance.issued_at + 1 });
    expect(await world().isLive(issuance)).toBe(false);
  });

  it('ends with its family', async () => {
    const { store } = world();
    const { family } = await world().granted();
    const issuance = issuanceRow({
      family_id: family.id,
      client_id: family.client_id,
      expires_at: family.expires_at + DAY,
    });
    await store.issuances.record({ issuance });
    expect(await world().isLive(issuance, family.expires_at - 1)).toBe(true);
    expect(await world().isLive(issuance, family.expires_at)).toBe(false);
  });
}

function describeReplays(world: () => World): void {
  it('is true for one of 20 callers at once', async () => {
    const { store } = world();
    const consume = { id: newId('jti'), expires_at: NOW + HOUR, now: NOW };
    const answers = await atOnce(20, () => store.replays.consume(consume));
    expect(answers.filter((answer) => answer.first)).toHaveLength(1);
  });

  it('remembers until the end and not at it', async () => {
    const { store } = world();
    const consume = { id: newId('jti'), expires_at: NOW + MINUTE };
    expect(await store.replays.consume({ ...consume, now: NOW })).toEqual({ first: true });
    expect(await store.replays.consume({ ...consume, now: NOW + MINUTE - 1 })).toEqual({ first: false });
    const again = { ...consume, expires_at: NOW + 2 * MINUTE, now: NOW + MINUTE };
    expect(await store.replays.consume(again)).toEqual({ first: true });
    expect(await store.replays.consume({ ...again, now: NOW + MINUTE + 1 })).toEqual({ first: false });
  });
}
