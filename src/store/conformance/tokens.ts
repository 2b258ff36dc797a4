/** What the store promises about codes and tokens. */
import { describe, expect, it } from 'vitest';
import {
  codeRow,
  DAY,
  HOUR,
  issuanceRow,
  MINUTE,
  NOW,
  newId,
  refreshRow,
  requestRow,
  sessionRow,
} from './rows.ts';
import { atOnce, type Granted, purchaseOf, rotationOf, tally, type World } from './world.ts';

export function describeTokens(world: () => World): void {
  describe('requests', () => describeRequests(world));
  describe('codes', () => describeCodes(world));
  describe('refresh', () => describeRefresh(world));
  describe('families', () => describeFamilies(world));
  describe('issuances', () => describeIssuances(world));
  describe('replays', () => describeReplays(world));
}

function describeRequests(world: () => World): void {
  it('keeps, updates and removes a request', async () => {
    const { store } = world();
    const request = requestRow((await world().client()).id);
    const { id } = request;
    await store.requests.save({ request });
    expect(await store.requests.find({ id, now: NOW })).toEqual(request);
    const update = { id, request_json: '{"decided":true}', now: NOW };
    expect(await store.requests.update(update)).toEqual({ outcome: 'updated' });
    expect(await store.requests.find({ id, now: NOW })).toEqual({
      ...request,
      request_json: '{"decided":true}',
    });
    await store.requests.remove({ id });
    expect(await store.requests.find({ id, now: NOW })).toBeUndefined();
    expect(await store.requests.update(update)).toEqual({ outcome: 'unknown' });
  });

  it('is there one millisecond before its end and gone at its end', async () => {
    const { store } = world();
    const request = requestRow((await world().client()).id, { expires_at: NOW + 10 });
    await store.requests.save({ request });
    const update = { id: request.id, request_json: '{"n":1}' };
    expect(await store.requests.find({ id: request.id, now: NOW + 9 })).toBeDefined();
    expect(await store.requests.find({ id: request.id, now: NOW + 10 })).toBeUndefined();
    expect(await store.requests.update({ ...update, now: NOW + 9 })).toEqual({ outcome: 'updated' });
    expect(await store.requests.update({ ...update, now: NOW + 10 })).toEqual({ outcome: 'unknown' });
  });
}

