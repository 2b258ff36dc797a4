import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkStops, planRetention, type RetentionItem, type RetentionPolicy } from './retention.ts';

const DAY = 24 * 60 * 60 * 1000;
const HOUR = 60 * 60 * 1000;
const NOW = Date.UTC(2026, 10, 22, 12);

function item(sequence: number, madeAt: number, changes: Partial<RetentionItem> = {}): RetentionItem {
  return {
    id: `b${String(sequence).padStart(4, '0')}`,
    sequence,
    madeAt,
    deploymentId: 'dep',
    state: 'verified',
    isPinned: false,
    ...changes,
  };
}

/** One each day, the newest today; sequences grow. */
function daily(days: number, changes: Partial<RetentionItem> = {}): RetentionItem[] {
  return Array.from({ length: days }, (_, index) => item(index + 1, NOW - (days - 1 - index) * DAY, changes));
}

function plan(items: readonly RetentionItem[], policy: Partial<RetentionPolicy>, lastKept?: number) {
  const catalog = { deploymentId: 'dep', items, ...(lastKept !== undefined && { lastKept }) };
  return planRetention(catalog, { keep: {}, minimum: 0, ...policy }, NOW);
}

function kept(...args: Parameters<typeof plan>): string[] {
  return plan(...args)
    .decisions.filter(({ keeps }) => keeps)
    .map(({ id }) => id);
}

function reasonsOf(id: string, ...args: Parameters<typeof plan>): readonly string[] {
  return plan(...args).decisions.find((decision) => decision.id === id)?.reasons ?? [];
}

describe('the rules', () => {
  test('7 days, 4 weeks, 3 months of a year of days', () => {
    const items = daily(365);
    const policy = { keep: { daily: 7, weekly: 4, monthly: 3 } };
    const days = kept(items, policy).map((id) => iso(items.find((each) => each.id === id)!.madeAt));
    expect(days).toEqual([
      ...['2026-11-22', '2026-11-21', '2026-11-20', '2026-11-19', '2026-11-18', '2026-11-17', '2026-11-16'],
      ...['2026-11-15', '2026-11-08', '2026-11-01'], // Sundays: the newest of their weeks
      ...['2026-10-31', '2026-09-30'],
    ]);
    expect(reasonsOf('b0365', items, policy)).toEqual([
      'daily 2026-11-22',
      'weekly week of 2026-11-16',
      'monthly 2026-11',
    ]);
    expect(reasonsOf('b0001', items, policy)).toEqual(['no rule keeps it']);
  });

  test('periods without a backup are not counted', () => {
    const items = [item(1, NOW - 400 * DAY), item(2, NOW - 100 * DAY), item(3, NOW - 50 * DAY), item(4, NOW)];
    expect(kept(items, { keep: { daily: 3 } })).toEqual(['b0004', 'b0003', 'b0002']);
  });

  test('the oldest is kept while a rule has not been used up', () => {
    const items = daily(20);
    expect(kept(items, { keep: { yearly: 2 } })).toEqual(['b0020', 'b0001']);
    expect(reasonsOf('b0001', items, { keep: { yearly: 2 } })).toEqual(['yearly, the oldest there is']);
  });

  test('hours are those of UTC', () => {
    const items = [item(1, NOW - 61_000), item(2, NOW - 60_000), item(3, NOW), item(4, NOW + 60_000)];
    expect(kept(items, { keep: { hourly: 2 } })).toEqual(['b0004', 'b0002']);
  });

  test('a policy that keeps nothing is refused', () => {
    expect(() => plan(daily(3), {})).toThrow('would keep no backup at all');
  });
});

describe('what is kept besides', () => {
  test('a floor of verified backups', () => {
    expect(kept(daily(9), { keep: { monthly: 1 }, minimum: 3 })).toEqual(['b0009', 'b0008', 'b0007']);
    expect(kept(daily(2), { minimum: 3 })).toEqual(['b0002', 'b0001']);
  });

  test('pins', () => {
    const items = [item(1, NOW - 9 * DAY, { isPinned: true }), ...daily(9).slice(5)];
    expect(kept(items, { keep: { last: 1 } })).toEqual(['b0009', 'b0001']);
    expect(reasonsOf('b0001', items, { keep: { last: 1 } })).toEqual(['pinned']);
  });

  test('backups of other deployments', () => {
    const items = [...daily(4), item(99, NOW, { deploymentId: 'other' })];
    expect(kept(items, { keep: { last: 1 } })).toEqual(['b0099', 'b0004']);
    expect(reasonsOf('b0099', items, { keep: { last: 1 } })).toEqual(['of another deployment, other']);
  });
});

