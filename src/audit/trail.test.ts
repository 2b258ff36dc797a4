import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { describeEngines, type FreshStorage, freshStorage } from '../../test/setup/engines.ts';
import { openFreshStore, storageChoice } from '../../test/setup/fresh-store.ts';
import { Failure } from '../kernel/errors.ts';
import { type LogFields, silentLog } from '../kernel/log.ts';
import type { AuditStore, Store } from '../store/store.ts';
import { AUDIT_ACTIONS } from './actions.ts';
import { verifyChain } from './chain.ts';
import { AuditTrail } from './trail.ts';

const clock = { now: () => 1_800_000_000_000 };

describeEngines('the audit trail', (engine) => {
  let storage: FreshStorage;
  let store: Store;
  let trail: AuditTrail;

  beforeEach(async () => {
    storage = await freshStorage(engine);
    store = await openFreshStore(storageChoice(storage));
    trail = new AuditTrail({ store: store.audit, clock, log: silentLog });
  });

  afterEach(async () => {
    await store.close();
    await storage.dispose();
  });

  const events = () => store.audit.list({ after: 0, limit: 1000 });

  test('keeps what happened, in order', async () => {
    await trail.record({
      action: 'user.signed_in',
      actor: 'user:u1',
      client_id: 'c1',
      user_id: 'u1',
      ip: '::1',
      detail: { amr: ['pwd'] },
    });
    await trail.record({ action: 'key.published', actor: 'system' });
    expect(await events()).toMatchObject([
      {
        ...{ sequence: 1, at: clock.now(), action: 'user.signed_in', actor: 'user:u1', client_id: 'c1' },
        ...{ user_id: 'u1', ip: '::1', detail_json: '{"amr":["pwd"]}' },
      },
      {
        ...{ sequence: 2, at: clock.now(), action: 'key.published', actor: 'system', client_id: null },
        ...{ user_id: null, ip: null, detail_json: '{}' },
      },
    ]);
  });

  test('is one intact chain, however many write at once', async () => {
    await Promise.all(
      Array.from({ length: 60 }, (_, n) =>
        trail.record({ action: AUDIT_ACTIONS[n % AUDIT_ACTIONS.length]!, actor: `user:${n}` }),
      ),
    );
    expect(trail.lost).toBe(0);
    expect(verifyChain(await events())).toMatchObject({ intact: true, last: { sequence: 60 } });
  });

  test('verifies whatever text it was given', async () => {
    for (const text of ['a\0b', '\ud800', '\u{1f511}é"\\\n', "'; drop table audit_events; --", '']) {
      await trail.record({
        action: 'user.sign_in_failed',
        actor: text,
        client_id: text,
        ip: text,
        detail: { text },
      });
    }
    expect(trail.lost).toBe(0);
    const kept = await events();
    expect(verifyChain(kept)).toMatchObject({ intact: true, last: { sequence: 5 } });
    expect(JSON.parse(kept[2]!.detail_json)).toEqual({ text: '\u{1f511}é"\\\n' });
  });
});

describe('a trail that cannot be kept', () => {
  test('never stands in the way: the event goes to the log as an error and is counted', async () => {
    const errors: [LogFields, string][] = [];
    const store: Pick<AuditStore, 'append'> = {
      append: () =>
        Promise.reject(new Failure('unavailable', 'The database does not answer.', { detail: 'EIO' })),
    };
    const log = {
      ...silentLog,
      error: (fields: LogFields, message: string) => void errors.push([fields, message]),
    };
    const trail = new AuditTrail({ store, clock, log });
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;

    await trail.record({ action: 'user.signed_in', actor: 'user:u1' });
    await trail.record({ action: 'user.signed_in', actor: 'user:u2', detail: cycle });
    expect(trail.lost).toBe(2);
    expect(errors[0]).toEqual([
      {
        event: { action: 'user.signed_in', actor: 'user:u1', at: clock.now() },
        reason: 'The database does not answer.',
        detail: 'EIO',
      },
      'an audit event could not be kept',
    ]);
    expect(errors).toHaveLength(2);
  });
});
