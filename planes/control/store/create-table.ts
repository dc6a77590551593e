import { type Kysely, sql } from "kysely";

/** One table from its columns; the key's columns come first and `org_id` before them all. */
export async function createTable(
  kysely: Kysely<unknown>,
  table: string,
  key: Readonly<Record<string, string>>,
  columns: Readonly<Record<string, string>>,
): Promise<string> {
  const all = { org_id: "text", ...key };
  const keyColumns = Object.entries(all).map(
    ([name, type]) => sql`${sql.id(name)} ${sql.raw(type)} not null`,
  );
  const others = Object.entries(columns).map(([name, type]) => sql`${sql.id(name)} ${sql.raw(type)}`);
  const primary = sql`primary key (${sql.join(Object.keys(all).map((name) => sql.id(name)))})`;
  await sql`create table ${sql.id(table)} (${sql.join([...keyColumns, ...others, primary])})`.execute(kysely);
  return table;
}
