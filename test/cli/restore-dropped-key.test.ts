// A backup from before its signing key was dropped as compromised: no key is made in place of it, so whoever restores it is told
// what to do before the start, in the plan, in the receipt and by a server that is started all the same; and that is enough.

import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import { Operator } from '../clients/operator.ts';
import { type Account, Person } from '../clients/person.ts';
import { describeEngines, type Engine, freshStorage, inTurn } from '../setup/engines.ts';
import { type Outcome, TestServer } from '../setup/server.ts';

const PATIENCE = 180_000;
const ADA: Account = { username: 'ada', password: 'correct horse battery staple' };

function done({ code, stdout, stderr }: Outcome): string {
  expect(code, stderr).toBe(0);
  return stdout;
}

/** A server that was told of a stolen key after its backup, and is down. */
async function robbed(engine: Engine) {
  await using undo = new AsyncDisposableStack();
  const storage = undo.use(await freshStorage(engine));
  const server = undo.use(await TestServer.prepare({ storage }));
  await server.start();
  const sheet = path.join(server.stateDir, 'sheet.txt');
  await writeFile(sheet, server.recoverySheet);
  await new Operator(server).user(ADA);
  const backup: string = JSON.parse(done(await server.cli(['backup', 'create', '--json']))).id;
  const stolen = await signingKey(server);
  done(await server.cli(['keys', 'rotate', '--compromised', stolen, '--yes']));
  const successor = await signingKey(server);
  await server.stop();
  const all = undo.move();
  return {
    server,
    stolen,
    successor,
    restore: (...more: string[]) => server.cli(['restore', backup, '--recovery-key', sheet, ...more]),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

async function signingKey(server: TestServer): Promise<string> {
  const { items } = JSON.parse(done(await server.cli(['keys', 'list', '--json']))) as {
    items: { kid: string; state: string }[];
  };
  return items.find(({ state }) => state === 'active')?.kid ?? '';
}

/** The commands in a text, as somebody would copy them. */
function commandsIn(text: string): string[] {
  return [...text.matchAll(/`authserver (keys [^`]+)`/g)].map(([, words = '']) => words);
}

describeEngines('a backup from before its key was dropped as compromised', (engine) => {
  const story = inTurn(engine);
  story(
    'is restored to a server that signs with the key that followed, by what is printed',
    {
      timeout: PATIENCE,
    },
    async () => {
      await using here = await robbed(engine);
      const { server, stolen, successor } = here;
      const file = path.join(server.stateDir, 'keys', `${successor}.pem`);
      const way = `keys import ${file} --active-now`;
      expect(commandsIn(done(await here.restore('--plan')))).toEqual([way]);
      const printed = done(await here.restore('--yes'));
      expect(commandsIn(printed)).toContain(way);
      expect(printed.indexOf(way)).toBeLessThan(printed.indexOf('Then start the server'));
      await expect(server.start()).rejects.toThrow(way);
      expect(server.log).toContain(stolen);
      expect(server.log).not.toMatch(/changed from outside|restore the database/);

      done(await server.cli(way.split(' ')));
      await server.start();
      await new Person(server.issuer, ADA).signIn(server.issuer);
      expect(await signingKey(server)).toBe(successor);
      expect(JSON.parse(done(await server.cli(['keys', 'verify', '--json']))).ok).toBe(true);
    },
  );

  story(
    'is restored where that key is gone, too: to a server with a new one',
    { timeout: PATIENCE },
    async () => {
      await using here = await robbed(engine);
      const { server, successor } = here;
      await rm(path.join(server.stateDir, 'keys', `${successor}.pem`));
      expect(commandsIn(done(await here.restore('--plan')))).toEqual(['keys recover --new']);
      const printed = done(await here.restore('--yes'));
      expect(commandsIn(printed)).toContain('keys recover --new');
      await expect(server.start()).rejects.toThrow('keys recover --new');
      done(await server.cli(['keys', 'recover', '--new', '--yes']));
      await server.start();
      await new Person(server.issuer, ADA).signIn(server.issuer);
    },
  );

  story(
    'says nothing of the kind where another key was waiting, and signs with it',
    { timeout: PATIENCE },
    async () => {
      await using here = await robbed(engine);
      const { server } = here;
      await server.start();
      done(await server.cli(['keys', 'rotate']));
      const sheet = path.join(server.stateDir, 'sheet.txt');
      const { id } = JSON.parse(done(await server.cli(['backup', 'create', '--json'])));
      const active = await signingKey(server);
      done(await server.cli(['keys', 'rotate', '--compromised', active, '--yes']));
      await server.stop();
      for (const how of ['--plan', '--yes'])
        expect(commandsIn(done(await server.cli(['restore', id, '--recovery-key', sheet, how])))).toEqual([]);
      await server.start();
      await new Person(server.issuer, ADA).signIn(server.issuer);
    },
  );
});
