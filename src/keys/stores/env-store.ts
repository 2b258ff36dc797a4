/**
 * The key store `env`: private keys that the settings hold, so in environment variables. It makes none and removes none: a
 * rotation takes up the next key that the settings name.
 */
import { Failure } from '../../kernel/errors.ts';
import type { SigningKeyStore } from '../../store/store.ts';
import { type KeyPair, readKeyPair, writePem } from '../key-pair.ts';
import type { KeyStore, PemStore } from './key-store.ts';
import { pemKeyStore } from './pem-key-store.ts';

/** A setting and the PEM blocks in it; `\n` may stand for a line break. */
export interface KeySetting {
  /** As an operator sets it: `AUTHSERVER_SIGNING_KEY`. */
  readonly variable: string;
  readonly text: string | undefined;
}

const ENV_STORE = 'env';
const BLOCK = /-----BEGIN ([A-Z ]*)PRIVATE KEY-----[\s\S]*?-----END \1PRIVATE KEY-----/g;

interface Held {
  readonly variable: string;
  readonly pair: KeyPair;
}

/**
 * @param rows the signing keys of the database: a rotation takes up the first key that is not among them
 * Failures: `configuration` when a setting holds no private key that we can sign with, without showing it
 */
export function envStore(settings: readonly KeySetting[], rows: Pick<SigningKeyStore, 'list'>): KeyStore {
  const held = new Map(settings.flatMap(readSetting).map((each) => [each.pair.kid, each]));
  const variables = settings.map(({ variable }) => variable);
  const [first = '', next = first] = variables;
  const pems: PemStore = {
    name: ENV_STORE,
    locate: (kid) => held.get(kid)?.variable ?? variables.join(' or '),
    remedy: (kid) =>
      `Set ${first} (or ${next}) to the PEM of the key ${kid}, from where you keep your secrets.`,
    async save(kid) {
      if (held.has(kid)) return;
      throw new Failure('refused', `The settings do not hold the key ${kid}.`, {
        hint: `Export it with \`authserver keys export\`, set ${first} to it, start the server again, and repeat this.`,
      });
    },
    load: async (kid) => {
      const found = held.get(kid);
      return found && writePem(found.pair);
    },
    list: async () => [...held.keys()],
    // The environment is the operator's; what is not in the database is not used.
    remove: async () => undefined,
  };
  return {
    ...pemKeyStore(pems),
    external: true,
    remove: async (kid) => `out of use; take it away where you keep it: ${pems.locate(kid)}`,
    async create() {
      const known = new Set((await rows.list({})).map(({ kid }) => kid));
      const fresh = [...held.values()].find(({ pair }) => !known.has(pair.kid));
      if (fresh !== undefined) return fresh.pair;
      throw new Failure(
        'refused',
        'The key store `env` cannot make keys, and the settings hold no new one.',
        {
          hint:
            `Make one with \`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256\`, set ${next} to it next to ` +
            `${first}, start the server again, and run \`authserver keys rotate\`.`,
        },
      );
    },
  };
}

function readSetting({ variable, text }: KeySetting): Held[] {
  if (text === undefined) return [];
  const blocks = text.replaceAll('\\n', '\n').match(BLOCK) ?? [];
  const pairs = blocks.map((block) => readKeyPair(block));
  return (pairs.length === 0 ? [undefined] : pairs).map((pair) => {
    if (pair !== undefined) return { variable, pair };
    throw new Failure('configuration', `${variable} holds no private key that tokens can be signed with.`, {
      hint: 'It must be a PEM (PKCS #8 or SEC 1) of a P-256, Ed25519 or RSA key of at least 2048 bits; `\\n` may stand for a line break.',
    });
  });
}
