/** First form of the tables about organizations, their clusters and projects. */
import { type Kysely, sql } from "kysely";
import { createTable } from "./create-table.ts";

export async function createOrganizationTables(kysely: Kysely<unknown>): Promise<string[]> {
  return [
    await createTable(
      kysely,
      "organization",
      {},
      { created_at: "bigint not null", root_certificate: "bytea", token_keys: "text" },
    ),
    await createTable(
      kysely,
      "enrollment_code",
      { proof: "bytea" },
      {
        cluster: "text not null",
        expires_at: "bigint not null",
        used_at: "bigint",
        addresses_sealed: "bytea not null",
      },
    ),
    await createTable(
      kysely,
      "project",
      { id: "text" },
      {
        display_name_sealed: "bytea not null",
        archived: "boolean not null",
        created_at: "bigint not null",
      },
    ),
    ...(await createClusterTables(kysely)),
  ];
}

async function createClusterTables(kysely: Kysely<unknown>): Promise<string[]> {
  return [
    await createTable(
      kysely,
      "cluster",
      { name: "text" },
      {
        region: "text not null",
        software_version: "text not null",
        router_address_sealed: "bytea",
        enrolled_at: "bigint not null",
        last_seen_at: "bigint",
      },
    ),
    await createTable(
      kysely,
      "cluster_certificate",
      { cluster: "text", fingerprint: "bytea" },
      { expires_at: "bigint not null" },
    ),
    await createTable(
      kysely,
      "link_cursor",
      { cluster: "text", incarnation: "text" },
      { cursor: "bigint not null", state: "text not null", snapshot: "text not null", as_of: "bigint" },
    ),
  ];
}

/** Each cluster has keys of its own for control tokens; a code may be bound to a root. */
export async function moveTokenKeys(kysely: Kysely<unknown>): Promise<void> {
  // Clusters of before show theirs when they enroll again: no release had the other form.
  await sql`alter table cluster add column token_keys text`.execute(kysely);
  await sql`alter table organization drop column token_keys`.execute(kysely);
  await sql`alter table enrollment_code add column root_hash bytea`.execute(kysely);
}

export function createDocumentTable(kysely: Kysely<unknown>): Promise<string> {
  return createTable(
    kysely,
    "signed_document",
    { kind: "text" },
    { version: "bigint not null", expires_at: "bigint not null", jws_sealed: "bytea not null" },
  );
}
