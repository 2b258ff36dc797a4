import type { KeyDesk } from './desk.ts';
import { type ExportedKey, exportKey } from './export.ts';
import { type ImportInput, type ImportReport, importKey } from './import.ts';
import { type KeyVerification, verifyKeys } from './inspection.ts';
import { type RecoveryReport, recover } from './recovery.ts';
import { type CompromiseReport, compromise, type Retirement, retire } from './withdrawal.ts';

/** What operators do to single keys. Each verb can be run again after it was cut off. */
export interface KeyManagement {
  retire(kid: string): Promise<Retirement>;
  compromise(kid: string): Promise<CompromiseReport>;
  import(input: ImportInput): Promise<ImportReport>;
  export(kid: string): Promise<ExportedKey>;
  verify(): Promise<KeyVerification>;
  recover(): Promise<RecoveryReport>;
}

export function manage(desk: KeyDesk): KeyManagement {
  return {
    retire: (kid) => retire(desk, kid),
    compromise: (kid) => compromise(desk, kid),
    import: (input) => importKey(desk, input),
    export: (kid) => exportKey(desk, kid),
    verify: () => verifyKeys(desk),
    recover: () => recover(desk),
  };
}
