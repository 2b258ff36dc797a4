/** The end of a drill, in the process that has the database: what is kept of it, and where. */
import type { Trust } from '../../archive/signature.ts';
import type { AuditTrail } from '../../audit/trail.ts';
import type { SettingStore } from '../../store/store.ts';
import { RememberedDrills } from './history.ts';
import { reportPage } from './page.ts';
import { type DrillReport, readReport } from './report.ts';

export interface DrillDesk {
  readonly settings: SettingStore;
  readonly audit: Pick<AuditTrail, 'record'>;
  /** Whose signatures count. */
  trust(): Promise<Trust>;
  /** Keeps a file of the history: `<id>.json`, `<id>.html`. */
  keep(name: string, text: string): void;
}

export interface DrillCaller {
  readonly actor: 'admin:operator' | 'admin:api' | 'system';
  readonly ip: string | null;
}

/**
 * Keeps a signed report: two files of the history, what the database remembers, an audit event.
 * Failures: `refused` for a report that is not signed by this deployment; `configuration`, `unavailable`.
 */
export async function recordDrill(
  desk: DrillDesk,
  signed: string,
  caller: DrillCaller,
): Promise<DrillReport> {
  const report = readReport(signed, await desk.trust());
  const { id, drill, passed, rpo_ms, rto_ms, steps } = report;
  desk.keep(`${id}.json`, signed);
  desk.keep(`${id}.html`, reportPage(report));
  await new RememberedDrills(desk.settings).keep(report);
  const failed = steps.filter(({ outcome }) => outcome === 'failed').map(({ name }) => name);
  await desk.audit.record({
    action: passed ? 'drill.passed' : 'drill.failed',
    ...caller,
    detail: { id, drill, rpo_ms, rto_ms, ...(failed.length > 0 && { failed }) },
  });
  return report;
}
