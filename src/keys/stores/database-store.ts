/** The key store `database` (AuthPlane's `postgres_key`): PEM texts sealed in the table `private_keys`. */
import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import type { PrivateKeyStore } from '../../store/store.ts';
import type { DataKeys } from '../sealing/data-keys.ts';
import type { Place } from '../sealing/sealing.ts';
import type { PemStore } from './key-store.ts';

export interface DatabaseStoreParts {
  readonly store: PrivateKeyStore;
  readonly dataKeys: DataKeys;
  readonly clock: Clock;
}

const DATABASE_STORE = 'database';
const PAGE = 100;
/** How often a data key may be removed under our hands before something is wrong. */
const TRIES = 3;

/** Where the private half of a key is sealed. */
export function privateKeyPlace(kid: string): Place {
  return { table: 'private_keys', column: 'sealed', id: kid };
}

export function databaseStore({ store, dataKeys, clock }: DatabaseStoreParts): PemStore {
  return {
    name: DATABASE_STORE,
    locate: (kid) => `row ${kid} of the table private_keys`,
    remedy: (kid) =>
      `Restore row ${kid} of the table private_keys from a backup of the database, or put the key back with ` +
      '`authserver keys import`.',
    async save(kid, pem) {
      for (let attempt = 0; attempt < TRIES; attempt++) {
        const sealed = await dataKeys.seal(privateKeyPlace(kid), pem);
        const { outcome } = await store.save({ key: { kid, ...sealed, created_at: clock.now() } });
        if (outcome === 'saved') return;
      }
      throw new Failure('conflict', 'The data keys change too often to seal a private key.', {
        hint: 'Let `authserver keys reencrypt` end, then try again.',
      });
    },
    async load(kid) {
      const row = await store.find({ kid });
      return row && dataKeys.unseal(privateKeyPlace(kid), row.sealed);
    },
    async list() {
      const kids: string[] = [];
      for (;;) {
        const page = await store.list({ after: kids.at(-1) ?? '', limit: PAGE });
        kids.push(...page.map(({ kid }) => kid));
        if (page.length < PAGE) return kids;
      }
    },
    remove: (kid) => store.remove({ kid }),
  };
}
