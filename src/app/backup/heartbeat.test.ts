import { expect, test } from 'vitest';
import { silentLog } from '../../kernel/log.ts';
import { sendHeartbeat } from './heartbeat.ts';

test.each([
  'http://someone:s3cret@127.0.0.1:9/ping/s3cret',
  'http://127.0.0.1:9/ping/s3cret',
  'gopher://s3cret',
])('the address of a heartbeat that is not heard is not logged: %s', async (url) => {
  const logged: unknown[] = [];
  const log = { ...silentLog, error: (...words: unknown[]) => void logged.push(...words) };
  await sendHeartbeat(url, log);
  expect(logged).toHaveLength(2);
  expect(JSON.stringify(logged)).toContain('was not heard');
  expect(JSON.stringify(logged)).not.toContain('s3cret');
});
