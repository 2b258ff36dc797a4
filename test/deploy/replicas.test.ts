import { expect, it } from 'vitest';
import { engines, freshStorage } from '../setup/engines.ts';
import { startServer, TestServer } from '../setup/server.ts';
import { secrets } from './folder.ts';
import { ofKind, plainManifests } from './kubernetes.ts';

const postgres = engines.find(({ name }) => name === 'postgres');
const skipped = postgres ? '' : ' (skipped: this run has no PostgreSQL)';

it.skipIf(!postgres)(`with the settings of the manifests no pod takes a key with it${skipped}`, async () => {
  await using storage = await freshStorage(postgres!);
  const env = { ...fromConfigMap(), ...secrets['authserver-master-key'] };
  const first = await TestServer.prepare({ storage, env });
  expect(await first.cli(['migrate'])).toMatchObject({ code: 0 });
  await first.start();
  const published = await keysOf(first);
  expect(published.keys).not.toEqual([]);

  await using second = await startServer({ storage, env });
  expect(await keysOf(second)).toEqual(published);
  expect(await second.cli(['purge'])).toMatchObject({ code: 0 });
  // The pod goes, and its emptyDir with it.
  await first.dispose();
  await second.stop();
  await using third = await startServer({ storage, env });
  expect(await keysOf(third)).toEqual(published);
  expect((await fetch(`${third.url}/ready`)).status).toBe(200);
});

/** What the ConfigMap sets, but for places: those of this machine are the test's. */
function fromConfigMap(): Record<string, string> {
  const data = ofKind(plainManifests('postgres'), 'ConfigMap')[0]?.data ?? {};
  return Object.fromEntries(Object.entries(data).filter(([name]) => !/_ADDRESS$|_STATE_DIR$/.test(name)));
}

async function keysOf({ url }: TestServer): Promise<{ readonly keys: readonly unknown[] }> {
  const { jwks_uri } = (await (await fetch(`${url}/.well-known/openid-configuration`)).json()) as {
    jwks_uri: string;
  };
  const response = await fetch(`${url}${new URL(jwks_uri).pathname}`);
  return (await response.json()) as { readonly keys: readonly unknown[] };
}
