// The judge of the fault tests can find somebody guilty: each kind of broken promise is put before it once.

import { copyFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freshStorage } from '../setup/engines.ts';
import { emptyLedger, type Family, type Ledger } from './ledger.ts';
import { Ordeal } from './ordeal.ts';

const NEVER_ISSUED = `rt_${'A'.repeat(43)}`;

describe('the verdict', () => {
  let ordeal: Ordeal;
  const stack = new AsyncDisposableStack();

  beforeAll(async () => {
    const storage = stack.use(await freshStorage({ name: 'sqlite' }));
    ordeal = stack.use(await Ordeal.begin({ storage, retries: false }));
  });
  afterAll(() => stack.disposeAsync());

  /** A sign-in that has been rotated once. */
  async function family(): Promise<Family> {
    const { wire, people } = ordeal;
    const code = await wire.code(people[0]!);
    const first = await wire.redeem(code!);
    const second = await wire.refresh(first!.body.refresh_token);
    const accessTokens = [first!.body.access_token, second!.body.access_token];
    const { refresh_token: latest } = second!.body;
    return { state: 'live', latest, spent: [first!.body.refresh_token], accessTokens };
  }

  async function judge(part: Partial<Ledger>): Promise<readonly string[]> {
    return Object.keys(await ordeal.judge({ ...emptyLedger(), ...part }));
  }

  it('acquits a server that kept everything', async () => {
    expect(await judge({ families: [await family()] })).toEqual([]);
  });

  it('finds a rotation that was lost', async () => {
    const lost = { ...(await family()), latest: NEVER_ISSUED };
    expect(await judge({ families: [lost] })).toEqual([
      'a token of a live sign-in is not active',
      'the latest refresh token does not work',
    ]);
  });

  it('finds a spent refresh token that is good again', async () => {
    const { latest } = await family();
    const undead: Family = { ...(await family()), state: 'doubtful', spent: [latest] };
    expect(await judge({ families: [undead] })).toEqual([
      'a spent refresh token is active',
      'a spent refresh token brought tokens',
    ]);
  });

  it('finds a revocation that was lost', async () => {
    expect(await judge({ families: [{ ...(await family()), state: 'revoked' }] })).toEqual([
      'a token of a revoked sign-in is active',
      'a revoked refresh token brought tokens',
    ]);
  });

  it('finds access tokens that were lost, or came back', async () => {
    const issued = await ordeal.wire.machineToken();
    expect(await judge({ revokedTokens: [issued!.body.access_token] })).toEqual([
      'a revoked access token is active',
    ]);
    expect(await judge({ machineTokens: ['lost'] })).toEqual([
      'an access token that was issued is not active',
      'an access token does not verify with the published keys',
    ]);
  });

  it('finds a code that can be redeemed again', async () => {
    const unspent = await ordeal.wire.code(ordeal.people[0]!);
    expect(await judge({ codes: [unspent!] })).toEqual(['a spent code was redeemed again']);
  });

  it('finds users, clients and keys that are gone', async () => {
    const ghost = { username: 'ghost', password: 'boo' };
    const client = { client_id: 'ghost', client_secret: 'boo' };
    expect(await judge({ users: [ghost], clients: [client], kids: ['ghost'] })).toEqual([
      'a signing key that was made is gone',
      'a user that was created is gone',
      'a user that was created cannot sign in',
      'a client that was created gets no token',
    ]);
  });

  it('repeats what went wrong under way', async () => {
    expect(await judge({ wrongAnswers: ['a fresh code was answered 500'] })).toEqual([
      'a fresh code was answered 500',
    ]);
  });

  it('finds a database that forgot its last moments', async () => {
    const { server, load, ledger } = ordeal;
    const file = path.join(server.stateDir, 'authserver.db');
    await server.stop();
    await copyFile(file, `${file}.former`);
    await server.start();
    load.start();
    await ordeal.untilBusy();
    await load.stop();
    await server.stop();
    await copyFile(`${file}.former`, file);
    await server.start();
    expect(Object.keys(await ordeal.judge(ledger))).toContain('a token of a live sign-in is not active');
  });
});
