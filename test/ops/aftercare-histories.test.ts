// Random lives of a database, a backup at a random moment of each, and a restore at the end: nothing that is of no use at the
// end is of use in what was restored, and what was of use at both times still is.

import { expect, test } from 'vitest';
import { asFailure } from '../../src/kernel/errors.ts';
import {
  clientRow,
  consentRow,
  HOUR,
  issuanceRow,
  MINUTE,
  NOW,
  resourceRow,
  secretRow,
} from '../../src/store/conformance/rows.ts';
import { type Granted, World } from '../../src/store/conformance/world.ts';
import type { ClientRecord, ResourceRecord, UserRecord } from '../../src/store/records.ts';
import type { Store } from '../../src/store/store.ts';
import { describeEngines, freshStorage } from '../setup/engines.ts';
import { openFreshStore, storageChoice } from '../setup/fresh-store.ts';
import { revocationsOf, SecondLife } from './second-life.ts';

/** What a client may be for, with scopes of each; where users sign in some scope always stays, or there is no ceiling. */
const USES = [
  { grants: ['authorization_code'], scopes: ['', 'openid', 'openid a', 'openid b', 'openid a b'] },
  {
    grants: ['authorization_code', 'client_credentials'],
    scopes: ['', 'openid', 'openid a', 'openid b', 'openid a b'],
  },
  { grants: ['client_credentials'], scopes: ['', 'a', 'b', 'a b'] },
] as const;
const SCOPES = ['a', 'b'];
const KEYS = ['k0', 'k1', 'k2'];

/** Raise them to look longer. */
const LIVES = { sqlite: 16, postgres: 4 };
const STEPS = 60;

/** Chance that comes the same way each time (mulberry32). */
class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }
  pick<T>(items: readonly T[]): T | undefined {
    return items[this.below(Math.max(items.length, 1))];
  }
}

/** Everything that was ever given to somebody, and by which it can be asked for whether it is still of use. */
class Life {
  readonly world: World;
  readonly dice: Dice;
  now = NOW;
  readonly users: UserRecord[] = [];
  readonly clients: ClientRecord[] = [];
  readonly granted: Granted[] = [];
  readonly passwords: { user: string; username: string; hash: string }[] = [];
  readonly secrets: { client: string; hash: string }[] = [];
  readonly addresses: { client: string; uri: string }[] = [];
  readonly machineTokens: string[] = [];
  readonly resources: ResourceRecord[] = [];
  #count = 0;

  constructor(store: Store, dice: Dice) {
    this.world = new World(store);
    this.dice = dice;
  }

