/** Tables of the policy and of signed documents. What customers wrote is sealed; names of roles are looked up. */
import { protectTable } from "@biplane/kit/database";
import type { ColumnType, Kysely } from "kysely";
import type { Migration } from "kysely/migration";

type Bytes = ColumnType<Uint8Array, Uint8Array, Uint8Array>;
type Milliseconds = ColumnType<number | string | bigint, number, number>;

export interface SignedDocumentTable {
  org_id: string;
  kind: "policy" | "clusters";
  /** Sealed compact JWS. */
  jws: Bytes;
}

export interface RoleTable {
  org_id: string;
  name: string;
  /** JSON: a list of permissions. */
  permissions: string;
  created_at_ms: Milliseconds;
}

export interface SubjectGroupsTable {
  org_id: string;
  subject: string;
  /** Sealed JSON: names of groups. */
  groups: Bytes;
  issued_at_seconds: Milliseconds;
}

export interface PolicyTables {
  subject_groups: SubjectGroupsTable;
  signed_documents: SignedDocumentTable;
  policy_roles: RoleTable;
}

export function policyMigration(role: string): Migration {
  return {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createTable("signed_documents")
        .addColumn("org_id", "text", (column) => column.notNull())
        .addColumn("kind", "text", (column) => column.notNull())
        .addColumn("jws", "bytea", (column) => column.notNull())
        .addPrimaryKeyConstraint("signed_documents_key", ["org_id", "kind"])
        .execute();
      await db.schema
        .createTable("policy_roles")
        .addColumn("org_id", "text", (column) => column.notNull())
        .addColumn("name", "text", (column) => column.notNull())
        .addColumn("permissions", "text", (column) => column.notNull())
        .addColumn("created_at_ms", "bigint", (column) => column.notNull())
        .addPrimaryKeyConstraint("policy_roles_key", ["org_id", "name"])
        .execute();
      await addGroups(db);
      for (const table of ["signed_documents", "policy_roles"]) await protectTable(db, table, role);
    },
  };
}

/** Assignments were to subjects only; a group may bear the name of a subject. */
async function addGroups(db: Kysely<unknown>): Promise<void> {
  const table = "identity_assignments";
  await db.schema
    .alterTable(table)
    .addColumn("principal_kind", "text", (column) => column.notNull().defaultTo("subject"))
    .execute();
  await db.schema.alterTable(table).dropConstraint("identity_assignments_key").execute();
  await db.schema
    .alterTable(table)
    .addPrimaryKeyConstraint("identity_assignments_key", [
      "org_id",
      "principal_kind",
      "subject",
      "role",
      "project_id",
      "domain_id",
    ])
    .execute();
}

/** Groups were in tokens only, which a run outlives. */
export function subjectGroupsMigration(role: string): Migration {
  return {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createTable("subject_groups")
        .addColumn("org_id", "text", (column) => column.notNull())
        .addColumn("subject", "text", (column) => column.notNull())
        .addColumn("groups", "bytea", (column) => column.notNull())
        .addColumn("issued_at_seconds", "bigint", (column) => column.notNull())
        .addPrimaryKeyConstraint("subject_groups_key", ["org_id", "subject"])
        .execute();
      await protectTable(db, "subject_groups", role);
    },
  };
}
