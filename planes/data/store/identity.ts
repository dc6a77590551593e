/** Tables of identity, policy and the project cache. Texts and secrets are in sealed columns; look-ups go by keyed hashes. */
import { protectTable } from "@biplane/kit/database";
import type { ColumnType, Kysely } from "kysely";
import type { Migration } from "kysely/migration";
import type { DenialTable } from "./people.ts";

type Bytes = ColumnType<Uint8Array, Uint8Array, Uint8Array>;
type Milliseconds = ColumnType<number | string | bigint, number, number>;

export interface SubjectTable {
  org_id: string;
  subject: string;
  kind: "user" | "service";
  /** Keyed hash of the sign-in name; null for services. */
  login_hash: string | null;
  /** Sealed JSON: name, email. */
  profile: Bytes;
  /** Sealed JSON: how the password or secret is checked. */
  credential: Bytes;
  created_at_ms: Milliseconds;
  /** Null while the subject may sign in. */
  disabled_at_ms: Milliseconds | null;
  /** Of keys: when they stop working. */
  expires_at_ms: Milliseconds | null;
  /** Of keys: written in batches, so it may be a little late. */
  last_used_at_ms: Milliseconds | null;
  /** Of keys: the subject who answers for it. */
  owner: string | null;
  /** Keyed hash of issuer and subject at the customer's own provider. */
  federated_hash: string | null;
}

export interface OidcModelTable {
  org_id: string;
  model: string;
  /** Keyed hash: the provider's own ids are bearer tokens. */
  id_hash: string;
  payload: Bytes;
  grant_hash: string | null;
  user_code_hash: string | null;
  uid_hash: string | null;
  /** Of whom it is: all of a subject's sign-ins end at once. */
  subject_hash: string | null;
  expires_at_ms: Milliseconds | null;
  consumed_at_ms: Milliseconds | null;
}

export interface AssignmentTable {
  org_id: string;
  principal_kind: ColumnType<"subject" | "group", "subject" | "group" | undefined, never>;
  /** Of a subject or of a group. */
  subject: string;
  role: string;
  /** Empty: every project, every domain. */
  project_id: string;
  domain_id: string;
}

export interface ClaimTable {
  org_id: string;
  claim_hash: string;
  created_at_ms: Milliseconds;
  redeemed_at_ms: Milliseconds | null;
  /** Who may choose a password by it; empty for the claim of an administrator. */
  subject: ColumnType<string, string | undefined, string>;
}

export interface ProjectCacheTable {
  org_id: string;
  project_id: string;
  /** Sealed `biplane.control.v1.Project`: what the control plane said last. */
  index_entry: Bytes | null;
  /** Sealed JSON: description and labels, which stay here. */
  details: Bytes | null;
}

export interface IdentityTables {
  identity_subjects: SubjectTable;
  identity_oidc: OidcModelTable;
  identity_assignments: AssignmentTable;
  identity_claims: ClaimTable;
  identity_denials: DenialTable;
  project_cache: ProjectCacheTable;
}

export function identityMigration(role: string): Migration {
  return {
    async up(db: Kysely<unknown>) {
      await createSubjects(db);
      await createOidc(db);
      await createPolicy(db);
      for (const table of tableNames) await protectTable(db, table, role);
    },
  };
}

const tableNames: readonly string[] = [
  "identity_subjects",
  "identity_oidc",
  "identity_assignments",
  "identity_claims",
  "identity_revocations",
  "project_cache",
];

async function createSubjects(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("identity_subjects")
    .addColumn("org_id", "text", (column) => column.notNull())
    .addColumn("subject", "text", (column) => column.notNull())
    .addColumn("kind", "text", (column) => column.notNull())
    .addColumn("login_hash", "text")
    .addColumn("profile", "bytea", (column) => column.notNull())
    .addColumn("credential", "bytea", (column) => column.notNull())
    .addColumn("created_at_ms", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("identity_subjects_key", ["org_id", "subject"])
    .addUniqueConstraint("identity_subjects_login", ["org_id", "login_hash"])
    .execute();
  await db.schema
    .createTable("identity_claims")
    .addColumn("org_id", "text", (column) => column.notNull())
    .addColumn("claim_hash", "text", (column) => column.notNull())
    .addColumn("created_at_ms", "bigint", (column) => column.notNull())
    .addColumn("redeemed_at_ms", "bigint")
    .addPrimaryKeyConstraint("identity_claims_key", ["org_id", "claim_hash"])
    .execute();
}

async function createOidc(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("identity_oidc")
    .addColumn("org_id", "text", (column) => column.notNull())
    .addColumn("model", "text", (column) => column.notNull())
    .addColumn("id_hash", "text", (column) => column.notNull())
    .addColumn("payload", "bytea", (column) => column.notNull())
    .addColumn("grant_hash", "text")
    .addColumn("user_code_hash", "text")
    .addColumn("uid_hash", "text")
    .addColumn("expires_at_ms", "bigint")
    .addColumn("consumed_at_ms", "bigint")
    .addPrimaryKeyConstraint("identity_oidc_key", ["org_id", "model", "id_hash"])
    .execute();
  for (const column of ["grant_hash", "user_code_hash", "uid_hash", "expires_at_ms"]) {
    await db.schema
      .createIndex(`identity_oidc_by_${column}`)
      .on("identity_oidc")
      .columns(["org_id", column])
      .execute();
  }
  await db.schema
    .createTable("identity_revocations")
    .addColumn("org_id", "text", (column) => column.notNull())
    .addColumn("grant_hash", "text", (column) => column.notNull())
    .addColumn("expires_at_ms", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("identity_revocations_key", ["org_id", "grant_hash"])
    .execute();
}

async function createPolicy(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("identity_assignments")
    .addColumn("org_id", "text", (column) => column.notNull())
    .addColumn("subject", "text", (column) => column.notNull())
    .addColumn("role", "text", (column) => column.notNull())
    .addColumn("project_id", "text", (column) => column.notNull())
    .addColumn("domain_id", "text", (column) => column.notNull())
    .addPrimaryKeyConstraint("identity_assignments_key", [
      "org_id",
      "subject",
      "role",
      "project_id",
      "domain_id",
    ])
    .execute();
  await db.schema
    .createTable("project_cache")
    .addColumn("org_id", "text", (column) => column.notNull())
    .addColumn("project_id", "text", (column) => column.notNull())
    .addColumn("index_entry", "bytea")
    .addColumn("details", "bytea")
    .addPrimaryKeyConstraint("project_cache_key", ["org_id", "project_id"])
    .execute();
}
