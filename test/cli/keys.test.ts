import { createPrivateKey } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keysCommands } from '../../src/cli/keys.ts';
import { makeKeyPair, writePem } from '../../src/keys/key-pair.ts';
import { Operator } from '../clients/operator.ts';
import { runCommand } from '../setup/command.ts';
import { describeEngines, type FreshStorage, freshStorage, inTurn } from '../setup/engines.ts';
import { type Outcome, TestServer } from '../setup/server.ts';

const PASSPHRASE = 'open sesame, please';

describeEngines('authserver keys', (engine) => {
  const story = inTurn(engine);
  let storage: FreshStorage;
  let server: TestServer;
  let folder: string;

  beforeEach(async () => {
    storage = await freshStorage(engine);
    folder = await mkdtemp(path.join(tmpdir(), 'authserver-cli-keys-'));
    server = await TestServer.prepare({ storage });
    await server.start();
  });
  afterEach(async () => {
    await server.dispose();
    await storage.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  const run = (words: readonly string[], stdin?: string) => server.cli(words, stdin);
  const keys = (verb: string, ...words: string[]) => run(['keys', verb, '--json', ...words]);
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  const answer = ({ code, stdout, stderr }: Outcome): any => {
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return JSON.parse(stdout);
  };
  const refusal = ({ code, stderr }: Outcome) => ({
    exit: code,
    ...JSON.parse(stderr.trimEnd().split('\n').at(-1) ?? '').error,
  });
  const jwks = async () =>
    (await (await fetch(`${server.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet;
  const kidOf = async (state: string): Promise<string> =>
    answer(await keys('list')).items.find((key: { state: string }) => key.state === state)?.kid;
  const token = async () => {
    const client = await new Operator(server).client({
      kind: 'service',
      token_endpoint_auth_method: 'client_secret_post',
    });
    const { client_id, client_secret = '' } = client;
    const body = new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret });
    const granted = await fetch(`${server.issuer}/oauth/token`, { method: 'POST', body });
    return ((await granted.json()) as { access_token: string }).access_token;
  };
  const accepted = async (jwt: string) =>
    jwtVerify(jwt, createLocalJWKSet(await jwks())).then(
      () => true,
      () => false,
    );

  story('a running server publishes at once what another process rotates', async () => {
    const { kid, started } = answer(await server.cli(['keys', 'rotate', '--json']));
    expect(started).toBe(true);
    const deadline = performance.now() + 1000;
    while (!(await jwks()).keys.some((key) => key.kid === kid)) {
      if (performance.now() > deadline) expect.unreachable('the server does not know of the rotation');
      await sleep(5);
    }
    expect(answer(await run(['admin', 'key', 'rotate', '--json']))).toMatchObject({
      kid,
      started: false,
    });
    const plan = answer(await keys('rotate', '--plan'));
    expect(plan).toMatchObject({ waiting: kid, scheduled_at: null });
    expect(answer(await keys('retire', '--', kid))).toEqual({ kid, former_state: 'pending' });
    expect(answer(await keys('verify')).ok).toBe(true);
  });

  story('a compromised key goes with its tokens, after a question', async () => {
    const jwt = await token();
    const kid = await kidOf('active');
    expect(await accepted(jwt)).toBe(true);
    const asked = refusal(await keys('rotate', '--compromised', kid));
    expect(asked).toMatchObject({ exit: 3, code: 'refused' });
    expect(await kidOf('active')).toBe(kid);
    const report = answer(await keys('rotate', '--compromised', kid, '--yes'));
    expect(report).toMatchObject({ kid, revoked: 1, private_half: 'removed' });
    await expect.poll(() => accepted(jwt), { timeout: 2000 }).toBe(false);
    const next = await token();
    expect(JSON.parse(Buffer.from(next.split('.')[0] ?? '', 'base64url').toString()).kid).toBe(
      report.successor.kid,
    );
    expect(await accepted(next)).toBe(true);
    // For people, what it means is said in words.
    const { stdout } = await run(['keys', 'rotate', '--compromised', kid, '--yes']);
    expect(stdout).toMatch(/Sessions and refresh tokens live on/);
  });

  story('a key goes out encrypted, and comes back', async () => {
    const kid = await kidOf('active');
    const file = path.join(folder, 'key.pem');
    const out = ['keys', 'export', '--out', file, '--json', '--', kid];
    expect(refusal(await run(out, 'too short'))).toMatchObject({ exit: 2 });
    expect(answer(await run(out, PASSPHRASE))).toEqual({ kid, file, encrypted: true });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const pem = await readFile(file, 'utf8');
    expect(() => createPrivateKey(pem)).toThrow();
    expect(createPrivateKey({ key: pem, passphrase: PASSPHRASE }).asymmetricKeyType).toBe('ec');
    expect(refusal(await run(out, PASSPHRASE))).toMatchObject({ exit: 3, code: 'refused' });
    expect(await readFile(file, 'utf8')).toBe(pem);
    expect(refusal(await keys('export', 'nobody', '--plaintext', '--out', `${file}.2`))).toMatchObject({
      exit: 6,
    });
    await expect(stat(`${file}.2`)).rejects.toThrow();
    const plain = path.join(folder, 'plain.pem');
    answer(await keys('export', '--plaintext', '--out', plain, '--', kid));

    const back = (stdin: string) => run(['keys', 'import', file, '--json'], stdin);
    expect(refusal(await back('another passphrase'))).toMatchObject({ exit: 2, code: 'invalid_input' });
    expect(answer(await back(PASSPHRASE))).toMatchObject({ kid, outcome: 'known' });
    const pair = await makeKeyPair('ES256');
    const imported = await run(['keys', 'import', '-', '--json'], writePem(pair));
    expect(answer(imported)).toMatchObject({ kid: pair.kid, state: 'pending', outcome: 'added' });
    expect(refusal(await keys('import', path.join(folder, 'nothing.pem')))).toMatchObject({ exit: 2 });
  });

  story(
    'a lost key stops the server, which names it; a copy, or a new key, starts it again',
    {
      timeout: 90_000,
    },
    async () => {
      const jwt = await token();
      const kid = await kidOf('active');
      const copy = path.join(folder, 'copy.pem');
      answer(await keys('export', '--plaintext', '--out', copy, '--', kid));
      expect(refusal(await keys('recover', '--new', '--yes'))).toMatchObject({ exit: 3, code: 'refused' });
      await server.stop();
      const place = path.join(server.stateDir, 'keys', `${kid}.pem`);

      await rm(place);
      const started = await server.cli(['serve', '--json']);
      expect(refusal(started)).toMatchObject({
        exit: 2,
        code: 'configuration',
        message: expect.stringContaining(place),
        hint: expect.stringMatching(/keys import FILE.*keys recover --new/s),
      });
      await expect(stat(place)).rejects.toThrow();
      const verified = await keys('verify');
      expect(verified.code).toBe(1);
      expect(JSON.parse(verified.stdout)).toMatchObject({ ok: false, findings: [{ kid, ok: false }] });
      expect(answerAfterLoss(await keys('import', copy))).toMatchObject({
        kid,
        outcome: 'restored',
        state: 'active',
      });
      await server.start();
      expect(await accepted(jwt)).toBe(true);
      expect(JSON.parse((await keys('verify')).stdout).ok).toBe(true);
      await server.stop();

      await rm(place);
      expect(refusal(await keys('recover'))).toMatchObject({ exit: 2 });
      expect(refusal(await keys('recover', '--new'))).toMatchObject({ exit: 3 });
      const recovered = answerAfterLoss(await keys('recover', '--new', '--yes'));
      expect(recovered).toMatchObject({ lost: kid, withdrawn: [] });
      await server.start();
      expect(await accepted(jwt)).toBe(true);
      const next = await token();
      expect(await accepted(next)).toBe(true);
      expect(answer(await keys('verify')).ok).toBe(true);
      const actions = answer(await run(['keys', 'list', '--json'])).items.map(
        ({ state }: { state: string }) => state,
      );
      expect(actions).toEqual(['active', 'retiring']);
    },
  );

  story('a start beside key files whose rows are gone names them', async () => {
    const stray = await makeKeyPair('ES256');
    const place = path.join(server.stateDir, 'keys', `${stray.kid}.pem`);
    await server.stop();
    await writeFile(place, writePem(stray), { mode: 0o600 });
    const verified = await keys('verify');
    expect(verified.code).toBe(1);
    expect(JSON.parse(verified.stdout).findings.at(-1)).toMatchObject({
      kid: stray.kid,
      state: 'unknown',
      finding: expect.stringContaining(place),
      repair: expect.stringContaining('move it to another folder'),
    });
  });
});

/** Of a command that has found the key lost before it did what it was asked: that is logged too. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
function answerAfterLoss({ code, stdout }: Outcome): any {
  expect(code).toBe(0);
  return JSON.parse(stdout);
}

test.each(keysCommands.map((command) => [command.name, command] as const))(
  '%s explains itself with examples that it understands',
  async (name, { examples }) => {
    const help = await runCommand([...name.split(' '), '--help']);
    expect(help.code).toBe(0);
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) expect(help.stdout).toContain(example);
  },
);