  async step(): Promise<void> {
    this.now += 1 + this.dice.below(MINUTE);
    const { store } = this.world;
    const { now, dice } = this;
    const user = dice.pick(this.users);
    const client = dice.pick(this.clients);
    const grant = dice.pick(this.granted);
    const resource = dice.pick(this.resources);
    const steps: (() => Promise<unknown>)[] = [
      () => this.#newUser(),
      () => this.#newClient(),
      () => this.#newResource(),
    ];
    if (resource) {
      const { id } = resource;
      steps.push(() => this.#changeScopes(resource));
      if (dice.below(4) === 0) steps.push(() => store.resources.remove({ id, now }));
    }
    if (user && client) {
      const consent = { granted_at: now, updated_at: now };
      steps.push(
        () => this.#grant(user, client),
        () => this.#grant(user, client),
        () => store.consents.save({ consents: [consentRow(user.id, client.id, consent)] }),
        () => store.consents.withdraw({ user_id: user.id, client_id: client.id, now }),
        () => this.#setPassword(user),
        () => store.users.setStatus({ id: user.id, status: 'disabled', now }),
        () => store.users.setStatus({ id: user.id, status: 'active', now }),
        () => store.users.setStatus({ id: user.id, status: 'active', now }),
        () => store.sessions.endAll({ user_id: user.id, except: grant?.session.id ?? null, now }),
        () => this.#newSecret(client, dice.below(2) * HOUR),
        () => this.#machineToken(client),
        () => this.#changeAddresses(client),
        () => this.#changeUse(client),
        () => this.#changeUse(client),
        () => this.#changeProof(client),
        () => this.#changeProof(client),
        () => store.clients.setStatus({ id: client.id, status: 'disabled', now }),
        () => store.clients.setStatus({ id: client.id, status: 'active', now }),
        () => store.clients.setStatus({ id: client.id, status: 'active', now }),
      );
      if (dice.below(4) === 0)
        steps.push(
          () => store.users.remove({ id: user.id, now }),
          () => store.clients.remove({ id: client.id, now }),
        );
    }
    if (grant) {
      const { family, session, issuance } = grant;
      steps.push(
        () => store.families.revoke({ id: family.id, now, reason: 'asked' }),
        () => store.sessions.end({ id: session.id, user_id: grant.user.id, now }),
        () => store.issuances.revoke({ jti: issuance.jti, now }),
        () => store.issuances.revoke({ jti: dice.pick(this.machineTokens) ?? '', now }),
        () => this.world.rotate(grant, { now }),
      );
    }
    // Whom it is about may have been removed.
    await dice
      .pick(steps)?.()
      .catch((error: unknown) => {
        if (asFailure(error).code !== 'conflict') throw error;
      });
  }

  /** Names of all that is of use, asked of a database with these rows. */
  async useful(store: Store): Promise<Set<string>> {
    const found = new Set<string>();
    const note = (name: string, is: unknown) => is && found.add(name);
    const { now } = this;
    for (const { user, username, hash } of this.passwords) {
      const known = await store.users.findByLogin({ login: username });
      note(`password ${user} ${hash}`, known?.status === 'active' && known.password_hash === hash);
    }
    const isActive = async (client: string) =>
      (await store.clients.find({ id: client }))?.status === 'active';
    for (const { user, client, session, family, issuance } of this.granted) {
      note(`session ${session.id}`, await store.sessions.find({ token_hash: session.token_hash, now }));
      note(`token ${issuance.jti}`, await store.issuances.findLive({ jti: issuance.jti, now }));
      const live = await store.families.listOfUser({ user_id: user.id, now });
      const status = (await store.users.find({ id: user.id }))?.status;
      const isLive = live.some(({ id }) => id === family.id) && status === 'active';
      note(`family ${family.id}`, isLive && (await isActive(client.id)));
    }
    for (const jti of this.machineTokens) note(`token ${jti}`, await store.issuances.findLive({ jti, now }));
    for (const { client, hash } of this.secrets) {
      const known = await store.clients.find({ id: client });
      const secret = known?.secrets.find(({ secret_hash }) => secret_hash === hash);
      const isLive = secret && (secret.expires_at === null || secret.expires_at > now);
      note(`secret ${client} ${hash}`, known?.status === 'active' && isLive);
    }
    for (const { client, uri } of this.addresses) {
      const known = await store.clients.find({ id: client });
      note(
        `address ${client} ${uri}`,
        known?.status === 'active' && known.redirect_uris_json.includes(`"${uri}"`),
      );
    }
    for (const { id } of this.clients) {
      const known = await store.clients.find({ id });
      if (known?.status !== 'active') continue;
      const { token_endpoint_auth_method: method, grant_types_json: grants, scope, jwks_json } = known;
      for (const word of SCOPES) {
        const isIn = scope.split(' ').includes(word);
        note(`scope of users ${id} ${word}`, grants.includes('code') && (scope === '' || isIn));
        note(`scope of a machine ${id} ${word}`, grants.includes('client_credentials') && isIn);
      }
      note(`no proof ${id}`, method === 'none');
      for (const key of KEYS)
        note(`key ${id} ${key}`, method === 'private_key_jwt' && jwks_json?.includes(`"${key}"`));
    }
    const resources = await store.resources.list({});
    for (const { id } of this.resources) {
      const known = resources.find((resource) => resource.id === id);
      note(`resource ${id}`, known);
      for (const word of SCOPES)
        note(`scope of a resource ${id} ${word}`, known?.scopes_json.includes(`"${word}"`));
    }
    for (const { id: user_id } of this.users)
      for (const { id: client_id } of this.clients)
        note(
          `consent ${user_id} ${client_id}`,
          (await store.consents.find({ user_id, client_id })).length > 0,
        );
    return found;
  }

  #name(): string {
    this.#count += 1;
    return `no. ${this.#count}`;
  }

