// Owns requests that work for the routes of backups and drills in the admin API.

import { bearer } from '../oauth/product.ts';
import type { SampleMaker } from './request.ts';

const ID = '00000001-20261122T000439Z-k3f9';
const RECIPIENT = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p';

/** As two lines, the second of which is not the signature of the first. */
const DRILL = `{"type":"authserver.drill-report"}\n{"ed25519":"${'A'.repeat(86)}","public_key":"${'A'.repeat(43)}"}\n`;

/** @param key of the admin API */
export function backupSamples(key: string): Readonly<Record<string, SampleMaker>> {
  const headers = bearer(key);
  const long = (path: string, json: object): Readonly<Record<string, SampleMaker>> => ({
    [`POST ${path}`]: async () => [{ headers, json }],
    [`POST ${path}/stop`]: async () => [{ headers }],
  });
  return {
    ...long('/admin/backups', { target: null, tags: ['a'], verify: false }),
    ...long('/admin/backups/list', { target: 'local' }),
    ...long('/admin/backups/pin', { id: ID, pinned: true, reason: 'a' }),
    ...long('/admin/backups/prune', { target: null, dry_run: true, accept: ['clock_jumped'] }),
    ...long('/admin/backups/verify', { which: { id: ID }, target: 'local', part: 7, accept_missing: true }),
    ...long('/admin/backups/verified', { ids: [ID] }),
    ...long('/admin/backups/key', {}),
    ...long('/admin/backups/key/confirm', { recipient: RECIPIENT }),
    ...long('/admin/backups/key/replace', { recipient: RECIPIENT }),
    ...long('/admin/backups/key/distrust', { signer: 'A'.repeat(43) }),
    ...long('/admin/drills', { report: DRILL }),
  };
}