function describeCodes(world: () => World): void {
  it('keeps a code and closes the request it came from, together', async () => {
    const { store } = world();
    const { user, client, session } = await world().parties();
    const parties = { user_id: user.id, client_id: client.id, session_id: session.id };
    const code = codeRow(parties, { nonce: 'n', claims_json: '{}' });
    const [first, second] = [requestRow(client.id), requestRow(client.id)];
    for (const request of [first, second]) await store.requests.save({ request });
    expect(await store.codes.issue({ code, request_id: first.id })).toEqual({ outcome: 'issued' });
    expect(await store.codes.find({ code_hash: code.code_hash })).toEqual(code);
    expect(await store.requests.find({ id: first.id, now: NOW })).toBeUndefined();
    await expect(store.codes.issue({ code, request_id: second.id })).rejects.toMatchObject({
      code: 'conflict',
    });
    expect(await store.requests.find({ id: second.id, now: NOW })).toBeDefined();
  });

  it('answers a stored request with one code, however many ask at once', async () => {
    const { store } = world();
    const { user, client, session } = await world().parties();
    const parties = { user_id: user.id, client_id: client.id, session_id: session.id };
    const request = requestRow(client.id);
    await store.requests.save({ request });
    const codes = Array.from({ length: 20 }, () => codeRow(parties));
    const answers = await Promise.all(
      codes.map((code) => store.codes.issue({ code, request_id: request.id })),
    );
    expect(tally(answers)).toEqual({ issued: 1, gone: 19 });
    const kept = await Promise.all(codes.map(({ code_hash }) => store.codes.find({ code_hash })));
    expect(kept.filter(Boolean)).toHaveLength(1);
  });

  it('redeems a code for a family, a refresh token and an access token', async () => {
    const { store } = world();
    const code = await world().code(await world().parties());
    const purchase = purchaseOf(code);
    expect(await store.codes.redeem(purchase)).toEqual({ outcome: 'redeemed' });
    const { family, tokens } = purchase;
    expect(await store.families.find({ id: code.family_id })).toEqual(family);
    const found = await store.refresh.find({ token_hash: tokens.refresh.token_hash });
    expect(found).toEqual({ token: tokens.refresh, family });
    const { jti } = tokens.issuance;
    expect(await store.issuances.findLive({ jti, now: NOW })).toEqual(tokens.issuance);
    expect(await store.codes.find({ code_hash: code.code_hash })).toEqual({ ...code, redeemed_at: NOW });
  });

  it('redeems a code without a refresh token', async () => {
    const { store } = world();
    const purchase = purchaseOf(await world().code(await world().parties()));
    const tokens = { issuance: purchase.tokens.issuance, refresh: null };
    expect(await store.codes.redeem({ ...purchase, tokens })).toEqual({ outcome: 'redeemed' });
    expect(await world().isLive(tokens.issuance)).toBe(true);
  });

  it('has one winner among 20 at once, and a replay has revoked what it bought', async () => {
    const { store } = world();
    const parties = await world().parties();
    const code = await world().code(parties);
    const purchases = Array.from({ length: 20 }, () => purchaseOf(code));
    const answers = await Promise.all(purchases.map((purchase) => store.codes.redeem(purchase)));
    expect(tally(answers)).toEqual({ redeemed: 1, replayed: 19 });
    expect(await store.families.find({ id: code.family_id })).toMatchObject({
      revoked_at: NOW,
      revoked_reason: 'code_replayed',
    });
    for (const { tokens } of purchases) expect(await world().isLive(tokens.issuance)).toBe(false);
    const kept = await Promise.all(purchases.map(({ tokens }) => store.refresh.find(tokens.refresh)));
    expect(kept.filter(Boolean)).toHaveLength(1);
  });

  it('redeems one millisecond before the end and not at it', async () => {
    const { store } = world();
    const parties = await world().parties();
    const [early, late] = [await world().code(parties), await world().code(parties)];
    const redeem = (code: typeof early, now: number) => store.codes.redeem(purchaseOf(code, now));
    expect(await redeem(early, early.expires_at - 1)).toEqual({ outcome: 'redeemed' });
    expect(await redeem(late, late.expires_at)).toEqual({ outcome: 'expired' });
    expect(await store.codes.find({ code_hash: late.code_hash })).toEqual(late);
    expect(await redeem(early, early.expires_at + DAY)).toEqual({ outcome: 'replayed' });
    expect(await redeem(codeRow({ user_id: '', client_id: '', session_id: '' }), NOW)).toEqual({
      outcome: 'unknown',
    });
  });

  const endings = {
    'the session was signed out': async ({ store }: World, { user, session }: Granted) => {
      await store.sessions.end({ id: session.id, user_id: user.id, now: NOW });
    },
    'the session was replaced': async ({ store }: World, { user, session }: Granted) => {
      const replaces = session.token_hash;
      await store.sessions.start({ session: sessionRow(user.id), password_hash: null, replaces });
    },
    'the user was disabled': async ({ store }: World, { user }: Granted) => {
      await store.users.setStatus({ id: user.id, status: 'disabled', now: NOW });
    },
    'the password was changed': async ({ store }: World, { user }: Granted) => {
      await store.users.setPassword({ user_id: user.id, hash: 'new', changed_at: NOW });
    },
    'the client was disabled': async ({ store }: World, { client }: Granted) => {
      await store.clients.setStatus({ id: client.id, status: 'disabled', now: NOW });
    },
  };
  it.each(Object.entries(endings))(
    'is void when %s: the code is spent and buys nothing, then or later',
    async (_, end) => {
      const { store } = world();
      const granted = await world().granted();
      const code = await world().code(granted);
      await end(world(), granted);
      const purchase = purchaseOf(code);
      expect(await store.codes.redeem(purchase)).toEqual({ outcome: 'void' });
      expect(await store.families.find({ id: code.family_id })).toBeUndefined();
      expect(await store.refresh.find(purchase.tokens.refresh)).toBeUndefined();
      expect(await world().isLive(purchase.tokens.issuance)).toBe(false);
      await store.clients.setStatus({ id: granted.client.id, status: 'active', now: NOW });
      await store.users.setStatus({ id: granted.user.id, status: 'active', now: NOW });
      expect(await store.codes.redeem(purchaseOf(code))).toEqual({ outcome: 'replayed' });
      expect(await store.families.find({ id: code.family_id })).toBeUndefined();
    },
  );

  it('leaves nothing behind when it fails midway: the code can be redeemed still', async () => {
    const { store } = world();
    const { issuance, ...parties } = await world().granted();
    const code = await world().code(parties);
    const purchase = purchaseOf(code);
    const twice = {
      ...purchase,
      tokens: { ...purchase.tokens, issuance: { ...purchase.tokens.issuance, jti: issuance.jti } },
    };
    await expect(store.codes.redeem(twice)).rejects.toMatchObject({ code: 'conflict' });
    expect(await store.codes.find({ code_hash: code.code_hash })).toEqual(code);
    expect(await store.families.find({ id: code.family_id })).toBeUndefined();
    expect(await store.refresh.find(purchase.tokens.refresh)).toBeUndefined();
    expect(await store.codes.redeem(purchase)).toEqual({ outcome: 'redeemed' });
  });
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
    await store.clients.remove({ id: client.id });
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
