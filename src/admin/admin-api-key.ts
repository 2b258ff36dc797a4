import { equalSecrets, sha256 } from '../kernel/bytes.ts';
import type { Clock } from '../kernel/clock.ts';
import { Failure } from '../kernel/errors.ts';
import { type Random, randomToken } from '../kernel/random.ts';
import type { SettingRecord } from '../store/records.ts';
import type { SettingStore } from '../store/store.ts';

const SETTING = 'admin.api_key_sha256';

/** The key of the admin API over TCP: the one in the configuration, otherwise one that we made and keep the SHA-256 of. */
export class AdminApiKey {
  /** SHA-256 of the key in the configuration. */
  readonly #configured: string | undefined;
  readonly #settings: SettingStore;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(parts: {
    configured: string | undefined;
    settings: SettingStore;
    clock: Clock;
    random: Random;
  }) {
    this.#configured = parts.configured === undefined ? undefined : sha256(parts.configured);
    this.#settings = parts.settings;
    this.#clock = parts.clock;
    this.#random = parts.random;
  }

  /** Is this the key? Takes the same time for every wrong one, whatever its length. */
  async matches(key: string): Promise<boolean> {
    const expected = this.#configured ?? (await this.#settings.get({ name: SETTING }))?.value;
    return expected !== undefined && equalSecrets(sha256(key), expected);
  }

  /** Makes the first key; undefined where there is one already, which nobody can be shown again. */
  async makeFirst(): Promise<string | undefined> {
    // Asked first, because a read is all that most starts need.
    if (this.#configured !== undefined || (await this.#settings.get({ name: SETTING }))) return undefined;
    const key = randomToken(this.#random);
    const { outcome } = await this.#settings.put({ setting: this.#setting(key), if_absent: true });
    return outcome === 'put' ? key : undefined;
  }

  /** A new key; the former one is void at once. Fails with `refused` where the configuration sets the key. */
  async rotate(): Promise<string> {
    if (this.#configured !== undefined) {
      throw new Failure(
        'refused',
        'The admin API key is set in the configuration, so it can only be changed there.',
        {
          hint: 'Change admin.api_key and restart, or remove it and rotate again.',
        },
      );
    }
    const key = randomToken(this.#random);
    await this.#settings.rotate({ setting: this.#setting(key) });
    return key;
  }

  #setting(key: string): SettingRecord {
    return { name: SETTING, value: sha256(key), updated_at: this.#clock.now() };
  }
}
