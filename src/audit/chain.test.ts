import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CHAIN_START, chainHash } from '../store/audit-chain.ts';
import type { AuditEventRecord } from '../store/records.ts';
import { type ChainLink, verifyChain } from './chain.ts';

/** A chain as the store builds it. */
function chainOf(length: number): AuditEventRecord[] {
  const events: AuditEventRecord[] = [];
  for (let sequence = 1; sequence <= length; sequence++) {
    const event = {
      sequence,
      at: 1_800_000_000_000 + sequence,
      action: 'user.signed_in',
      actor: `user:${sequence}`,
      client_id: sequence % 2 === 0 ? null : 'client',
      user_id: `${sequence}`,
      ip: '127.0.0.1',
      detail_json: '{}',
      previous_hash: events.at(-1)?.hash ?? CHAIN_START,
    };
    events.push({ ...event, hash: chainHash(event) });
  }
  return events;
}

const linkAt = ({ sequence, hash }: AuditEventRecord): ChainLink => ({ sequence, hash });

describe('an intact chain', () => {
  test('verifies, and names its last link', () => {
    const events = chainOf(20);
    expect(verifyChain(events)).toEqual({ intact: true, last: linkAt(events[19]!) });
    expect(verifyChain([])).toEqual({ intact: true, last: { sequence: 0, hash: CHAIN_START } });
  });

  test('verifies page by page, and from any link that is known', () => {
    const events = chainOf(20);
    const first = verifyChain(events.slice(0, 7));
    expect(first.intact && verifyChain(events.slice(7), first.last)).toEqual(verifyChain(events));
    const other = { ...linkAt(events[6]!), hash: chainHash({ ...events[6]!, actor: 'other' }) };
    expect(verifyChain(events.slice(7), other)).toMatchObject({ intact: false, sequence: 8 });
  });

  test('the hash is what it was when the first chain was written', () => {
    const event: Omit<AuditEventRecord, 'hash'> = {
      sequence: 1,
      at: 1_800_000_000_000,
      action: 'key.created',
      actor: 'system',
      client_id: null,
      user_id: null,
      ip: null,
      detail_json: '{"kid":"k"}',
      previous_hash: CHAIN_START,
    };
    expect(chainHash(event)).toBe('JSxlvoU6BpqU8tAeVGzpO4m3IPzijmP0QdcbUATKduI');
  });
});

describe('a chain that was tampered with', () => {
  const columns = Object.keys(chainOf(1)[0]!) as (keyof AuditEventRecord)[];

  test.each(columns)('a changed %s is found', (column) => {
    const events = chainOf(9);
    const value = events[4]![column];
    const changed = { ...events[4]!, [column]: typeof value === 'number' ? value + 100 : `${value}x` };
    const report = verifyChain(events.with(4, changed));
    expect(report).toMatchObject({ intact: false, sequence: 5 });
  });

  test('a changed event with its hash made anew is found at the next one', () => {
    const events = chainOf(9);
    const forged = { ...events[4]!, actor: 'nobody' };
    const report = verifyChain(events.with(4, { ...forged, hash: chainHash(forged) }));
    expect(report).toEqual({ intact: false, sequence: 6, fault: 'changed' });
  });

  test('values that move from one column to the next are found', () => {
    const events = chainOf(3);
    const { client_id, user_id } = events[0]!;
    const report = verifyChain(events.with(0, { ...events[0]!, client_id: user_id, user_id: client_id }));
    expect(report).toEqual({ intact: false, sequence: 1, fault: 'changed' });
  });

  test('removed events are found, renumbered or not', () => {
    const events = chainOf(9);
    expect(verifyChain(events.toSpliced(4, 2))).toEqual({ intact: false, sequence: 5, fault: 'removed' });
    expect(verifyChain(events.slice(1))).toEqual({ intact: false, sequence: 1, fault: 'removed' });
    const renumbered = events.toSpliced(4, 1).map((event, index) => ({ ...event, sequence: index + 1 }));
    expect(verifyChain(renumbered)).toEqual({ intact: false, sequence: 5, fault: 'changed' });
  });

  test('an event that is there twice is found', () => {
    const events = chainOf(5);
    expect(verifyChain(events.toSpliced(2, 0, events[1]!))).toMatchObject({
      sequence: 2,
      fault: 'out_of_order',
    });
  });

  test('no other order verifies, whether events keep their numbers or not', () => {
    const events = chainOf(6);
    const order = fc.shuffledSubarray(events, { minLength: events.length });
    fc.assert(
      fc.property(order, fc.boolean(), (shuffled, renumber) => {
        fc.pre(shuffled.some((event, index) => event !== events[index]));
        const moved = renumber
          ? shuffled.map((event, index) => ({ ...event, sequence: index + 1 }))
          : shuffled;
        expect(verifyChain(moved).intact).toBe(false);
      }),
    );
  });

  test('a chain cut short is found against the last link kept elsewhere', () => {
    const events = chainOf(9);
    const kept = linkAt(events[8]!);
    expect(verifyChain(events.slice(0, 8))).not.toEqual({ intact: true, last: kept });
  });
});
