/**
 * The load: a process of its own that plays one scenario with many connections against one contender and prints what it
 * saw as a line of JSON. It must not know which contender it meets.
 */
import { text } from 'node:stream/consumers';
import { type Load, type Sighting, scenarios, type User } from '../scenarios.ts';
import { Connection } from './connection.ts';

const load = JSON.parse(await text(process.stdin)) as Load;
process.stdout.write(`${JSON.stringify(await run(load))}\n`);

async function run({ scenario, url, paths, cookies, seconds }: Load): Promise<Sighting> {
  const { prepare, unit } = scenarios[scenario];
  const users = await Promise.all(
    cookies.map(async (cookie) => {
      const user: User = { cookie, paths };
      const connection = await Connection.open(new URL(url));
      return { user, connection, state: await connection.play(prepare(user)) };
    }),
  );

  const latencies: number[] = [];
  const start = performance.now();
  const end = start + seconds * 1000;
  const idle = performance.eventLoopUtilization();
  await Promise.all(
    users.map(async ({ user, connection, state: prepared }) => {
      let state = prepared;
      for (let from = start; from < end; ) {
        state = await connection.play(unit(user, state));
        const now = performance.now();
        if (now <= end) latencies.push(now - from);
        from = now;
      }
    }),
  );
  const { utilization } = performance.eventLoopUtilization(idle);
  for (const { connection } of users) connection.close();
  return { ...summary(latencies, seconds), loadBusy: utilization };
}

function summary(latencies: readonly number[], seconds: number): Omit<Sighting, 'loadBusy'> {
  const sorted = Float64Array.from(latencies).sort();
  const quantile = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
  return { perSecond: sorted.length / seconds, p50: quantile(0.5), p99: quantile(0.99) };
}
