// Single things out of a backup, back into the live database: what comes back, what does not, and that nothing else changes.

import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { readSigningKey } from '../../src/app/backup/signing-key.ts';
import { migrateSchema } from '../../src/app/open-store.ts';
import { extract } from '../../src/app/reinstate/extract.ts';
import { prepareTakeBack, type TakeBackRequest } from '../../src/app/reinstate/reinstate.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import type { ReinstateReport } from '../../src/ops/reinstate/report.ts';
import { readThings } from '../../src/ops/reinstate/thing.ts';
import {
  clientRow,
  consentRow,
  issuanceRow,
  resourceRow,
  secretRow,
  userRow,
} from '../../src/store/conformance/rows.ts';
import { timeline } from '../../src/store/migrations/timeline.ts';
import type { ClientRecord, UserRecord } from '../../src/store/records.ts';
import type { Store } from '../../src/store/store.ts';
import { describeEngines } from '../setup/engines.ts';
import { Installation } from './restore-kit.ts';

const PATIENCE = 60_000;
const OPENING = { target: undefined, recoveryKeyFile: undefined, passphraseFile: undefined, trust: [] };
const signal = new AbortController().signal;
/** What a record of what was done is written to. */
const OWN = ['audit_events', 'settings'];

const then = Date.now() - 60_000;
const user = (name: string, given: Partial<UserRecord> = {}) =>
  userRow({ id: `usr_${name}`, username: name, email: `${name}@example.test`, created_at: then, ...given });
const client = (name: string, given: Partial<ClientRecord> = {}) =>
  clientRow({ id: `cli_${name}`, name, created_at: then, updated_at: then, ...given });
const consent = (name: string, app: string, resource = '') =>
  consentRow(`usr_${name}`, `cli_${app}`, { resource, granted_at: then, updated_at: then });
const API = resourceRow({ id: 'res_api', uri: 'https://api.example.test/a,b', created_at: then });

/** Three people, two clients with secrets, an API, consents of everybody to everything. */
async function furnish(store: Store): Promise<void> {
  for (const name of ['ada', 'bob', 'eve'])
    await store.users.create({ user: user(name), password_hash: `hash of ${name}` });
  for (const name of ['shop', 'blog']) {
    const secret = secretRow(`cli_${name}`, { id: `sec_${name}`, created_at: then });
    await store.clients.create({ client: client(name), secret });
  }
  await store.resources.create({ resource: API });
  const consents = ['ada', 'bob', 'eve'].flatMap((name) => [
    consent(name, 'shop'),
    consent(name, 'shop', API.uri),
    consent(name, 'blog'),
  ]);
  await store.consents.save({ consents });
}

class House {
  readonly here: Installation;
  readonly backup: string;

  constructor(here: Installation, backup: string) {
    this.here = here;
    this.backup = backup;
  }

  ask(only: string, given: Partial<TakeBackRequest> = {}) {
    const request = {
      ...OPENING,
      backup: this.backup,
      things: readThings(only),
      on_conflict: 'report' as const,
    };
    return prepareTakeBack(this.here.config, { ...request, ...given }, signal);
  }

  async take(only: string, given: Partial<TakeBackRequest> = {}): Promise<ReinstateReport> {
    await using asked = await this.ask(only, given);
    return await asked.run(signal);
  }

  with<T>(work: (store: Store) => Promise<T>): Promise<T> {
    return this.here.withStore(work);
  }

  /** Digests of all tables but those in which it is recorded. */
  async digests(): Promise<Record<string, string>> {
    const all = Object.entries(await this.here.digests());
    return Object.fromEntries(all.filter(([table]) => !OWN.includes(table)));
  }

  actions(): Promise<string[]> {
    return this.with(async (store) =>
      (await store.audit.list({ after: 0, limit: 100 })).map(({ action }) => action),
    );
  }
}

