import { OWN_TABLES, type SchemaConnection } from '../migrations/connection.ts';

const TABLES = `select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = current_schema() and c.relkind in ('r', 'p') and c.relname <> all ($1)`;

/** One query a kind of thing; each answers ready lines. */
const QUERIES: readonly string[] = [
  `select 'table ' || c.relname as line from pg_class c where c.oid in (${TABLES})`,
  `select format('column %s.%s %s notnull=%s default=%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
      a.attnotnull, coalesce(pg_get_expr(d.adbin, d.adrelid), '')) as line
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid in (${TABLES}) and a.attnum > 0 and not a.attisdropped`,
  // Without the names that the server made up, and without the not-null constraints that some versions keep here too.
  `select format('constraint %s %s', c.relname, pg_get_constraintdef(k.oid)) as line
    from pg_constraint k join pg_class c on c.oid = k.conrelid
    where k.conrelid in (${TABLES}) and k.contype in ('p', 'u', 'f', 'c')`,
  `select format('index %s %s%s', i.relname, replace(pg_get_indexdef(x.indexrelid), current_schema() || '.', ''),
      case when x.indisvalid then '' else ' INVALID' end) as line
    from pg_index x join pg_class i on i.oid = x.indexrelid where x.indrelid in (${TABLES})`,
];

/** The schema in a normal form (SchemaConnection.catalog). */
export async function postgresCatalog(all: SchemaConnection['all']): Promise<readonly string[]> {
  const found: string[] = [];
  for (const query of QUERIES) {
    const rows = await all(query, [OWN_TABLES]);
    found.push(...rows.map(({ line }) => String(line)));
  }
  return found.sort();
}

/** From the tables of the catalog alone: its functions that write definitions wait for whoever changes a table. */
export async function postgresNames(all: SchemaConnection['all']): Promise<ReadonlySet<string>> {
  const rows = await all(
    `select case c.relkind when 'i' then 'index ' else 'table ' end || c.relname as name
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = current_schema() and c.relkind in ('r', 'p', 'i')
     union all
     select 'column ' || c.relname || '.' || a.attname
     from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = current_schema() and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped`,
  );
  return new Set(rows.map(({ name }) => String(name)));
}
