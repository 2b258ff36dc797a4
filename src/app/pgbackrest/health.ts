import type { SettingStore } from '../../store/store.ts';
import type { Config } from '../config.ts';
import type { Check } from '../health.ts';

/** For `/ready?ops`: what somebody has set up must go on working. Nothing is asked of who has decided against it. */
export async function pointInTimeHealth(config: Config, settings: SettingStore): Promise<Check> {
  // Only where there is PostgreSQL is its driver loaded.
  const { rememberedStatus } = await import('./status.ts');
  const { by, findings } = await rememberedStatus(config, settings);
  const wrong = findings.find(({ level }) => level === 'error');
  if (by === null || !wrong) return { ok: true };
  return {
    ok: false,
    problem: 'point in time recovery needs attention; `authserver recovery status` says why',
  };
}
