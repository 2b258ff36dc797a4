import { describe, expect, it } from 'vitest';
import { judge, type RestoreFacts } from './plan.ts';

const HOUR = 3_600_000;
const NOW = Date.UTC(2030, 0, 2);

const FACTS: RestoreFacts = {
  now: NOW,
  backup: {
    id: 'b1',
    place: 'local',
    deployment_id: 'dep_1',
    program: '0.1.0',
    made_at: NOW - 10 * HOUR,
    recovery_point: { from: NOW - 10 * HOUR, to: NOW - 10 * HOUR + 5 },
    size: 100,
    verified_at: NOW - 9 * HOUR,
    rto_ms: 500,
    faults: [],
  },
  to: undefined,
  log: undefined,
  isLogged: false,
  sessions: 'end',
  unverified: false,
  destination: { place: '/db', kept_as: '/db.before', unreadable: null, revocations: 0, isElsewhere: false },
  deployment: { known: [{ id: 'dep_1', from: 'the state directory' }], accepted: undefined },
  schemaSteps: [],
  room: { needed: 200, free: 200 },
};
const LOG = { reaches: NOW - HOUR, complete: false };

const refusals = (change: Partial<RestoreFacts>) =>
  judge({ ...FACTS, ...change }).obstacles.map(({ code, message }) => `${code}: ${message}`);
const lost = (change: Partial<RestoreFacts>) => judge({ ...FACTS, ...change }).plan.lost;

describe('a plan', () => {
  it('of a proven backup of this deployment has nothing in its way', () => {
    expect(refusals({})).toEqual([]);
  });

  it('tells what is lost: from the backup, from the end of the log, from the moment asked for, or nothing', () => {
    expect(lost({})).toEqual({ from: NOW - 10 * HOUR, to: NOW });
    expect(lost({ log: LOG })).toEqual({ from: NOW - HOUR, to: NOW });
    expect(lost({ log: LOG, to: NOW - 2 * HOUR })).toEqual({ from: NOW - 2 * HOUR, to: NOW });
    expect(lost({ log: { ...LOG, complete: true } })).toBeNull();
    expect(lost({ log: { ...LOG, complete: true }, to: NOW - 2 * HOUR })?.from).toBe(NOW - 2 * HOUR);
  });

  it('reaches only moments between the backup and the end of the log', () => {
    const to = (time: number) => refusals({ to: time, log: LOG }).join();
    expect(to(NOW - 2 * HOUR)).toBe('');
    expect(to(NOW + 1)).toContain('invalid_input');
    expect(to(NOW - 11 * HOUR)).toContain('later than that');
    expect(to(NOW - 1)).toContain('ends at');
    expect(refusals({ to: NOW - 2 * HOUR }).join()).toContain('does not go on');
  });

  it('keeps sessions only where nothing at all is missing', () => {
    expect(refusals({ sessions: 'keep' })).toHaveLength(1);
    expect(refusals({ sessions: 'keep', log: LOG })).toHaveLength(1);
    expect(refusals({ sessions: 'keep', log: { ...LOG, complete: true } })).toEqual([]);
    const before = { sessions: 'keep', log: { ...LOG, complete: true }, to: NOW - 2 * HOUR } as const;
    expect(refusals(before)).toHaveLength(1);
  });

  it('is for one deployment: that of everybody who knows, or the one that somebody names', () => {
    const known = [...FACTS.deployment.known, { id: 'dep_2', from: 'the present database' }];
    const [refusal] = refusals({ deployment: { known, accepted: undefined } });
    expect(refusal).toContain('the present database belongs to deployment dep_2');
    expect(refusals({ deployment: { known, accepted: 'dep_1' } })).toEqual([]);
    expect(refusals({ deployment: { known, accepted: 'dep_2' } })).toHaveLength(1);
    expect(refusals({ deployment: { known: [], accepted: undefined } })).toEqual([]);
  });

  it('needs a backup that is whole and proven, and room', () => {
    const backup = { ...FACTS.backup, verified_at: null };
    expect(refusals({ backup })).toHaveLength(1);
    expect(refusals({ backup, unverified: true })).toEqual([]);
    expect(judge({ ...FACTS, backup, unverified: true }).plan.notes.join()).toContain('never proven');
    expect(refusals({ backup: { ...backup, faults: ['it is cut'] }, unverified: true })).toHaveLength(1);
    expect(refusals({ room: { needed: 200, free: 199 } })).toHaveLength(1);
    expect(refusals({ room: { needed: 200, free: null } })).toEqual([]);
  });

  it('says where nobody knows what was taken away since', () => {
    const destination = { ...FACTS.destination, revocations: null };
    expect(judge({ ...FACTS, destination }).plan.notes.join()).toContain('in force again');
    const damaged = { ...destination, unreadable: 'no header' };
    expect(judge({ ...FACTS, destination: damaged }).plan.notes.join()).toContain('no header');
  });
});
