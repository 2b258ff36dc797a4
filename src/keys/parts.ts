import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { SigningKeyStore } from '../store/store.ts';
import type { Algorithm } from './jwk.ts';
import type { Timing } from './lifecycle.ts';
import type { KeyStores } from './stores/key-store.ts';

export interface KeyChange {
  readonly action:
    | 'key.created'
    | 'key.published'
    | 'key.activated'
    | 'key.retired'
    | 'key.compromised'
    | 'key.imported'
    | 'key.restored';
  readonly kid: string;
}

export interface KeyringParts {
  readonly store: SigningKeyStore;
  readonly keyStores: KeyStores;
  /** What new keys are made for. */
  readonly algorithm: Algorithm;
  readonly timing: Timing;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether nothing was ever kept in this database; only then may a first key be made. */
  readonly installationIsNew: boolean;
  /** False for commands that mend the keys: it opens though nothing can sign. True where absent. */
  readonly mustSign?: boolean;
  /** Told of each change by the one process that made it. */
  readonly onChange?: (change: KeyChange) => void;
}
