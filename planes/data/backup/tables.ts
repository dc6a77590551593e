/**
 * Which tables a backup of the root holds. Each table of the schema is decided here: a new one without a decision does
 * not compile. Rows are dumped as they are, sealed columns sealed, by one statement, so that they fit together.
 */
import type { OrgId } from "@biplane/base";
import { sql, type Transaction } from "kysely";
import type { DataSchema } from "../store/schema.ts";

type Table = keyof DataSchema;
const kept = "kept";

const decisions: Readonly<Record<Table, string>> = {
  identity_subjects: kept,
  identity_assignments: kept,
  identity_claims: kept,
  identity_denials: kept,
  policy_roles: kept,
  project_hosts: kept,
  signed_documents: kept,
  clusters: kept,
  subject_groups: "The next token of each person says them again.",
  join_codes: "They expire within days; an administrator makes new ones.",
  identity_oidc: "An older copy would bring used codes and refresh tokens back to life.",
  project_cache: "The control plane is asked again.",
  incarnation: "A restored plane begins a new one.",
  outbox: "A new incarnation begins with a snapshot.",
  intent_nonce: "Runs and their objects are the customer's data; they have backups and keys of their own.",
  document: "As runs.",
  run: "As runs.",
  action: "As runs.",
  task: "As runs.",
  repeat_key: "As runs.",
};

export const keptTables = (Object.keys(decisions) as Table[]).filter((table) => decisions[table] === kept);

/** Rows by table, as PostgreSQL writes them in JSON. */
export type IdentityDump = Readonly<Record<string, readonly object[]>>;

export async function dumpIdentity(transaction: Transaction<DataSchema>, org: OrgId): Promise<IdentityDump> {
  const columns = keptTables.map(
    (table) => sql`(select coalesce(json_agg(row_to_json(one)), '[]'::json)
      from ${sql.table(table)} one where one.org_id = ${org}) as ${sql.ref(table)}`,
  );
  const { rows } = await sql<Record<string, readonly object[] | string>>`select ${sql.join(columns)}`.execute(
    transaction,
  );
  const dump = Object.entries(rows[0] ?? {}).map(([table, found]) => [table, parsed(found)] as const);
  return Object.fromEntries(dump);
}

/** True where the database knows nobody yet. */
export async function isIdentityEmpty(transaction: Transaction<DataSchema>, org: OrgId): Promise<boolean> {
  for (const table of keptTables) {
    const row = await transaction
      .selectFrom(table)
      .select("org_id")
      .where("org_id", "=", org)
      .limit(1)
      .executeTakeFirst();
    if (row !== undefined) return false;
  }
  return true;
}

/** Only tables of the list are written, whatever the dump names. */
export async function restoreIdentity(
  transaction: Transaction<DataSchema>,
  dump: IdentityDump,
): Promise<void> {
  for (const table of keptTables) {
    const rows = JSON.stringify(dump[table] ?? []);
    await sql`insert into ${sql.table(table)}
      select * from json_populate_recordset(null::${sql.table(table)}, ${rows}::json)`.execute(transaction);
  }
}

function parsed(rows: readonly object[] | string): readonly object[] {
  return typeof rows === "string" ? JSON.parse(rows) : rows;
}