describeEngines('taking one thing back', (engine) => {
  const each = (name: string, body: (house: House) => Promise<void>) =>
    test(name, { timeout: PATIENCE }, async () => {
      await using here = await Installation.make(engine);
      await here.withStore(furnish);
      await body(new House(here, await here.backup()));
    });

  each(
    'a removed client returns with its secret and the consents of those who are there; nothing else changes',
    async (house) => {
      const { here } = house;
      const whole = await house.digests();
      await house.with((store) => store.clients.remove({ id: 'cli_shop', now: Date.now() }));
      const before = await house.digests();
      await using asked = await house.ask('client:cli_shop');
      const planned = await asked.plan(signal);
      expect(planned).toMatchObject({ outcome: 'planned', consents: { added: 6, present: 0 } });
      expect(planned.things).toMatchObject([{ id: 'cli_shop', name: 'shop', action: 'add', secrets: 1 }]);
      expect(planned.things[0]?.removed_at).toBeGreaterThan(then);
      expect(await house.digests()).toEqual(before);
      expect(await house.actions()).toEqual([]);

      expect(await asked.run(signal)).toMatchObject({ outcome: 'done', consents: { added: 6 } });
      const { revocations: _, ...after } = await house.digests();
      const { revocations: __, ...former } = whole;
      expect(after).toEqual(former);
      expect(await house.actions()).toEqual(['client.reinstated']);

      const again = await asked.run(signal);
      expect(again).toMatchObject({ things: [{ action: 'none' }], consents: { added: 0, present: 6 } });
      const { revocations: ___, ...twice } = await house.digests();
      expect(twice).toEqual(former);
      expect(await house.actions()).toEqual(['client.reinstated']);
      await asked[Symbol.asyncDispose]();
      expect(await readdir(path.join(here.stateDir, 'spool'))).toEqual([]);
    },
  );

  each(
    'a removed user returns with the password, consents and nothing that was signed in; who was removed too is told',
    async (house) => {
      await house.with(async (store) => {
        await store.users.remove({ id: 'usr_eve', now: Date.now() });
        await store.clients.remove({ id: 'cli_blog', now: Date.now() });
      });
      const report = await house.take('user:Eve@Example.test');
      expect(report.things).toMatchObject([{ kind: 'user', id: 'usr_eve', action: 'add', password: true }]);
      expect(report.consents).toEqual({
        ...{ added: 2, present: 0, withdrawn: 0, orphaned: 1 },
        missing: ['client:cli_blog'],
      });
      await house.with(async (store) => {
        expect(await store.users.findByLogin({ login: 'eve' })).toEqual({
          ...user('eve'),
          password_hash: 'hash of eve',
        });
        expect(await store.consents.listOfUser({ user_id: 'usr_eve' })).toHaveLength(2);
        expect(await store.clients.find({ id: 'cli_blog' })).toBeUndefined();
      });
      expect(await house.take('client:cli_blog,user:eve')).toMatchObject({
        consents: { added: 3, present: 2 },
      });
    },
  );

  each('what was revoked since stays so', async (house) => {
    const now = Date.now();
    const token = issuanceRow({ client_id: 'cli_shop', issued_at: then, expires_at: now + 600_000 });
    await house.with(async (store) => {
      await store.issuances.record({ issuance: token });
      await store.consents.withdraw({ user_id: 'usr_bob', client_id: 'cli_shop', now });
      await store.clients.addSecret({
        secret: secretRow('cli_shop', { id: 'sec_new', created_at: now }),
        former_expire_at: now,
      });
      await store.clients.setStatus({ id: 'cli_shop', status: 'disabled', now });
      await store.users.setPassword({ user_id: 'usr_ada', hash: 'a new one', changed_at: now });
      await store.clients.remove({ id: 'cli_shop', now });
      await store.users.remove({ id: 'usr_ada', now });
    });
    const report = await house.take('user:ada,client:cli_shop');
    expect(
      report.things.map(({ id, held, password, secrets }) => [
        id,
        held.map(({ kind }) => kind),
        password,
        secrets,
      ]),
    ).toEqual([
      ['usr_ada', ['password_changed'], false, 0],
      ['cli_shop', ['client_secret_rotated', 'client_disabled'], null, 0],
    ]);
    expect(report.consents).toMatchObject({ added: 5, withdrawn: 2 });
    await house.with(async (store) => {
      expect(await store.users.findByLogin({ login: 'ada' })).toMatchObject({ password_hash: null });
      expect(await store.clients.find({ id: 'cli_shop' })).toMatchObject({ status: 'disabled', secrets: [] });
      await store.clients.setStatus({ id: 'cli_shop', status: 'active', now: now + 1 });
      expect(await store.issuances.findLive({ jti: token.jti, now: now + 1 })).toBeUndefined();
      expect(await store.consents.find({ user_id: 'usr_bob', client_id: 'cli_shop' })).toEqual([]);
    });
  });

  each('a conflict is told and nothing is written, unless it is said what is to win', async (house) => {
    await house.with(async (store) => {
      await store.clients.update({ client: client('shop', { name: 'Renamed' }) });
      await store.clients.remove({ id: 'cli_blog', now: Date.now() });
    });
    const before = await house.digests();
    const both = 'client:cli_shop,client:cli_blog';
    const told = await house.take(both);
    expect(told.outcome).toBe('conflict');
    expect(told.things.map(({ action, conflicts }) => [action, conflicts])).toEqual([
      ['left', [{ kind: 'differs', columns: ['name'] }]],
      ['add', []],
    ]);
    expect(await house.digests()).toEqual(before);
    expect(await house.actions()).toEqual([]);

    const kept = await house.take(both, { on_conflict: 'keep' });
    expect(kept).toMatchObject({ outcome: 'done', things: [{ action: 'left' }, { action: 'add' }] });
    expect(kept.consents).toMatchObject({ added: 3, present: 6 });
    const nameNow = () => house.with(async (store) => (await store.clients.find({ id: 'cli_shop' }))?.name);
    expect(await nameNow()).toBe('Renamed');
    await house.with((store) => store.clients.setStatus({ id: 'cli_shop', status: 'disabled', now: 1 }));
    await house.take(both, { on_conflict: 'replace' });
    expect(await nameNow()).toBe('shop');
    await house.with(async (store) => {
      expect(await store.clients.find({ id: 'cli_shop' })).toMatchObject({ status: 'disabled' });
    });
    expect((await house.take(both)).things.map(({ action }) => action)).toEqual(['none', 'none']);
  });

  each(
    'nobody loses a name to somebody who comes back, and no consent goes to a client that was made again',
    async (house) => {
      await house.with(async (store) => {
        await store.users.remove({ id: 'usr_eve', now: Date.now() });
        const other = user('other', { id: 'usr_other', email: 'eve@example.test' });
        await store.users.create({ user: other, password_hash: null });
        await store.clients.remove({ id: 'cli_shop', now: Date.now() });
        await store.clients.create({ client: client('shop', { created_at: Date.now() }), secret: null });
        await store.resources.remove({ id: API.id, now: Date.now() });
        await store.resources.create({ resource: { ...API, id: 'res_new' } });
      });
      const things = `user:eve,client:cli_shop,resource:${API.uri}`;
      for (const on_conflict of ['report', 'replace'] as const) {
        const told = await house.take(things, { on_conflict });
        expect(told.outcome).toBe('conflict');
        expect(told.things.map(({ conflicts }) => conflicts)).toEqual([
          [{ kind: 'taken', column: 'email', by: 'usr_other' }],
          [{ kind: 'taken', column: 'id', by: 'cli_shop' }],
          [{ kind: 'taken', column: 'uri', by: 'res_new' }],
        ]);
      }
      const before = await house.digests();
      expect(await house.take(things, { on_conflict: 'keep' })).toMatchObject({
        outcome: 'done',
        consents: { added: 0, orphaned: 7 },
      });
      expect(await house.digests()).toEqual(before);
    },
  );

  each('a removed resource returns', async (house) => {
    const { revocations: _, ...before } = await house.digests();
    await house.with((store) => store.resources.remove({ id: API.id, now: Date.now() }));
    const { things } = await house.take(`resource:${API.uri}`);
    expect(things).toMatchObject([{ action: 'add', removed_at: expect.any(Number), held: [] }]);
    const { revocations: __, ...after } = await house.digests();
    expect(after).toEqual(before);
  });

  each('a resource that was narrowed comes back narrow', async (house) => {
    await house.with(async (store) => {
      await store.resources.update({ resource: { ...API, scopes_json: '[]', updated_at: Date.now() } });
      await store.resources.remove({ id: API.id, now: Date.now() });
    });
    const { things } = await house.take(`resource:${API.uri}`);
    expect(things).toMatchObject([{ action: 'add', held: [{ kind: 'resource_narrowed' }] }]);
    await house.with(async (store) => {
      expect(await store.resources.findByUri({ uri: API.uri })).toMatchObject({ scopes_json: '[]' });
    });
  });

  each(
    'what the backup does not have, and backups of others, are refused; nothing is left behind',
    async (house) => {
      await expect(house.take('user:nobody')).rejects.toMatchObject({ code: 'not_found' });
      await expect(
        house.take('user:ada', { backup: '00000009-20261122T000439Z-k3f9' }),
      ).rejects.toMatchObject({
        code: 'not_found',
      });
      await using other = await Installation.make(engine);
      const file = house.here.archiveOf(house.backup);
      const trust = [signerOf(house.here).publicKey];
      const foreign = new House(other, file);
      await expect(foreign.take('user:ada', { trust })).rejects.toThrow('another deployment');
      await expect(foreign.take('user:ada')).rejects.toMatchObject({ code: 'refused' });
      expect(await readdir(path.join(other.stateDir, 'spool'))).toEqual([]);
    },
  );

  each('extract shows a thing with what hangs on it, hashes only where they are asked for', async (house) => {
    const request = { ...OPENING, backup: house.backup };
    const thing = { kind: 'user', id: 'ada' } as const;
    const document = await extract(house.here.config, { ...request, thing, secrets: false }, signal);
    expect(document).toMatchObject({
      type: 'authserver.extract',
      backup: house.backup,
      user: { id: 'usr_ada', profile: { name: 'Zoë 🦊' } },
      password: { user_id: 'usr_ada', changed_at: then },
    });
    expect(document['consents']).toHaveLength(3);
    expect(JSON.stringify(document)).not.toContain('hash');
    const shop = { kind: 'client', id: 'cli_shop' } as const;
    const secret = await extract(house.here.config, { ...request, thing: shop, secrets: true }, signal);
    expect(secret['secrets']).toMatchObject([{ id: 'sec_shop', secret_hash: expect.any(String) }]);
  });
});

