/**
 * What autovacuum does for a PostgreSQL server and nothing does for the embedded one: gives back the room of rows that
 * were changed or deleted, tells the planner how tables have grown, and freezes old rows before transaction numbers come
 * round again. When a table is due: PostgreSQL's documentation, "Routine Vacuuming", with the values it has by default.
 */
import type { Statement, StatementResult } from "./embedded-session.ts";

const freezeAgeMax = 200_000_000;

type Query = (statement: Statement) => Promise<StatementResult>;

/** Of tables that are due, one that is worse than the others. */
const dueSql = `
  select format('%I.%I', space.nspname, class.relname) as name, vacuum, "analyze"
  from pg_class as class
    join pg_namespace as space on space.oid = class.relnamespace
    left join pg_class as toast on toast.oid = class.reltoastrelid
    left join pg_stat_all_tables as seen on seen.relid = class.oid
    cross join lateral (select greatest(class.reltuples, 0) as rows) as size
    cross join lateral (select
      coalesce(seen.n_dead_tup > 50 + 0.2 * rows or seen.n_ins_since_vacuum > 1000 + 0.2 * rows, false)
        or greatest(age(class.relfrozenxid), coalesce(age(toast.relfrozenxid), 0)) > $1::bigint as vacuum,
      coalesce(seen.n_mod_since_analyze > 50 + 0.1 * rows, false)
        and class.oid <> 'pg_statistic'::regclass as "analyze"
    ) as due
  where class.relkind in ('r', 'm') and class.relpersistence = 'p' and (vacuum or "analyze")
  order by vacuum desc, seen.n_dead_tup desc nulls last
  limit 1`;

interface Due {
  readonly name: string;
  readonly vacuum: boolean;
  readonly analyze: boolean;
}

/** Looks after the table that needs it most. Gives its name; undefined where none needs it. */
export async function keepUp(query: Query, freezeAge = freezeAgeMax): Promise<string | undefined> {
  const { rows } = await query({ sql: dueSql, parameters: [freezeAge] });
  const [due] = rows as unknown as Due[];
  if (due === undefined) return undefined;
  const vacuum = due.analyze ? "vacuum (analyze)" : "vacuum";
  await query({ sql: `${due.vacuum ? vacuum : "analyze"} ${due.name}`, parameters: [] });
  return due.name;
}
