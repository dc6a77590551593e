/** What the application role gets of the tables in the name of an organization that the rows are not of. */
import type { Database } from "@biplane/kit/database";
import { type Kysely, sql, type Transaction } from "kysely";

const uniqueViolation = "23505";

/** All but the migrations' own two, which hold no organization's rows. */
export async function tenantTables(kysely: Kysely<unknown>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`select c.relname as name from pg_class c
    join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p') and n.nspname = 'public'
    and c.relname not like 'kysely_migration%' order by 1`.execute(kysely);
  return rows.map(({ name }) => name);
}

/** How many rows of each table an organization sees. */
export function countRows(
  database: Database<unknown>,
  org: string,
  tables: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  return database.asOrg(org, async (transaction) => {
    const counts = new Map<string, number>();
    for (const table of tables) {
      const { rows } = await sql<{
        count: number;
      }>`select count(*) as count from ${sql.table(table)}`.execute(transaction);
      counts.set(table, Number(rows[0]!.count));
    }
    return counts;
  });
}

export interface Strangers {
  readonly owner: string;
  readonly stranger: string;
  readonly tables: readonly string[];
}

/** Rows that a stranger sees, changes or deletes of the owner's; and rows that the owner makes the stranger's. */
export async function strangersRows(database: Database<unknown>, who: Strangers): Promise<string[]> {
  const found: string[] = [];
  for (const table of who.tables) {
    found.push(...(await seenOf(database, who, table)), ...(await changedOf(database, who, table)));
    if (await isGivenAway(database, who, table))
      found.push(`${table}: a row was given to another organization`);
  }
  return found;
}

async function seenOf(
  database: Database<unknown>,
  { stranger }: Strangers,
  table: string,
): Promise<string[]> {
  const { rows } = await database.asOrg(stranger, (transaction) =>
    sql<{ count: number }>`select count(*) as count from ${sql.table(table)}
      where org_id is distinct from ${stranger}`.execute(transaction),
  );
  const count = Number(rows[0]!.count);
  return count === 0 ? [] : [`${table}: ${count} rows are seen by ${nameOf(stranger)}`];
}

async function changedOf(
  database: Database<unknown>,
  { owner, stranger }: Strangers,
  table: string,
): Promise<string[]> {
  const name = sql.table(table);
  const found: string[] = [];
  await takenBack(database, stranger, async (transaction) => {
    const updated = await sql`update ${name} set org_id = org_id where org_id = ${owner}`.execute(
      transaction,
    );
    const deleted = await sql`delete from ${name} where org_id = ${owner}`.execute(transaction);
    for (const [what, { numAffectedRows = 0n }] of Object.entries({ updated, deleted })) {
      if (numAffectedRows > 0n)
        found.push(`${table}: ${numAffectedRows} rows were ${what} by ${nameOf(stranger)}`);
    }
  });
  return found;
}

/** Refused by the database wherever there is a row to be given. */
async function isGivenAway(
  database: Database<unknown>,
  { owner, stranger }: Strangers,
  table: string,
): Promise<boolean> {
  let given = 0n;
  try {
    await takenBack(database, owner, async (transaction) => {
      const moved = await sql`update ${sql.table(table)} set org_id = ${stranger}`.execute(transaction);
      given = moved.numAffectedRows ?? 0n;
    });
  } catch (error) {
    if (/row-level security/.test((error as Error).message)) return false;
    // A row like it was there already: nothing but that kept the row from being given.
    if ((error as { code?: string }).code === uniqueViolation) return true;
    throw error;
  }
  return given > 0n;
}

/** Nothing of it stays, whatever the database let happen: the rows may be somebody's. */
async function takenBack(
  database: Database<unknown>,
  org: string,
  work: (transaction: Transaction<unknown>) => Promise<void>,
): Promise<void> {
  const done = new Error("taken back");
  try {
    await database.asOrg(org, async (transaction) => {
      await work(transaction);
      throw done;
    });
  } catch (error) {
    if (error !== done) throw error;
  }
}

/** Tables whose primary key does not begin with the organization. */
export async function keysOfNobody(kysely: Kysely<unknown>, tables: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ name: string; first: string }>`
    select c.relname as name, a.attname as first from pg_index i join pg_class c on c.oid = i.indrelid
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
    where i.indisprimary and n.nspname = 'public' order by 1`.execute(kysely);
  const firstOf = new Map(rows.map(({ name, first }) => [name, first]));
  return tables
    .filter((table) => firstOf.get(table) !== "org_id")
    .map((table) => `the primary key of ${table} begins with ${firstOf.get(table) ?? "nothing"}`);
}

function nameOf(org: string): string {
  return org === "" ? "nobody" : org;
}