describe('what is not verified', () => {
  test('never takes the place of a verified one', () => {
    const items = [
      ...daily(7),
      ...daily(30, { state: 'unverified' }).map((each) => ({
        ...each,
        id: `u${each.id}`,
        sequence: each.sequence + 100,
      })),
    ];
    expect(kept(items, { keep: { daily: 7 } }).filter((id) => id.startsWith('b'))).toHaveLength(7);
  });

  test('waits for its verification', () => {
    const items = [
      item(1, NOW - 2 * DAY),
      item(2, NOW - DAY, { state: 'unverified' }),
      item(3, NOW, { state: 'unverified' }),
    ];
    expect(kept(items, { keep: { last: 1 } })).toEqual(['b0003', 'b0002', 'b0001']);
    expect(reasonsOf('b0002', items, { keep: { last: 1 } })).toEqual([
      'not verified yet, and no newer backup is verified',
    ]);
    expect(reasonsOf('b0003', items, { keep: { last: 1 } })).toEqual([
      'not verified yet; would be one of the last 1',
    ]);
  });

  test('goes when a newer one is verified and no rule would keep it', () => {
    const items = [item(1, NOW - DAY, { state: 'unverified' }), item(2, NOW)];
    expect(kept(items, { keep: { last: 1 } })).toEqual(['b0002']);
    expect(reasonsOf('b0001', items, { keep: { last: 1 } })[0]).toContain('b0002 is newer and verified');
    expect(kept(items, { keep: { daily: 2 } })).toEqual(['b0002', 'b0001']);
  });

  test('goes at once when its verification failed, unless there is nothing better', () => {
    const failed = item(1, NOW - DAY, { state: 'failed' });
    expect(kept([failed, item(2, NOW)], { keep: { daily: 9 } })).toEqual(['b0002']);
    expect(kept([failed, item(2, NOW, { state: 'unverified' })], { keep: { last: 1 } })).toEqual([
      'b0002',
      'b0001',
    ]);
  });

  test('fifteen nights without a verified backup remove none of the verified', () => {
    const items = daily(30).map((each) =>
      each.sequence > 15 ? { ...each, state: 'failed' as const } : each,
    );
    expect(kept(items, { keep: { daily: 7 } })).toEqual(expect.arrayContaining(['b0015', 'b0009']));
  });
});

describe('what stops it', () => {
  const stopsOf = (...args: Parameters<typeof plan>) => plan(...args).stops.map(({ kind }) => kind);

  test('backups from the future', () => {
    expect(stopsOf([...daily(3), item(4, NOW + 2 * HOUR)], { minimum: 1 })).toEqual(['future_dated']);
    expect(stopsOf([...daily(3), item(4, NOW + HOUR / 2)], { minimum: 1 })).toEqual([]);
  });

  test('a clock that went back between two backups', () => {
    const { stops } = plan([item(1, NOW - DAY), item(2, NOW - 3 * DAY)], { minimum: 1 });
    expect(stops).toMatchObject([{ kind: 'clock_jumped', reason: expect.stringContaining('b0002') }]);
  });

  test('a kept set of less than half of the last one', () => {
    expect(stopsOf(daily(9), { keep: { last: 3 } }, 7)).toEqual(['kept_set_shrinks']);
    expect(stopsOf(daily(9), { keep: { last: 4 } }, 8)).toEqual([]);
    expect(stopsOf([], { keep: { last: 4 } }, 1)).toEqual(['kept_set_shrinks']);
  });

  test('other deployments stop nothing', () => {
    expect(stopsOf([...daily(3), item(4, NOW + DAY, { deploymentId: 'other' })], { minimum: 1 })).toEqual([]);
  });

  test('until somebody has accepted it', () => {
    const stopped = plan([...daily(3), item(4, NOW + DAY)], { minimum: 1 }, 9);
    expect(() => checkStops(stopped, ['future_dated'])).toThrow(/last run kept 9/);
    expect(() => checkStops(stopped, [])).toThrow(
      expect.objectContaining({
        code: 'refused',
        hint: expect.stringContaining('--accept future_dated --accept kept_set_shrinks'),
      }),
    );
    checkStops(stopped, ['future_dated', 'kept_set_shrinks']);
  });
});

