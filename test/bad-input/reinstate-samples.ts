// Owns requests that work for the route that takes things back, as far as it can without rows.

import { long } from './key-samples.ts';
import type { SampleMaker } from './request.ts';

export const reinstateSamples: Readonly<Record<string, SampleMaker>> = {
  ...long('/admin/reinstate', {
    backup: '00000001-20261122T000439Z-k3f9',
    deployment_id: 'dep_0',
    program: '0.0.0',
    state_of: 1_900_000_000_000,
    seen: '',
    things: [{ kind: 'user', id: 'usr_0', name: 'ada' }],
    rows: 'rows_01m80n5agz0v8spcb4r4jeb23k',
    on_conflict: 'report',
    dry_run: true,
  }),
};
