import { json } from '../http/exchange.ts';
import { Failure } from '../kernel/errors.ts';
import type { AuditEventRecord } from '../store/records.ts';
import type { AdminParts, AdminRoute } from './admin-route.ts';
import { listPage } from './page.ts';

/** GET /admin/audit: events in the order of the chain, after a sequence number. */
export function auditRoutes({ store }: AdminParts): AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/admin/audit',
      body: 'none',
      async handle({ query }) {
        const page = await listPage(query, {
          after: readSequence(query.get('after')),
          read: (page) => store.audit.list(page),
          cursorOf: ({ sequence }) => sequence,
          show: showEvent,
        });
        return json(200, page);
      },
    },
  ];
}

function readSequence(text: string | undefined): number {
  if (text === undefined) return 0;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new Failure('invalid_input', 'The parameter after must be the sequence number of an event.');
}

function showEvent({ detail_json, ...event }: AuditEventRecord) {
  return { ...event, detail: JSON.parse(detail_json) as unknown };
}