describe('against a model', () => {
  // Written the other way round: groups first, then their newest, then as many groups as the rule has slots.
  function modelKept(own: readonly RetentionItem[], policy: RetentionPolicy): Set<string> {
    const verified = own
      .filter(({ state }) => state === 'verified')
      .toSorted((a, b) => a.sequence - b.sequence);
    const ids = new Set<string>(
      verified.slice(Math.max(0, verified.length - policy.minimum)).map(({ id }) => id),
    );
    if (policy.minimum === 0) ids.clear();
    const last = policy.keep.last ?? 0;
    for (const { id } of verified.slice(Math.max(0, verified.length - last))) if (last > 0) ids.add(id);
    for (const [name, label] of Object.entries(LABELS)) {
      const slots = policy.keep[name as keyof typeof LABELS] ?? 0;
      const groups = Object.values(Object.groupBy(verified, ({ madeAt }) => label(new Date(madeAt))));
      const heads = groups.map((group) => group!.at(-1)!).toSorted((a, b) => b.sequence - a.sequence);
      for (const { id } of heads.slice(0, slots)) ids.add(id);
      if (heads.length < slots && verified[0]) ids.add(verified[0].id);
    }
    return ids;
  }

  const LABELS = {
    hourly: (date: Date) =>
      `${date.toDateString()} ${date.getUTCDate()} ${date.getUTCHours()} ${date.getUTCMonth()} ${date.getUTCFullYear()}`,
    daily: (date: Date) => `${date.getUTCFullYear()}/${date.getUTCMonth()}/${date.getUTCDate()}`,
    // The Thursday of a week tells its year and so its number (ISO 8601).
    weekly: (date: Date) => {
      const thursday = new Date(date);
      thursday.setUTCDate(date.getUTCDate() + 4 - (date.getUTCDay() || 7));
      const days = Math.floor((thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / DAY);
      return `${thursday.getUTCFullYear()}-W${Math.floor(days / 7)}`;
    },
    monthly: (date: Date) => `${date.getUTCFullYear()}/${date.getUTCMonth()}`,
    yearly: (date: Date) => `${date.getUTCFullYear()}`,
  };

  /** A step of a history: how long until the next backup, what becomes of it, and what happens to the clock. */
  const step = fc.record({
    pause: fc.constantFrom(HOUR / 2, HOUR, 6 * HOUR, DAY, DAY, DAY, 9 * DAY, 40 * DAY),
    state: fc.constantFrom('verified', 'verified', 'verified', 'unverified', 'failed'),
    isPinned: fc.constantFrom(false, false, false, false, false, true),
    deploymentId: fc.constantFrom('dep', 'dep', 'dep', 'dep', 'other'),
    jump: fc.constantFrom(0, 0, 0, 0, 0, 0, -3 * DAY, 20 * DAY, 4000 * DAY),
    /** Whether the catalog was reset, and counts on from a lower sequence. */
    reset: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 3),
  });
  const slots = fc.constantFrom(0, 0, 1, 2, 3, 7);
  const policies = fc.record({
    keep: fc.record({
      last: slots,
      hourly: slots,
      daily: slots,
      weekly: slots,
      monthly: slots,
      yearly: slots,
    }),
    minimum: fc.constantFrom(1, 1, 2, 3),
  });

  test('ten thousand histories with outages, clock jumps, made-up backups and resets', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), policies, (steps, policy) => {
        let clock = NOW - 300 * DAY;
        let sequence = 0;
        const items = steps.map((each, index) => {
          clock += each.pause + each.jump;
          sequence = Math.max(1, sequence + 1 - each.reset);
          const { state, isPinned, deploymentId } = each;
          // Sequences that were given out twice are told apart by the id; the model wants them different.
          return {
            ...item(sequence * 100 + index, clock, { isPinned, deploymentId }),
            state,
          } as RetentionItem;
        });
        const { decisions, verifiedKept } = planRetention({ deploymentId: 'dep', items }, policy, NOW);
        const own = items.filter(({ deploymentId }) => deploymentId === 'dep');
        const keeps = new Map(decisions.map(({ id, keeps, reasons }) => [id, keeps && reasons.length > 0]));
        const expected = modelKept(own, policy);
        const newest = Math.max(
          0,
          ...own.filter(({ state }) => state === 'verified').map((each) => each.sequence),
        );
        let count = 0;
        for (const each of items) {
          const isKept = keeps.get(each.id);
          if (each.deploymentId !== 'dep' || each.isPinned || expected.has(each.id))
            mustBe(isKept, true, each);
          else if (each.state === 'verified') mustBe(isKept, false, each);
          else if (each.sequence > newest) mustBe(isKept, true, each);
          else if (each.state === 'failed') mustBe(isKept, false, each);
          if (isKept && each.deploymentId === 'dep' && each.state === 'verified') count += 1;
        }
        mustBe(verifiedKept, count, policy);
        mustBe(decisions.length, items.length, policy);
        mustBe(
          decisions.every(({ reasons }) => reasons.length > 0),
          true,
          decisions,
        );
      }),
      { numRuns: 10_000 },
    );
  });

  /** `expect` is too slow for so many. */
  function mustBe<T>(found: T, wanted: T, what: unknown): void {
    if (found !== wanted) throw new Error(`${JSON.stringify(what)}: ${found} instead of ${wanted}`);
  }

  test('what attackers and clocks add never removes a verified backup that was kept', () => {
    const fakes = fc.array(
      fc.record({
        sequence: fc.integer({ min: 1, max: 99_999 }),
        madeAt: fc.integer({ min: 0, max: 2 * NOW }),
      }),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(fakes, policies, (made, policy) => {
        const items = daily(40);
        const before = new Set(kept(items, policy));
        const fake = made.map(({ sequence, madeAt }, index) =>
          item(sequence, madeAt, { id: `fake${index}`, state: 'unverified' }),
        );
        const after = new Set(kept([...items, ...fake], policy));
        mustBe(before.isSubsetOf(after), true, made);
      }),
      { numRuns: 1000 },
    );
  });
});

function iso(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
