/** What the store promises about authorization requests and the codes that answer them. */
import { describe, expect, it } from 'vitest';
import { codeRow, DAY, NOW, requestRow, sessionRow } from './rows.ts';
import { type Granted, purchaseOf, tally, type World } from './world.ts';

export function describeCodes(world: () => World): void {
  describe('requests', () => describeRequests(world));
  describe('codes', () => describeRedemption(world));
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

function describeRedemption(world: () => World): void {
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
