/** What the store promises about access that is taken away: that it says so, in the same unit of work, and no more than that. */
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Revocation, RevocationKind } from '../records.ts';
import type { Harness, OpenedStore } from './harness.ts';
import {
  clientRow,
  consentRow,
  HOUR,
  issuanceRow,
  keyRow,
  MINUTE,
  NOW,
  newId,
  resourceRow,
  secretRow,
  sessionRow,
  userRow,
} from './rows.ts';
import { atOnce, type Granted, purchaseOf, World } from './world.ts';

const LATER = NOW + MINUTE;
const EVERYTHING = { after: '', limit: 10_000 };

type Expected = Partial<Omit<Revocation, 'detail_json'>> & { readonly detail?: object };
type Case = readonly [
  kind: RevocationKind,
  take: (world: World, granted: Granted) => Promise<unknown>,
  row: (granted: Granted) => Expected,
];

const ofUser = ({ user }: Granted) => ({ user_id: user.id, client_id: null, subject: null, detail: {} });
const ofClient = ({ client }: Granted) => ({
  client_id: client.id,
  user_id: null,
  subject: null,
  detail: {},
});

/** Each way in which access is taken away from somebody who had a grant. */
const CASES: Readonly<Record<string, Case>> = {
  'the password is changed': [
    'password_changed',
    ({ store }, { user }) => store.users.setPassword({ user_id: user.id, hash: 'new', changed_at: LATER }),
    ofUser,
  ],
  'the user is disabled': [
    'user_disabled',
    ({ store }, { user }) => store.users.setStatus({ id: user.id, status: 'disabled', now: LATER }),
    ofUser,
  ],
  'the user is enabled again': [
    'user_enabled',
    ({ store }, { user }) => store.users.setStatus({ id: user.id, status: 'active', now: LATER }),
    ofUser,
  ],
  'the user is removed': [
    'user_removed',
    ({ store }, { user }) => store.users.remove({ id: user.id, now: LATER }),
    ofUser,
  ],
  'a session is ended': [
    'session_ended',
    ({ store }, { user, session }) => store.sessions.end({ id: session.id, user_id: user.id, now: LATER }),
    ({ user, session, family }) => ({
      user_id: user.id,
      subject: session.id,
      detail: { families: [family.id] },
    }),
  ],
  'somebody else signs in over a session': [
    'session_ended',
    async (world, { session: { token_hash } }) => {
      const session = sessionRow((await world.user()).id, { created_at: LATER });
      await world.store.sessions.start({ session, password_hash: null, replaces: token_hash });
    },
    ({ user, session, family }) => ({
      user_id: user.id,
      subject: session.id,
      detail: { families: [family.id] },
    }),
  ],
  'all sessions but one are ended': [
    'sessions_ended',
    ({ store }, { user }) => store.sessions.endAll({ user_id: user.id, except: 'ses_other', now: LATER }),
    (granted) => ({ ...ofUser(granted), detail: { except: 'ses_other' } }),
  ],
  'a family is revoked': [
    'family_revoked',
    ({ store }, { family }) => store.families.revoke({ id: family.id, now: LATER, reason: 'why' }),
    ({ family }) => ({ subject: family.id, detail: { reason: 'why' } }),
  ],
  'a code comes back': [
    'family_revoked',
    ({ store }, { code }) => store.codes.redeem({ ...purchaseOf(code), now: LATER }),
    ({ family }) => ({ subject: family.id, detail: { reason: 'code_replayed' } }),
  ],
  'a spent refresh token comes back': [
    'family_revoked',
    async (world, granted) => {
      await world.rotate(granted);
      await world.rotate(granted, { now: LATER });
    },
    ({ family }) => ({ subject: family.id, detail: { reason: 'refresh_token_reused' } }),
  ],
  'a grant is withdrawn': [
    'grant_withdrawn',
    ({ store }, { user, client }) =>
      store.consents.withdraw({ user_id: user.id, client_id: client.id, now: LATER }),
    ({ user, client }) => ({ user_id: user.id, client_id: client.id, subject: null, detail: {} }),
  ],
  'an access token is revoked': [
    'token_revoked',
    ({ store }, { issuance }) => store.issuances.revoke({ jti: issuance.jti, now: LATER }),
    ({ issuance, user, client }) => ({
      subject: issuance.jti,
      user_id: user.id,
      client_id: client.id,
      detail: { ...issuance, revoked_at: LATER },
    }),
  ],
  'the client is disabled': [
    'client_disabled',
    ({ store }, { client }) => store.clients.setStatus({ id: client.id, status: 'disabled', now: LATER }),
    ofClient,
  ],
  'the client is enabled again': [
    'client_enabled',
    ({ store }, { client }) => store.clients.setStatus({ id: client.id, status: 'active', now: LATER }),
    ofClient,
  ],
  'the client is removed': [
    'client_removed',
    ({ store }, { client }) => store.clients.remove({ id: client.id, now: LATER }),
    ofClient,
  ],
  'the client loses an address': [
    'client_narrowed',
    ({ store }, { client }) =>
      store.clients.update({
        client: { ...client, redirect_uris_json: '["https://new"]', updated_at: LATER },
      }),
    (granted) => ({
      ...ofClient(granted),
      detail: { lists: { redirect_uris_json: ['https://app.example.test/callback'] } },
    }),
  ],
  'the client gets another secret': [
    'client_secret_rotated',
    ({ store }, { client }) =>
      store.clients.addSecret({
        secret: secretRow(client.id, { id: `of ${client.id}`, created_at: LATER }),
        former_expire_at: LATER + HOUR,
      }),
    ({ client }) => ({
      client_id: client.id,
      subject: `of ${client.id}`,
      detail: { former_expire_at: LATER + HOUR },
    }),
  ],
  'the client is to prove itself in another way than by its secret': [
    'client_secret_rotated',
    async ({ store }, { client }) => {
      const id = `of ${client.id}`;
      const secret = secretRow(id, { created_at: LATER });
      await store.clients.create({ client: { ...client, id }, secret });
      const token_endpoint_auth_method = 'private_key_jwt';
      await store.clients.update({
        client: { ...client, id, token_endpoint_auth_method, updated_at: LATER - 1 },
      });
    },
    // Not before the secret was made, whatever the clock says.
    ({ client }) => ({
      ...{ client_id: `of ${client.id}`, user_id: null, subject: null },
      detail: { former_expire_at: LATER - 1 },
    }),
  ],
  'a resource is removed': [
    'resource_removed',
    async ({ store }, { user }) => {
      await store.resources.create({ resource: resourceRow({ id: `of ${user.id}` }) });
      await store.resources.remove({ id: `of ${user.id}`, now: LATER });
    },
    ({ user }) => ({ subject: `of ${user.id}`, user_id: null, client_id: null, detail: {} }),
  ],
  'a resource loses a scope': [
    'resource_narrowed',
    async ({ store }, { user }) => {
      const resource = resourceRow({ id: `of ${user.id}` });
      await store.resources.create({ resource });
      const scopes_json = '[{"name":"write","description":"Read"}]';
      await store.resources.update({ resource: { ...resource, scopes_json, updated_at: LATER } });
    },
    ({ user }) => ({
      ...{ subject: `of ${user.id}`, user_id: null, client_id: null },
      detail: { scopes: ['read'] },
    }),
  ],
  'a setting is rotated': [
    'setting_rotated',
    ({ store }, { user }) =>
      store.settings.rotate({ setting: { name: `of ${user.id}`, value: 'new', updated_at: LATER } }),
    ({ user }) => ({ subject: `of ${user.id}`, user_id: null, client_id: null, detail: {} }),
  ],
};

