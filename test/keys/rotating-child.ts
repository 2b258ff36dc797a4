// A process that does nothing but rotate, until it is killed. Its time runs an hour with every step. Each line that it
// writes is a token that it has issued.

import { openStore } from '../../src/app/open-store.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { Rig } from './rig.ts';

const [choice = '{}', folder = '', start = '0'] = process.argv.slice(2);
const store = await openStore(JSON.parse(choice), silentLog);
const rig = await Rig.on(store, undefined, folder);
rig.clock.moveTo(Number(start));
const ring = await rig.open({ isNew: true });
for (;;) {
  const { jwt } = await ring.sign('at+jwt', { exp: (rig.clock.now() + 600_000) / 1000 });
  process.stdout.write(`${JSON.stringify({ jwt, now: rig.clock.now() })}\n`);
  const { activates_at } = await ring.rotate();
  rig.clock.moveTo(activates_at);
  await ring.tick();
  rig.clock.advance(3_600_000);
  await ring.tick();
}
