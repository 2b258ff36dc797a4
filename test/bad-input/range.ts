// Owns the shooting range: every route of both listeners as the product itself lists them, over the real store of an
// engine, and a way to send a request and see what came back.

import type { FastifyInstance } from 'fastify';
import { adminRoutes } from '../../src/admin/routes.ts';
import { adminApiKey, choresOf, makeAdminServer } from '../../src/app/admin-server.ts';
import { grantTypes, type Rooms } from '../../src/app/compose.ts';
import type { Health } from '../../src/app/health.ts';
import { makePublicServer, publicRoutes } from '../../src/app/public-server.ts';
import type { Route } from '../../src/http/exchange.ts';
import { type Log, silentLog } from '../../src/kernel/log.ts';
import { ISSUER, Product } from '../oauth/product.ts';
import type { Engine } from '../setup/engines.ts';
import { ADMIN_KEY } from './admin-samples.ts';
import type { Reply } from './clear.ts';
import { SEALED } from './key-samples.ts';
import type { Shot } from './request.ts';

export interface Target {
  readonly route: Route;
  /** `socket`: the admin API as the operator has it, who may do more. */
  readonly listener: 'public' | 'admin' | 'socket';
  /** The whole path, named parts included. */
  readonly path: string;
}

const WELL: Health = {
  database: async () => ({ ok: true }),
  schema: async () => ({ ok: true }),
  keys: async () => ({ ok: true }),
};

export class Range {
  readonly product: Product;
  readonly targets: readonly Target[];
  /** What the product has logged as its own fault. */
  readonly faults: string[];
  readonly #apps: Readonly<Record<Target['listener'], FastifyInstance>>;

  private constructor(product: Product, rooms: Rooms, faults: string[]) {
    this.product = product;
    this.faults = faults;
    this.#apps = {
      public: makePublicServer(rooms, WELL),
      admin: makeAdminServer(rooms, 'tcp', WELL),
      socket: makeAdminServer(rooms, 'socket'),
    };
    this.targets = targetsOf(rooms);
  }

  static async open(engine: Engine): Promise<Range> {
    const product = await Product.open(engine, {
      AUTHSERVER_ADMIN_API_KEY: ADMIN_KEY,
      AUTHSERVER_DCR_MODE: 'open',
      AUTHSERVER_RATE_LIMIT_ENABLED: 'false',
      ...SEALED,
    });
    const faults: string[] = [];
    const log: Log = {
      ...silentLog,
      error: ({ err, detail, path }, message) =>
        void faults.push(`${path}: ${message} ${detail} ${(err as Error)?.stack}`),
    };
    return new Range(product, { ...product.rooms, log }, faults);
  }

  async fire({ listener }: Target, { method, url, headers, body }: Shot): Promise<Reply> {
    const response = await this.#apps[listener].inject({
      method: method as 'GET',
      url,
      headers,
      ...(body && { payload: body }),
    });
    return { status: response.statusCode, headers: response.headers, body: response.body };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Object.values(this.#apps).map((app) => app.close()));
    await this.product[Symbol.asyncDispose]();
  }
}

function targetsOf(rooms: Rooms): readonly Target[] {
  const { belowIssuer, atRoot, probes } = publicRoutes(rooms, WELL);
  const prefix = new URL(ISSUER).pathname;
  const facts = { version: '0.0.0', issuer: ISSUER, storage: rooms.config.storage.driver };
  const operator = adminRoutes({
    ...rooms,
    ...choresOf(rooms),
    apiKey: adminApiKey(rooms),
    grantTypes: grantTypes(rooms.config),
    facts,
  });
  return [
    ...belowIssuer.map((route) => ({ route, listener: 'public' as const, path: prefix + route.path })),
    ...[...atRoot, ...probes].map((route) => ({ route, listener: 'public' as const, path: route.path })),
    ...operator.map((route) => ({ route, listener: doorOf(route), path: route.path })),
    ...probes.map((route) => ({ route, listener: 'admin' as const, path: route.path })),
  ];
}

/** The key of the API does not open all that is done to keys. */
function doorOf({ path }: Route): 'admin' | 'socket' {
  return /^\/admin\/(keys|reinstate)/.test(path) ? 'socket' : 'admin';
}
