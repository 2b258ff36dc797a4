import { access, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { query } from './cluster.ts';
import { describeEngines, engines, freshStorage, ownPostgres } from './engines.ts';

describeEngines('fresh storage', (engine) => {
  it('is empty, alone, and gone when disposed of', async () => {
    const first = await freshStorage(engine);
    const second = await freshStorage(engine);
    if (first.driver === 'postgres' && second.driver === 'postgres') {
      await query(first.dsn, 'create table mark (id text primary key)');
      const [row] = await query(second.dsn, "select version(), to_regclass('mark') as mark");
      expect(row).toMatchObject({ version: expect.stringMatching(/^PostgreSQL 18\./), mark: null });
      await first.dispose();
      await expect(query(first.dsn, 'select 1')).rejects.toThrow('does not exist');
    } else if (first.driver === 'sqlite' && second.driver === 'sqlite') {
      expect(first.path).not.toBe(second.path);
      await expect(access(first.path)).rejects.toThrow('ENOENT');
      await writeFile(first.path, 'rows');
      await first.dispose();
      await expect(access(first.dir)).rejects.toThrow('ENOENT');
      await access(second.dir);
    }
    await second.dispose();
  });
});

it.skipIf(!engines.some((engine) => engine.name === 'postgres'))(
  'a PostgreSQL server of its own stops, starts at the same address and keeps its rows (needs the postgres engine)',
  async () => {
    const cluster = await ownPostgres();
    await query(cluster.dsn(), "create table kept as select 'row' as id");
    for (const mode of ['fast', 'immediate'] as const) {
      await cluster.stop(mode);
      await expect(query(cluster.dsn(), 'select 1')).rejects.toThrow('ECONNREFUSED');
      await cluster.start();
      expect(await query(cluster.dsn(), 'select id from kept')).toEqual([{ id: 'row' }]);
    }
    await cluster.dispose();
    await expect(access(cluster.socketDir)).rejects.toThrow('ENOENT');
  },
);
