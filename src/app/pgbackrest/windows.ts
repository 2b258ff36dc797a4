import type { RecoveryWindow } from '../../ops/backup/desk.ts';
import type { SettingStore } from '../../store/store.ts';
import type { Config } from '../config.ts';

/** The moments that the archive of PostgreSQL reaches, for `backup list`. */
export async function pointInTimeWindows(
  config: Config,
  settings: SettingStore,
): Promise<readonly RecoveryWindow[]> {
  const { rememberedStatus } = await import('./status.ts');
  const { window } = await rememberedStatus(config, settings);
  return window ? [window] : [];
}
