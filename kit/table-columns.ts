/** Columns of a database as it is, whatever its migrations say. */
import { type Kysely, sql } from "kysely";

export interface TableColumn {
  /** As `run.phase`. */
  readonly name: string;
  /** As PostgreSQL names it: `text`, `bytea`, `bigint`. */
  readonly type: string;
}

/** Of every table that is the plane's own. */
export async function readColumns(kysely: Kysely<unknown>): Promise<readonly TableColumn[]> {
  const { rows } = await sql<TableColumn>`
    select table_name || '.' || column_name as name, data_type as type
    from information_schema.columns where table_schema = 'public' order by 1`.execute(kysely);
  return rows;
}
