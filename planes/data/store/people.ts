/** What identity keeps of people and keys over time: their state, invitations, and which tokens are denied. */
import { protectTable } from "@biplane/kit/database";
import type { Kysely } from "kysely";
import type { Migration } from "kysely/migration";

export interface DenialTable {
  org_id: string;
  kind: DenialKind;
  /** Subject, grant's name, or token id. */
  name: string;
  /** Seconds since 1970: tokens issued up to then are denied. */
  issued_until_seconds: number | string | bigint;
  /** When the last denied token has expired. */
  expires_at_ms: number | string | bigint;
}

export type DenialKind = "subject" | "grant" | "token";

export function peopleMigration(role: string): Migration {
  return {
    async up(db: Kysely<unknown>) {
      await extendSubjects(db);
      await db.schema
        .alterTable("identity_claims")
        .addColumn("subject", "text", (column) => column.notNull().defaultTo(""))
        .execute();
      await db.schema.alterTable("identity_oidc").addColumn("subject_hash", "text").execute();
      await db.schema
        .createIndex("identity_oidc_by_subject_hash")
        .on("identity_oidc")
        .columns(["org_id", "subject_hash"])
        .execute();
      await createDenials(db);
      await protectTable(db, "identity_denials", role);
    },
  };
}

async function extendSubjects(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable("identity_subjects")
    .addColumn("disabled_at_ms", "bigint")
    .addColumn("expires_at_ms", "bigint")
    .addColumn("last_used_at_ms", "bigint")
    .addColumn("owner", "text")
    .addColumn("federated_hash", "text")
    .execute();
  await db.schema
    .createIndex("identity_subjects_federated")
    .on("identity_subjects")
    .columns(["org_id", "federated_hash"])
    .unique()
    .execute();
}

/** Takes the place of `identity_revocations`, which knew grants only. */
async function createDenials(db: Kysely<unknown>): Promise<void> {
  await db.schema.dropTable("identity_revocations").execute();
  await db.schema
    .createTable("identity_denials")
    .addColumn("org_id", "text", (column) => column.notNull())
    .addColumn("kind", "text", (column) => column.notNull())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("issued_until_seconds", "bigint", (column) => column.notNull())
    .addColumn("expires_at_ms", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("identity_denials_key", ["org_id", "kind", "name"])
    .execute();
}