export function describeRevocations({ open }: Harness): void {
  const each = (name: string, test: (world: World, opened: OpenedStore) => Promise<void>) =>
    it(name, async () => {
      const opened = await open();
      try {
        await test(new World(opened.store), opened);
      } finally {
        await opened.dispose();
      }
    });

  describe('revocations', () => {
    each('are noted, one row each, by whatever takes access away', async (world) => {
      for (const [name, [kind, take, row]] of Object.entries(CASES)) {
        const granted = await world.granted();
        const before = await world.store.revocations.list(EVERYTHING);
        await take(world, granted);
        const [noted, ...more] = await world.store.revocations.list({
          ...EVERYTHING,
          after: before.at(-1)?.id ?? '',
        });
        const { detail, ...expected } = row(granted);
        expect(noted, name).toMatchObject({ kind, at: LATER, ...expected });
        expect(JSON.parse(noted?.detail_json ?? ''), name).toEqual(detail);
        expect(more, name).toEqual([]);
      }
    });

    each(
      'are noted by all of these at once, beside audit events and 50 sign-outs: they queue, and none is lost',
      async (world) => {
        const { store } = world;
        const ways = Object.values(CASES);
        const grants = await Promise.all(ways.map(() => world.granted()));
        const leaving = await Promise.all(Array.from({ length: 50 }, () => world.granted()));
        const event = { at: LATER, action: 'session.ended', actor: 'system', ip: null, detail_json: '{}' };
        await Promise.all([
          ...ways.map(([, take], index) => take(world, grants[index] as Granted)),
          ...leaving.map(({ user, session }) =>
            store.sessions.end({ id: session.id, user_id: user.id, now: LATER }),
          ),
          ...leaving.map(({ user }) =>
            store.audit.append({ event: { ...event, client_id: null, user_id: user.id } }),
          ),
        ]);
        const noted = await store.revocations.list(EVERYTHING);
        expect(noted).toHaveLength(ways.length + leaving.length);
        // One after the other, without a gap.
        expect(noted.map(({ id }) => Number(id.split('.')[1]))).toEqual(noted.map((_, index) => index + 1));
      },
    );

    each('of keys hold the whole key, whether it signed or not', async ({ store }) => {
      const [first, second, third] = [keyRow(), keyRow({ state: 'pending' }), keyRow()];
      await store.keys.addFirst({ key: first });
      await store.keys.addPending({ key: second });
      const times = { now: LATER, retires_at: LATER + HOUR, margin: 0 };
      await store.keys.takeOver({ former: first.kid, becomes: 'compromised', successor: second, ...times });
      await store.keys.takeOver({ former: second.kid, becomes: 'retiring', successor: third, ...times });
      await store.keys.compromise({ kid: second.kid, now: LATER });
      const noted = await store.revocations.list(EVERYTHING);
      expect(noted.map(({ kind, subject }) => [kind, subject])).toEqual([
        ['key_compromised', first.kid],
        ['key_compromised', second.kid],
      ]);
      expect(JSON.parse(noted[0]?.detail_json ?? '')).toEqual({
        ...first,
        state: 'compromised',
        retired_at: LATER,
      });
    });

    each('are not noted by what issues, spends, signs in or changes nothing', async (world) => {
      const { store } = world;
      const granted = await world.granted();
      const { user, client, session, token } = granted;
      await world.rotate(granted, { retry_window: HOUR });
      await world.rotate(granted, { retry_window: HOUR });
      const next = sessionRow(user.id);
      await store.sessions.start({ session: next, password_hash: null, replaces: session.token_hash });
      await store.sessions.touch({ id: next.id, last_seen_at: LATER, expires_at: LATER });
      await store.issuances.record({ issuance: issuanceRow() });
      await store.consents.save({ consents: [consentRow(user.id, client.id)] });
      await store.users.update({ user: { ...user, profile_json: '{}' } });
      await store.users.rehashPassword({ user_id: user.id, old_hash: 'first hash', new_hash: 'second' });
      const wider = '["https://app.example.test/callback","https://another"]';
      await store.clients.update({
        client: {
          ...{ ...client, redirect_uris_json: wider, name: 'Another' },
          // The same secret, sent otherwise.
          token_endpoint_auth_method: 'client_secret_post',
        },
      });
      const resource = resourceRow();
      await store.resources.create({ resource });
      const more = '[{"name":"more","description":""},{"name":"read","description":"Read it"}]';
      await store.resources.update({ resource: { ...resource, scopes_json: more, name: 'Another' } });
      await store.settings.put({
        setting: { name: newId('set'), value: '', updated_at: NOW },
        if_absent: false,
      });
      // None of these finds anything to take.
      await store.users.setPassword({ user_id: 'usr_none', hash: 'new', changed_at: NOW });
      await store.users.setStatus({ id: 'usr_none', status: 'disabled', now: NOW });
      await store.users.remove({ id: 'usr_none', now: NOW });
      await store.clients.setStatus({ id: 'cli_none', status: 'disabled', now: NOW });
      await store.clients.remove({ id: 'cli_none', now: NOW });
      await store.clients.update({ client: clientRow() });
      await store.clients.addSecret({ secret: secretRow('cli_none'), former_expire_at: NOW });
      await store.resources.update({ resource: resourceRow({ scopes_json: '[]' }) });
      await store.resources.remove({ id: 'res_none', now: NOW });
      await store.sessions.end({ id: session.id, user_id: user.id, now: NOW });
      await store.sessions.endAll({ user_id: 'usr_none', except: null, now: NOW });
      await store.families.revoke({ id: 'fam_none', now: NOW, reason: '' });
      await store.issuances.revoke({ jti: 'jti_none', now: NOW });
      await store.consents.withdraw({ user_id: user.id, client_id: 'cli_none', now: NOW });
      await store.keys.compromise({ kid: 'kid_none', now: NOW });
      await store.refresh.rotate({
        ...{ token_hash: 'none', now: NOW, retry_window: 0, successor_salt: '', successor: token },
        issuance: issuanceRow(),
      });
      expect(await store.revocations.list(EVERYTHING)).toEqual([]);
    });

    each(
      'are listed in the order in which they are on disk: who goes on after the last one misses none',
      async ({ store }) => {
        const ids = Array.from({ length: 200 }, (_, n) => `usr_${n}`);
        for (const id of ids)
          await store.users.create({ user: userRow({ id, created_at: NOW }), password_hash: null });
        const seen: Revocation[] = [];
        const look = async () => {
          seen.push(...(await store.revocations.list({ after: seen.at(-1)?.id ?? '', limit: 7 })));
        };
        let isOver = false;
        const looking = (async () => {
          // A turn of the event loop between two looks: on SQLite a look is no wait.
          while (!isOver) await Promise.all([look(), turn()]);
        })();
        // Later ones bear earlier times: clocks differ, and order is not their business.
        await atOnce(ids.length, (n) =>
          store.users.setStatus({ id: ids[n] ?? '', status: 'disabled', now: LATER - n }),
        );
        isOver = true;
        await looking;
        for (let count = -1; count !== seen.length; ) {
          count = seen.length;
          await look();
        }
        expect(new Set(seen.map(({ user_id }) => user_id))).toEqual(new Set(ids));
        expect(seen).toHaveLength(ids.length);
        expect(seen.map(({ id }) => id)).toEqual(seen.map(({ id }) => id).toSorted());
      },
    );

    each('from elsewhere are kept once, and are to be replayed until they have been', async ({ store }) => {
      const own = { id: 'usr_own' };
      await store.users.create({ user: userRow(own), password_hash: null });
      await store.users.remove({ ...own, now: NOW });
      const [known] = await store.revocations.list(EVERYTHING);
      if (!known) throw new Error('nothing was noted');
      const foreign: Revocation = { ...known, id: known.id.replace(/^0+/, (zeros) => `${zeros.slice(1)}1`) };
      const receive = (rows: readonly Revocation[], restored_at = LATER) =>
        store.revocations.receive({ revocations: rows, restored_at });
      expect(await receive([known, foreign, foreign])).toEqual({ received: 1 });
      expect(await receive([foreign], LATER + 1)).toEqual({ received: 0 });
      const waiting = { restored_at: LATER, ...EVERYTHING };
      expect(await store.revocations.listReceived(waiting)).toEqual([foreign]);
      expect(await store.revocations.countReplayed({ restored_at: LATER })).toEqual([]);
      await store.takeAway.user_removed({ revocation: foreign, restored_at: LATER, now: LATER });
      expect(await store.revocations.listReceived(waiting)).toEqual([]);
      expect(await store.revocations.countReplayed({ restored_at: LATER })).toEqual([
        { kind: 'user_removed', count: 1 },
      ]);
      expect(await store.revocations.list(EVERYTHING)).toHaveLength(2);
    });
  });
}