  async #newUser(): Promise<void> {
    const user = await this.world.user({ created_at: this.now, updated_at: this.now });
    this.users.push(user);
    this.passwords.push({ user: user.id, username: user.username, hash: 'first hash' });
  }

  async #setPassword({ id, username }: UserRecord): Promise<void> {
    const hash = this.#name();
    await this.world.store.users.setPassword({ user_id: id, hash, changed_at: this.now });
    this.passwords.push({ user: id, username, hash });
  }

  async #newClient(): Promise<void> {
    const client = clientRow({
      ...{ created_at: this.now, updated_at: this.now, redirect_uris_json: '["a:0"]' },
      ...this.#use(),
    });
    const secret = secretRow(client.id, { created_at: this.now });
    await this.world.store.clients.create({ client, secret });
    this.clients.push(client);
    this.secrets.push({ client: client.id, hash: secret.secret_hash });
    this.addresses.push({ client: client.id, uri: 'a:0' });
  }

  async #newSecret({ id }: ClientRecord, overlap: number): Promise<void> {
    const secret = secretRow(id, { created_at: this.now });
    await this.world.store.clients.addSecret({ secret, former_expire_at: this.now + overlap });
    this.secrets.push({ client: id, hash: secret.secret_hash });
  }

  async #changeAddresses(client: ClientRecord): Promise<void> {
    const uris = this.#some(['a:0', 'a:1', 'a:2']);
    await this.#change(client, { redirect_uris_json: JSON.stringify(uris) });
    this.addresses.push(...uris.map((uri) => ({ client: client.id, uri })));
  }

  #use(): Pick<ClientRecord, 'grant_types_json' | 'scope'> {
    const { grants, scopes } = USES[this.dice.below(USES.length)] ?? USES[0];
    return { grant_types_json: JSON.stringify(grants), scope: this.dice.pick<string>(scopes) ?? '' };
  }

  /** Now and then only the scope, which is what is changed most. */
  async #changeUse(client: ClientRecord): Promise<void> {
    const known = await this.world.store.clients.find(client);
    const scopes = USES.find(({ grants }) => JSON.stringify(grants) === known?.grant_types_json)?.scopes;
    const scope = this.dice.pick<string>(scopes ?? []) ?? '';
    await this.#change(client, this.dice.below(2) === 0 ? this.#use() : { scope });
  }

  /** As the admin API does it: who will need a secret is given one first. */
  async #changeProof(client: ClientRecord): Promise<void> {
    const known = await this.world.store.clients.find(client);
    const former = known?.token_endpoint_auth_method;
    const methods = ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'] as const;
    const method = this.dice.pick(methods) ?? 'none';
    if (method.startsWith('client_secret') && !former?.startsWith('client_secret'))
      await this.#newSecret(client, 0);
    const keys = method === 'private_key_jwt' ? this.#some(KEYS).map((x) => ({ x })) : [];
    await this.#change(client, {
      token_endpoint_auth_method: method,
      ...(keys.length > 0 && { jwks_json: JSON.stringify({ keys }) }),
    });
  }

  async #change({ id }: ClientRecord, changes: Partial<ClientRecord>): Promise<void> {
    const known = await this.world.store.clients.find({ id });
    if (!known) return;
    const { secrets: _, ...client } = known;
    await this.world.store.clients.update({ client: { ...client, ...changes, updated_at: this.now } });
  }

  async #newResource(): Promise<void> {
    const resource = resourceRow({ created_at: this.now, updated_at: this.now, ...this.#catalogue() });
    await this.world.store.resources.create({ resource });
    this.resources.push(resource);
  }

  async #changeScopes(resource: ResourceRecord): Promise<void> {
    const changed = { ...resource, ...this.#catalogue(), updated_at: this.now };
    await this.world.store.resources.update({ resource: changed });
  }

  #catalogue(): Pick<ResourceRecord, 'scopes_json'> {
    const scopes = this.#some(SCOPES).map((name) => ({ name, description: this.#name() }));
    return { scopes_json: JSON.stringify(scopes) };
  }

  #some(items: readonly string[]): string[] {
    return items.filter(() => this.dice.below(2) === 0);
  }

  async #machineToken({ id }: ClientRecord): Promise<void> {
    const issuance = issuanceRow({ client_id: id, issued_at: this.now, expires_at: this.now + 9 * HOUR });
    await this.world.store.issuances.record({ issuance });
    this.machineTokens.push(issuance.jti);
  }

  async #grant(user: UserRecord, client: ClientRecord): Promise<void> {
    const { store } = this.world;
    if (!(await store.users.find(user)) || !(await store.clients.find(client))) return;
    const times = { expires_at: NOW + 99 * HOUR, absolute_expires_at: NOW + 99 * HOUR };
    const session = await this.world.session(user, { ...times, auth_time: this.now });
    if (!(await store.sessions.find({ token_hash: session.token_hash, now: this.now }))) return;
    const granted = await this.world.granted('openid', { user, client, session });
    if (await store.families.find({ id: granted.family.id })) this.granted.push(granted);
  }
}

describeEngines('after any life', (engine) => {
  test.each(Array.from({ length: LIVES[engine.name] }, (_, seed) => seed + 1))(
    'nothing comes back that was taken away, and nothing else is lost (seed %i)',
    { timeout: 90_000 },
    async (seed) => {
      await using fresh = await freshStorage(engine);
      const storage = storageChoice(fresh);
      const store = await openFreshStore(storage);
      try {
        const life = new Life(store, new Dice(seed));
        const backUpAt = life.dice.below(STEPS);
        for (let step = 0; step < backUpAt; step++) await life.step();
        await using backup = await SecondLife.of(storage, { now: () => life.now });
        for (let step = backUpAt; step < STEPS; step++) await life.step();
        life.now += 1;
        const before = await backup.use((then) => life.useful(then));
        const end = await life.useful(store);
        await backup.makeSafe({ now: life.now, sessions: 'keep', revocations: revocationsOf(store) });
        const restored = await backup.use((again) => life.useful(again));
        expect([...restored].filter((name) => !end.has(name) || !before.has(name))).toEqual([]);
        // What was taken and given again meanwhile is not given by a restore.
        const given = /^(?:consent|address|scope|no proof|key) /;
        const lost = [...before].filter((name) => end.has(name) && !restored.has(name) && !given.test(name));
        expect(lost).toEqual([]);
      } finally {
        await store.close();
      }
    },
  );
});