function signerOf(here: Installation) {
  return readSigningKey(here.stateDir) ?? expect.unreachable('the kit signs its backups');
}

test('a backup of an older schema shows its things as they are today, and takes nothing back that nobody can answer for', {
  timeout: PATIENCE,
}, async () => {
  await using here = await Installation.make({ name: 'sqlite' });
  if (here.storage.driver !== 'sqlite') return expect.unreachable();
  const parts = { clock: systemClock, random: systemRandom };
  for (const name of ['', '-wal', '-shm']) await rm(`${here.storage.sqlite.path}${name}`, { force: true });
  await migrateSchema(here.storage, { ...parts, timeline: timeline.slice(0, 2) });
  await here.withStore(furnish);
  const house = new House(here, await here.backup());
  await migrateSchema(here.storage, parts);
  const request = { ...OPENING, backup: house.backup, secrets: false };
  const document = await extract(here.config, { ...request, thing: { kind: 'user', id: 'eve' } }, signal);
  expect(document).toMatchObject({ user: { username: 'eve' } });
  expect(document['consents']).toHaveLength(3);
  expect(await readdir(path.join(here.stateDir, 'scratch'))).toEqual([]);
  await house.with((store) => store.users.remove({ id: 'usr_eve', now: Date.now() }));
  await expect(house.take('user:eve')).rejects.toMatchObject({ code: 'refused' });
});
