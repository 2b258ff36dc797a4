// Access that was taken away after a backup stays away when that backup is brought back, and nobody is signed in by it.

import assert from 'node:assert/strict';
import { sessionRow } from '../../../src/store/conformance/rows.ts';
import type { Store } from '../../../src/store/store.ts';
import { Installation } from '../../ops/restore-kit.ts';
import type { Engine } from '../../setup/engines.ts';

const FAR = Date.UTC(2100, 0, 1);

export async function checkTakenAway(engine: Engine): Promise<void> {
  await using here = await Installation.make(engine);
  await here.addUser('ada');
  await here.addUser('bob');
  const session = sessionRow('user_ada', { token_hash: 'hash', expires_at: FAR, absolute_expires_at: FAR });
  await here.withStore((store) => store.sessions.start({ session, password_hash: null, replaces: null }));
  const backup = await here.backup();
  await here.withStore((store) =>
    store.users.setStatus({ id: 'user_bob', status: 'disabled', now: Date.now() }),
  );
  assert.ok(await here.withStore(isSignedIn), 'somebody is signed in before');

  await here.restore({ backup });
  assert.deepEqual(await here.users(), { ada: 'active', bob: 'disabled' }, 'who was disabled stays so');
  assert.equal(await here.withStore(isSignedIn), false, 'a session outlived the restore');
  const restored = await here.digests();
  await here.withStore(async () => undefined);
  assert.deepEqual(await here.digests(), restored);
}

async function isSignedIn(store: Store): Promise<boolean> {
  return (await store.sessions.find({ token_hash: 'hash', now: Date.now() })) !== undefined;
}
